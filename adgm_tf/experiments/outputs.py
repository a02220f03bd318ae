"""What is made of the runs of an experiment: files under launch/, and tables and pictures from those files alone."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shutil
from collections.abc import Sequence
from typing import Any

from adgm_tf.host import errors, files


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are.

    Args:
      results: the stored files, launch/ or the folder of a variation.
      runs: the runs, <home>/<row>/<split> in it.
      suffixes: what a sweep adds to the name of a row.
    """

    results: pathlib.Path
    runs: pathlib.Path
    suffixes: tuple[str, ...] = ("",)

    def named(self, rows: Sequence[str]) -> list[str]:
        """Returns the names that rows have here."""
        return [row + suffix for row in rows for suffix in self.suffixes]

    def patterns(self, home: str, rows: Sequence[str]) -> list[str]:
        """Returns patterns of the run directories of rows."""
        return [str(self.runs / home / row / "*") for row in self.named(rows)]


@dataclasses.dataclass(frozen=True)
class Results:
    """A line a run as CSV, and its tables: the rows, and paired differences of some of them.

    Args:
      csv: the file under launch/.
      home: of the rows.
      rows: those that belong in it, in their order.
      published: file of what others published of them.
      merge: whether lines of runs that are not here stay.
      comparisons: pairs of rows.
      earlier: other tables of lines in the folder, each measured once with other flags than those of a row; table
        `earlier` has them all.
      beside: results of other experiments under launch/, which comparisons may name; table `beside` has both.
    """

    csv: str
    home: str
    rows: tuple[str, ...]
    published: str = ""
    merge: bool = True
    comparisons: tuple[tuple[str, str], ...] = ()
    earlier: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def here(self, places: Places) -> list[dict[str, Any]]:
        """Returns the lines of the finished runs that are here."""
        from adgm_tf.experiments import tables
        found = tables.collect(places.patterns(self.home, self.rows), may_be_none=True)
        return tables.in_order(tables.merged([], found), places.named(self.rows))

    def known(self, places: Places) -> list[dict[str, Any]]:
        """Returns the stored lines and those of the runs that are here."""
        from adgm_tf.experiments import tables
        path = places.results / self.csv
        stored = tables.read(path) if path.is_file() else []
        return tables.in_order(tables.merged(stored, self.here(places)), places.named(self.rows))

    def collect(self, places: Places) -> None:
        """Puts the runs that are here into the file."""
        from adgm_tf.experiments import tables
        found = self.here(places)
        if found and self.merge:
            tables.merge_into(places.results / self.csv, found, places.named(self.rows))
        elif found:
            tables.write(found, places.results / self.csv)

    def published_errors(self, places: Places) -> dict[str, str]:
        """Returns what others published, by row; nothing where there is no file of it."""
        from adgm_tf.experiments import tables
        path = places.results / self.published
        return tables.read_published(path) if self.published and path.is_file() else {}

    def redraw(self, places: Places) -> list[str]:
        """Writes the tables into the README beside the file; returns what to show."""
        from adgm_tf.experiments import comparison, tables
        path = places.results / self.csv
        if not path.is_file():
            return []
        lines = tables.read(path)
        shown = publish(path, "results", tables.markdown(lines, self.published_errors(places)))
        others = [line for name in self.beside if (places.results / name).is_file()
                  for line in tables.read(places.results / name)]
        if others:
            shown += publish(path, "beside", tables.markdown([*others, *lines]))
        if self.comparisons and {row for pair in self.comparisons for row in pair} & {x["row"] for x in lines}:
            shown += publish(path, "comparisons", comparison.markdown([*others, *lines], self.comparisons))
        earlier = [line for name in self.earlier if path.with_name(name).is_file()
                   for line in tables.read(path.with_name(name))]
        return shown + (publish(path, "earlier", tables.markdown(earlier)) if earlier else [])


@dataclasses.dataclass(frozen=True)
class Curves:
    """The points that runs recorded on the way as CSV, and their picture; in a table, when an error was reached.

    Args:
      png: the picture under launch/.
      csv: its points.
      home: of the rows.
      rows: those that are drawn, in their order.
      errors: test, hidden, or both.
      against: epochs or minutes.
      reached: test errors, %, that the table `reached` has the steps and minutes to.
      step_seconds: file of the benchmark whose cases defaults_<row> say how long a step takes; what the runs took if
        not given.
      tensorboard: whether the picture goes to the TensorBoard logs in runs/figures too.
    """

    png: str
    csv: str
    home: str
    rows: tuple[str, ...]
    errors: tuple[str, ...] = ("test",)
    against: str = "epochs"
    reached: tuple[float, ...] = ()
    step_seconds: str = ""
    tensorboard: bool = False

    def collect(self, places: Places) -> None:
        """Puts the points of the runs that are here into the file."""
        from adgm_tf.experiments import curves
        path = places.results / self.csv
        found = curves.collect(places.patterns(self.home, self.rows))
        if not found.empty:
            points = curves.update(path, found, places.named(self.rows))
            if self.tensorboard:
                curves.log(points, self.errors, pathlib.Path(self.png).stem, str(places.runs / "figures"))

    def redraw(self, places: Places) -> list[str]:
        """Draws the stored points, and writes the table into the README beside them; returns what to show."""
        from adgm_tf.experiments import curves
        path = places.results / self.csv
        if not path.is_file():
            return []
        points = curves.read(path)
        curves.draw(points, self.errors, places.results / self.png, against=self.against)
        shown = [str(places.results / self.png)]
        if self.reached:
            seconds = _step_seconds(places.results / self.step_seconds, self.rows) if self.step_seconds else None
            shown += publish(path, "reached", curves.reached(points, self.reached, seconds))
        return shown


def _step_seconds(path: pathlib.Path, rows: Sequence[str]) -> dict[str, float]:
    if not path.is_file():
        return {}
    cases = files.read_json(path, "step_seconds").get("cases", {})
    names = {row: f"defaults_{row}" for row in rows}
    return {row: cases[name]["milliseconds"]["median"] / 1000 for row, name in names.items() if name in cases}


@dataclasses.dataclass(frozen=True)
class Kept:
    """Files that a command makes of finished runs, of each split the longest one.

    Args:
      command: evaluate or sample, with its flags.
      row: whose runs.
      home: of the row.
      files: pairs of a file of the run and one under launch/, in whose name {split} stands for the split.
      splits: those of them; all that are here if None.
      said: a file that gets the last line of what the command said of each split.
      given: whether `--run_dir` names the run in the place of a row's.
    """

    command: tuple[str, ...]
    row: str
    home: str
    files: tuple[tuple[str, str], ...] = ()
    splits: tuple[int, ...] | None = (0,)
    said: str = ""
    given: bool = False

    def runs(self, places: Places) -> dict[int, pathlib.Path]:
        """Returns the longest finished run of each split, of seed 0."""
        longest: dict[int, tuple[int, pathlib.Path]] = {}
        for path in sorted((places.runs / self.home / self.row).glob("*/results.json")):
            found = files.read_json(path, "runs")
            split, steps = found.get("split_seed"), found.get("steps")
            if isinstance(split, int) and isinstance(steps, int) and found.get("seed", 0) == 0:
                longest[split] = max(longest.get(split, (-1, path.parent)), (steps, path.parent))
        return {split: longest[split][1] for split in sorted(longest) if self.splits is None or split in self.splits}

    def keep(self, run_dir: pathlib.Path, split: int, places: Places) -> None:
        """Copies the files of a run."""
        for source, target in self.files:
            path = places.results / target.format(split=split)
            with files.replacing(path) as temporary:
                shutil.copyfile(run_dir / source, temporary)

    def redraw(self, places: Places) -> list[str]:
        """Shows nothing: what is drawn from weights cannot be drawn from numbers, and stays as it is."""
        return []


@dataclasses.dataclass(frozen=True)
class Units:
    """The pictures of the KL of each unit, from the evaluations that are stored in a folder under launch/."""

    folder: str

    def redraw(self, places: Places) -> list[str]:
        """Draws every stored evaluation; returns what to show."""
        import numpy as np

        from adgm_tf.analysis import plots
        shown = []
        for path in sorted((places.results / self.folder).glob("*.json")):
            found = files.read_json(path, "redraw")
            kl = {letter: np.asarray(found[key], float) for letter in "az"
                  if (key := f"kl_per_unit_{letter}_nats") in found}
            if kl:
                plots.write_png(path.with_suffix(".png"), plots.kl_per_unit(kl))
                shown.append(str(path.with_suffix(".png")))
        return shown


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What the benchmark measures, as JSON; in a table of that name, that of a module of `speed`, if there is one.

    Without flags it is not measured here: its command needs what the experiment cannot name, another checkout.
    """

    json: str
    flags: tuple[str, ...] = ()
    table: str = ""

    def redraw(self, places: Places) -> list[str]:
        """Writes the table into the README beside the file; returns what to show."""
        path = places.results / self.json
        if not self.table or not path.is_file():
            return []
        from adgm_tf.experiments.speed import accelerator, against, kinds, on_disk, report, threads
        markdown = {"benchmark": report, "accelerator": accelerator, "against": against, "kinds": kinds,
                    "on_disk": on_disk, "threads": threads}[self.table].markdown
        return publish(path, self.table, markdown(json.loads(path.read_text())))


Output = Results | Curves | Kept | Units | Benchmark


def publish(path: pathlib.Path, name: str, text: str) -> list[str]:
    """Writes a table between its marks in the README of the folder, if it has them; returns what to show."""
    readme = path.with_name("README.md")
    begin, end = f"<!-- table {name} -->", "<!-- end -->"
    if not readme.is_file() or begin not in (before := readme.read_text()):
        return [text]
    if end not in before.partition(begin)[2]:
        raise errors.UserError(f"{readme}: has {begin} without {end} behind it")
    after = re.sub(rf"({re.escape(begin)}).*?({re.escape(end)})", lambda m: f"{m[1]}\n\n{text}\n\n{m[2]}", before,
                   count=1, flags=re.DOTALL)
    if after != before:
        files.write_text(readme, after)
    return [text, f"{readme}: table {name}"]
