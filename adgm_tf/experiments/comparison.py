"""Two rows on the same splits: the mean of their differences, and how far chance may have moved it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from adgm_tf.experiments import tables
from adgm_tf.host import errors

CONFIDENCE = 0.95
PAIR = ("split_seed", "seed")
COMPARED = {"test_error_percent": "test error, points", "valid_error_percent": "validation error, points",
            "transductive_error_percent": "transductive error, points", "test_bound_nats": "test bound, nats"}


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of `count` differences and the ends of its interval, which are NaN for a single one."""

    mean: float
    low: float
    high: float
    count: int


def paired(one: Float[np.ndarray, " N"], other: Float[np.ndarray, " N"]) -> Difference:
    """Returns the mean of d = one - other with its 95 % interval, mean(d) -+ t(N - 1) sd(d) / sqrt(N).

    Args:
      one: a value a split, N of them.
      other: the same splits in the same order.
    """
    from scipy import stats
    d = one - other
    if len(d) < 2:
        return Difference(float(d.mean()), math.nan, math.nan, len(d))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return Difference(float(d.mean()), float(d.mean() - half), float(d.mean() + half), len(d))


def differences(lines: Sequence[Mapping[str, Any]], one: str, other: str) -> dict[str, Difference]:
    """Returns the difference of two rows in each column of COMPARED that both have, over the splits that both have.

    Raises:
      UserError: one of them has no line, they share no split, or they hold out other numbers of validation images,
        which makes a split of the same number have other labels.
    """
    table = tables.frame(lines)
    for row in (one, other):
        if row not in set(table["row"]):
            raise errors.unknown("compare", row, dict.fromkeys(table["row"]))
    left, right = (table[table["row"] == row].set_index(list(PAIR)) for row in (one, other))
    shared = left.index.intersection(right.index)
    if not len(shared):
        raise errors.UserError(f"compare={one},{other}: have no split in common")
    left, right = left.loc[shared], right.loc[shared]
    held_out = [sorted(set(side["num_valid_labels"].fillna(0))) for side in (left, right)]
    if held_out[0] != held_out[1]:
        first, second = (" or ".join(f"{int(n):,}" for n in counts) for counts in held_out)
        raise errors.UserError(f"compare={one},{other}: hold out {first} and {second} validation images; they must be "
                               "as many, or a split of the same number has other labels")
    found = {}
    for column in COMPARED:
        both = pd.concat([left[column], right[column]], axis=1).dropna()
        if len(both):
            found[column] = paired(*both.to_numpy(float).T)
    return found


def markdown(lines: Sequence[Mapping[str, Any]], pairs: Iterable[Sequence[str]]) -> str:
    """Returns the differences of pairs of rows as Markdown; a pair that has no line yet is left out."""
    rows = {line["row"] for line in lines}
    text = ["| difference | in | splits | mean | 95 % interval |", "|---|---|---|---|---|"]
    for one, other in pairs:
        if {one, other} <= rows:
            text += [f"| {one} - {other} | {COMPARED[column]} | {d.count} | {d.mean:+.2f} | {_interval(d)} |"
                     for column, d in differences(lines, one, other).items()]
    return "\n".join(text)


def _interval(difference: Difference) -> str:
    return "-" if math.isnan(difference.low) else f"{difference.low:+.2f} to {difference.high:+.2f}"
