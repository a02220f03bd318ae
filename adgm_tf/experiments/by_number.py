"""The errors of systems against a number in which their runs differ: a table and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from adgm_tf.analysis import plots
from adgm_tf.experiments import outputs, tables
from adgm_tf.experiments.outputs import Places

ERROR = "test_error_percent"


@dataclasses.dataclass(frozen=True)
class ByNumber(outputs.Results):
    """Results in the rows <system>-<number>, their table of systems by numbers, and its picture.

    Args:
      csv: the file under launch/.
      home: of the rows.
      png: the picture under launch/.
      systems: names of the systems.
      numbers: those that each system has a row of.
      counted: what the numbers count.
    """

    png: str = ""
    systems: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    counted: str = ""

    def redraw(self, places: Places) -> list[str]:
        """Draws the picture and writes the tables into the README beside the file; returns what to show."""
        shown = super().redraw(places)
        path = places.results / self.csv
        if not path.is_file():
            return shown
        lines = tables.frame(tables.read(path))
        if not set(lines["row"]) & set(self.rows):
            return shown  # The rows of a sweep are of no system and number.
        lines = of_numbers(lines)
        plots.write_png(places.results / self.png, plots.curves(
            curves(lines, self.systems), self.counted, "test error, %", xscale="log"))
        table = markdown(lines, self.systems, self.numbers, self.counted)
        return [str(places.results / self.png), *outputs.publish(path, "by_number", table), *shown]


def of_numbers(lines: pd.DataFrame) -> pd.DataFrame:
    """Returns lines of the rows <system>-<number> with the columns system and number."""
    names = lines["row"].str.rpartition("-")
    return lines.assign(system=names[0], number=names[2].astype(int))


def markdown(lines: pd.DataFrame, systems: Sequence[str], numbers: Sequence[int], counted: str) -> str:
    """Returns a row a system and a column a number: test errors in %, mean and standard deviation over the runs."""
    rows = [["test error, %, with", *(f"{number:,} {counted}" for number in numbers)], ["---"] * (1 + len(numbers))]
    for system in systems:
        rows.append([system, *(tables.mean_and_deviation(_errors(lines, system, number)) for number in numbers)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _errors(lines: pd.DataFrame, system: str, number: int) -> pd.Series:
    return lines.loc[(lines["system"] == system) & (lines["number"] == number), ERROR].dropna()


def curves(lines: pd.DataFrame, systems: Sequence[str]) -> list[plots.Curve]:
    """Returns a curve a system: its errors against the numbers, a row of values a split and seed."""
    drawn = []
    for colour, system in enumerate(systems):
        values = lines[lines["system"] == system].pivot(index="number", columns=["split_seed", "seed"], values=ERROR)
        values = values.dropna(how="all")
        if not values.empty:
            drawn.append(plots.Curve(system, values.index.to_numpy(float), values.to_numpy(float).T, colour))
    return drawn
