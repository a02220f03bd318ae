"""Error against epochs or minutes: the points that runs recorded on the way, kept as CSV, and their figure."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from adgm_tf.analysis import plots
from adgm_tf.experiments import tables
from adgm_tf.experiments.tables import KEY
from adgm_tf.host import errors, files

ERRORS = {"test": "test_error_percent", "hidden": "transductive_error_percent"}
NAMES = {"test": "test images", "hidden": "training images with hidden labels"}
COLUMNS = (*KEY, "step", "epoch", "seconds", *ERRORS.values())
# Column and unit of what errors are drawn against, and the label of the axis.
AGAINST = {"epochs": ("epoch", 1, "epochs"), "minutes": ("seconds", 60, "minutes of training")}


def collect(patterns: Sequence[str]) -> pd.DataFrame:
    """Returns a line a point of the runs that a pattern names and that tracked their test error.

    Of runs of one (row, split seed, seed) it is the one with more steps. Runs that are not finished count in rows
    that have no other.

    Raises:
      UserError: a row has runs of several models.
    """
    configs = {folder: files.read_json(folder / "config.json", "runs") for folder in tables.folders(patterns)
               if (folder / "config.json").is_file()}
    tables.check_models([(tables.row_of(folder), str(config["model"])) for folder, config in configs.items()
                            if "model" in config], patterns)
    finished = {folder for folder in configs if (folder / "results.json").is_file()}
    have_finished = {tables.row_of(folder) for folder in finished}
    found = pd.DataFrame(columns=COLUMNS)
    for folder, config in configs.items():
        if folder in finished or tables.row_of(folder) not in have_finished:
            found = merged(found, _points(folder, config))
    return found


def _points(run_dir: pathlib.Path, config: dict[str, Any]) -> pd.DataFrame:
    for key in KEY[1:]:
        value = config.get(key)
        if not isinstance(value, int):
            raise errors.UserError(f"runs={run_dir}: config.json has {key}={value}, which must be a whole number")
    recorded = files.read_json_lines(run_dir / "metrics.jsonl")
    passes = [line["epoch"] / line["step"] for line in recorded if _above_0(line.get("epoch")) and line["step"]]
    seconds = {line["step"]: line["seconds"] for line in recorded if _above_0(line.get("seconds"))}
    tracked = [line for line in recorded if tables.is_number(line.get("test_error_percent"))]
    points = pd.DataFrame([{k: line.get(k) if k in ("step", "test_error_percent") or tables.is_number(line.get(k))
                            else None for k in COLUMNS} for line in tracked], columns=COLUMNS)
    if points.empty or not passes:
        return points.iloc[:0]
    return points.assign(row=tables.row_of(run_dir), split_seed=config["split_seed"], seed=config["seed"],
                         epoch=points["step"] * passes[-1], seconds=points["step"].map(seconds))


def _above_0(value: Any) -> bool:
    return tables.is_number(value) and value > 0


def merged(stored: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Returns the points of a run a (row, split seed, seed): the one with more steps, of equal ones the one found."""
    kept: dict[tuple, pd.DataFrame] = {}
    for points in (stored, found):
        for run, lines in points.groupby(list(KEY), sort=False):
            if run not in kept or lines["step"].max() >= kept[run]["step"].max():
                kept[run] = lines.drop_duplicates("step", keep="last")
    return pd.concat([*kept.values()] or [stored], ignore_index=True)


def update(path: os.PathLike | str, found: pd.DataFrame, order: Sequence[str] = (), *,
           keep: bool = True) -> pd.DataFrame:
    """Writes the points of runs to the CSV file at `path`, whose other runs may be kept; returns all of them.

    Raises:
      UserError: there is none, or the file that is there is no table of points.
    """
    path = pathlib.Path(path)
    with files.locked(path.parent):
        empty = pd.DataFrame(columns=COLUMNS)
        stored = read(path) if path.is_file() else empty
        points = merged(stored if keep else empty, found)
        if points.empty:
            raise errors.UserError("runs: none of them recorded a test error on the way; train with --track_test")
        rank = {row: i for i, row in enumerate(order)}
        points = points.assign(rank=points["row"].map(lambda row: rank.get(row, len(rank))))
        points = points.sort_values(["rank", *KEY, "step"], ignore_index=True)[list(COLUMNS)].infer_objects()
        files.write_text(path, points.to_csv(index=False, float_format="%.4f"))
    return points


def read(path: os.PathLike | str) -> pd.DataFrame:
    """Returns the points that a CSV file has.

    Raises:
      UserError: it is no table of points.
    """
    return tables.read_table(path, COLUMNS, "step")


def reached(points: pd.DataFrame, thresholds: Sequence[float],
            step_seconds: Mapping[str, float] | None = None) -> str:
    """Returns, as Markdown, the first evaluation of each run whose test error is at most each threshold.

    Args:
      points: a line a point.
      thresholds: test errors, %.
      step_seconds: what a step of a row takes; if None, the minutes are those that the run took.
    """
    lines = ["| row | split | test error at most, % | steps | minutes of training |", "|---|---|---|---|---|"]
    for (row, split, _), run in points.groupby(list(KEY), sort=False):
        for threshold in thresholds:
            below = run[run["test_error_percent"] <= threshold]
            first = below.loc[below["step"].idxmin()] if len(below) else None
            when = "not reached | -" if first is None else f"{first['step']:,} | {_minutes(first, step_seconds)}"
            lines.append(f"| {row} | {split} | {threshold:g} | {when} |")
    return "\n".join(lines)


def _minutes(point: pd.Series, step_seconds: Mapping[str, float] | None) -> str:
    if step_seconds is None:
        return f"{point['seconds'] / 60:.1f}"
    return f"{point['step'] * step_seconds[point['row']] / 60:.1f}" if point["row"] in step_seconds else "-"


def curves(points: pd.DataFrame, kinds: Sequence[str], against: str = "epochs") -> list[plots.Curve]:
    """Returns a curve a row and kind of error: its values in all runs of the row, at the steps that each recorded.

    Minutes are the mean over these runs.
    """
    column, unit, _ = AGAINST[against]
    drawn = []
    for colour, (row, lines) in enumerate(points.groupby("row", sort=False)):
        x = lines.groupby("step")[column].mean() / unit
        for style, kind in enumerate(kinds):
            values = lines.pivot(index="step", columns=list(KEY), values=ERRORS[kind]).dropna()
            name = row if len(kinds) == 1 else f"{row}, {NAMES[kind]}"
            if len(values):
                drawn.append(plots.Curve(name, x[values.index].to_numpy(float), values.to_numpy(float).T, colour,
                                           style))
    return drawn


def draw(points: pd.DataFrame, kinds: Sequence[str], path: os.PathLike | str, log_dir: str | None = None,
         against: str = "epochs") -> None:
    """Draws error against epochs or minutes, a mean a row, with a band from the least to the greatest of its runs.

    Args:
      points: what `update` returned.
      kinds: keys of ERRORS.
      path: the PNG file.
      log_dir: folder of TensorBoard logs that get the picture too, under the name of the file.
      against: key of AGAINST.
    """
    plots.write_png(path, _picture(points, kinds, against))
    if log_dir:
        log(points, kinds, pathlib.Path(path).stem, log_dir, against)


def log(points: pd.DataFrame, kinds: Sequence[str], name: str, log_dir: str, against: str = "epochs") -> None:
    """Adds what `draw` draws to the TensorBoard logs in a folder."""
    import tensorflow as tf
    writer = tf.summary.create_file_writer(log_dir)
    with writer.as_default(int(points["step"].max())):
        tf.summary.image(name, _picture(points, kinds, against)[None])
    writer.close()


def _picture(points: pd.DataFrame, kinds: Sequence[str], against: str) -> np.ndarray:
    label = "test error, %" if list(kinds) == ["test"] else "error, %"
    return plots.curves(curves(points, kinds, against), AGAINST[against][-1], label)
