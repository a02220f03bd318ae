"""Own data: labels as they are given, blank where unknown, and a test set by a column or a share of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.data import cells, labels, source
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

TRAIN = frozenset({"train", "training", "unlabelled", "unlabeled"})
TEST = frozenset({"test", "testing"})
_LIKE_MISSING = (cells.MISSING - cells.EMPTY) | {"unknown", "Unknown", "UNKNOWN", "unlabelled", "unlabeled", "-"}


def label_names(y: Any, unlabelled_value: str, what: str) -> np.ndarray:
    """Returns the name of each label, object [N]; None where it is blank, -1, NaN, None or `unlabelled_value`.

    Args:
      y: numbers, names or truth values [N], an array or a Series.
      unlabelled_value: a word that means an unknown label; empty if there is none.
      what: what the labels are, for the message.

    Raises:
      UserError: they are numbers that are not whole, or not one a row.
    """
    import pandas as pd
    given = y.to_numpy() if isinstance(y, pd.Series) and y.dtype.kind in "iuf" else y
    if isinstance(y, pd.Series) or (np.ndim(y) == 1 and np.asarray(y).dtype.kind in "OUSb"):
        words = cells.words(y if isinstance(y, pd.Series) else pd.Series(np.asarray(y)), cells.EMPTY)
        given = _whole([None if word in (unlabelled_value, str(labels.UNKNOWN)) else word for word in words])
    names = labels.names_of(given, what)
    names[names == unlabelled_value] = None
    return names


def _whole(words: list[str | None]) -> np.ndarray:
    """Words as numbers if all of them are and none is a code such as 007, so that 1.0 and 1 are one class."""
    import pandas as pd
    column = pd.Series(words, dtype=object)
    given = column[column.notna()]
    values, wrong = cells.numbers(given)
    # float64 holds whole numbers up to 2^53.
    if wrong.any() or cells.are_codes(given) or not (np.abs(values) < 2**53).all():
        return np.array(words, object)
    found = np.full(len(words), np.nan)
    found[column.notna().to_numpy()] = values
    return found


def remarks_on(names: np.ndarray, unlabelled_value: str) -> list[str]:
    """Returns what is to be said aloud of the names of labels [N]: words for an unknown one among them."""
    classes = labels.classes_of(names)
    found = [f"the class {name} reads like an unknown label; unlabelled_value={name} makes it one" for name in classes
             if name in _LIKE_MISSING]
    if not classes:
        found.append("no label is known; use num_labels=0 and a model without classes")
    elif len(classes) == 1:
        found.append(f"all labels are {classes[0]}; a classifier needs two classes")
    return found


def split_rows(column: Any, argument: str) -> np.ndarray:
    """Returns the mask [N] of the test rows, of a Series that says train or test.

    Raises:
      UserError: a cell says something else, or none is of training.
    """
    words = np.array([str(word).lower() for word in cells.words(column)], object)
    known = np.isin(words, list(TRAIN | TEST))
    if not known.all():
        row, value = cells.first(~known, column)
        raise errors.UserError(f"{argument}: row {row} is {cells.shown(value) or 'empty'}, and must be train or test")
    test = np.isin(words, list(TEST))
    if test.all():
        raise errors.UserError(f"{argument}: has no row for training")
    return test


def says_split(column: Any) -> bool:
    """Whether a Series says train or test and nothing else."""
    return {str(word).lower() for word in cells.words(column)} <= TRAIN | TEST


def held_out(names: np.ndarray, options: ReadOptions) -> np.ndarray:
    """Returns the mask [N] of `test_fraction` of the labelled rows of every class, drawn by `split_seed`."""
    rng, test = np.random.default_rng(options.split_seed), np.zeros(len(names), bool)
    for name in labels.classes_of(names):
        rows = np.flatnonzero(names == name)
        test[rng.permutation(rows)[: int(len(rows) * options.test_fraction)]] = True
    return test


def remark_on_held_out(test: np.ndarray, names: np.ndarray, options: ReadOptions) -> str:
    """Returns the line that says how many rows were held out and how to keep them."""
    known = int(sum(name is not None for name in names))
    if not test.any():
        return f"no test set (test_fraction={options.test_fraction:g} of {known:,} labelled rows)"
    return (f"test set: {int(test.sum()):,} of the {known:,} labelled rows (test_fraction={options.test_fraction:g}; "
            "0 keeps them all in training)")


def made(name: str, x: Any, names: np.ndarray, test: np.ndarray, *, class_names: Sequence[str] | None = None,
         columns: tuple = (), remarks: Sequence[str] = ()) -> source.Source:
    """Returns a source of the rows x [N, ...], an array or a DataFrame of typed columns.

    Args:
      name: the name under which it was asked for.
      x: the examples.
      names: the names of their labels [N], None where unknown.
      test: the mask of those for test [N].
      class_names: the classes; those that occur if not given.
      columns: what the columns of a table are.
      remarks: what is to be said aloud.
    """
    classes = labels.classes_of(names) if class_names is None else tuple(class_names)
    y = labels.indexed(names, classes, f"dataset={name}, its labels")
    return source.Source(name, x[~test], y[~test], x[test], y[test], classes, columns, tuple(remarks), own=True)
