"""The table of few labels: a row a set, ours beside the best of the others, and mean ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from adgm_tf.experiments import outputs
from adgm_tf.experiments.outputs import Places


@dataclasses.dataclass(frozen=True)
class FewLabels(outputs.Results):
    """Results of every system on every set, in the rows <set>-<system>, and their table.

    Args:
      csv: the file under launch/.
      home: of the rows.
      sets: names of the sets.
      systems: names of the systems, ours first.
      others: those that ours is held against.
    """

    sets: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def redraw(self, places: Places) -> list[str]:
        """Writes the table into the README beside the file; returns what to show."""
        from adgm_tf.experiments import tables
        path = places.results / self.csv
        if not path.is_file():
            return []
        lines = pd.DataFrame(tables.read(path))
        if not set(lines["row"]) & set(self.rows):
            return super().redraw(places)  # The rows of a sweep are of no set and system.
        shown = outputs.publish(path, "results", markdown(lines, self.sets, self.systems, self.others))
        # That of the project, where the results are its own.
        outputs.publish(places.results, "few_labels", short(lines, self.sets, self.systems, self.others))
        return shown


def short(lines: pd.DataFrame, sets: Sequence[str], systems: Sequence[str], others: Sequence[str]) -> str:
    """Returns a row a set and three columns: ours, and the best of the others."""
    rows, _ = _measured(lines, sets, systems, others)
    return _table(["set", "ours, error %", "best of the others, error %"],
                  [[row.name, row.ours, f"{row.best}, {row.which}"] for row in rows])


def markdown(lines: pd.DataFrame, sets: Sequence[str], systems: Sequence[str], others: Sequence[str]) -> str:
    """Returns test errors in %, mean and standard deviation over the splits, seconds of ours, and mean ranks.

    The best of the others is that with the lowest mean on the set, which favours it: it is chosen by test errors. All
    means of a set are over the splits on which ours and all of the others have been measured; where `vat` has fewer of
    them, their number stands behind it.
    """
    rows, means = _measured(lines, sets, systems, others)
    table = _table(["set", "splits", "ours, error %", "vat, error %", "best of the others, error %", "which",
                    "difference", "seconds"], rows)
    return f"{table}\n\n{_ranks(means, systems)}"


class _Row(NamedTuple):
    name: str
    splits: str
    ours: str
    vat: str
    best: str
    which: str
    difference: str
    seconds: str


def _measured(lines: pd.DataFrame, sets: Sequence[str], systems: Sequence[str],
              others: Sequence[str]) -> tuple[list[_Row], pd.DataFrame]:
    """The cells of each set that has been measured, and the means [sets, systems], of as many splits as ours."""
    ours, *_ = systems
    parts = lines["row"].str.rsplit("-", n=1)
    lines = _on_same_splits(lines.assign(set=parts.str[0], system=parts.str[1]), (ours, *others))
    errors = lines.pivot_table(index="set", columns="system", values="test_error_percent",
                               aggfunc=["mean", "std", "count"])
    seconds, rows = lines[lines["system"] == ours].groupby("set")["seconds"].mean(), []
    for name in (s for s in sets if s in errors.index and ours in errors["mean"].columns):
        mean, spread = errors["mean"].loc[name], errors["std"].loc[name]
        known = mean.reindex(list(others)).dropna()
        if known.empty or pd.isna(mean[ours]):
            continue
        best = known.idxmin()
        counts, of_vat = errors["count"].loc[name].fillna(0).astype(int), _shown(mean.get("vat"), spread.get("vat"))
        if 0 < (fewer := counts.get("vat", 0)) < counts[ours]:
            of_vat += f" ({fewer})"
        rows.append(_Row(name, str(counts[ours]), _shown(mean[ours], spread[ours]), of_vat,
                         _shown(mean[best], spread[best]), best.replace("_", " "), f"{mean[ours] - mean[best]:+.1f}",
                         f"{seconds.get(name, float('nan')):.0f}"))
    if ours not in errors["count"].columns:
        return rows, errors["mean"]
    return rows, errors["mean"].where(errors["count"].ge(errors["count"][ours], axis=0))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" if cells else "|" + "---|" * len(header)
                     for cells in (header, (), *rows))


def _on_same_splits(lines: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """The lines of the splits of each set that all of the systems have which have any of that set."""
    held = lines[lines["system"].isin(systems)]
    of_split = held.groupby(["set", "split_seed"])["system"].nunique()
    of_set = held.groupby("set")["system"].nunique()
    complete = of_split[of_split == of_set.reindex(of_split.index.get_level_values("set")).to_numpy()].index
    return lines[pd.MultiIndex.from_frame(lines[["set", "split_seed"]]).isin(complete)]


def _shown(mean: float | None, spread: float | None) -> str:
    if mean is None or pd.isna(mean):
        return "-"
    return f"{mean:.1f}" + ("" if spread is None or pd.isna(spread) else f" ± {spread:.1f}")


def _ranks(means: pd.DataFrame, systems: Sequence[str]) -> str:
    """Mean rank over the sets of ours, 1 the best, of the systems measured on all of these and all their splits."""
    ours, *_ = systems
    known = means.reindex(columns=[s for s in systems if s in means.columns])
    known = (known[known[ours].notna()] if ours in known else known).dropna(axis=1)
    if known.empty:
        return "No set has been measured with every system."
    ranks = known.rank(axis=1).mean().sort_values()
    return _table(["system", f"mean rank over {len(known)} sets"],
                  [[name.replace("_", " "), f"{rank:.1f}"] for name, rank in ranks.items()])
