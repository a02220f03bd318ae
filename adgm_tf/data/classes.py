"""Labels as a caller has them, numbers or text, and the classes in that type."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adgm_tf.data import own
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors


class Labels(NamedTuple):
    """Names of labels [N], None where unknown; the names of the classes in order [C]; the classes as y has them [C]."""

    names: np.ndarray
    class_names: tuple[str, ...]
    classes: np.ndarray


def array_of(y: Any) -> np.ndarray:
    """Returns labels of a caller as an array [N]; whole numbers of pandas stay whole where some are missing.

    Raises:
      ValueError: they are not one a row, as scikit-learn says it.
    """
    import pandas as pd
    from sklearn.utils.validation import column_or_1d
    extended = isinstance(getattr(y, "dtype", None), pd.api.extensions.ExtensionDtype)
    return column_or_1d(y.astype(object) if extended else y, warn=True)


def are_known(names: np.ndarray) -> np.ndarray:
    """Returns the mask of the labels that have a name [N]."""
    return np.array([name is not None for name in names], bool)


def names_among(y: np.ndarray, unknown_label: Any, *, is_class: bool | None = None) -> np.ndarray:
    """Returns the names of labels [N], None where unknown.

    Args:
      y: the labels, an array [N].
      unknown_label: one that is unknown besides None, NaN and "".
      is_class: whether -1 is a class; None lets y say it: where it has -1 and 1 alone, a warning says that it is.
    """
    word = None if unknown_label is None else own.label_names(np.asarray([unknown_label]), "", "unknown_label")[0]
    names = own.label_names(y, word or "", "y")
    if y.dtype.kind in "OUS":
        minus_one = np.array([str(value).strip() in ("-1", "-1.0") for value in y], bool)
    else:
        minus_one = y == UNKNOWN
    if is_class is None:
        is_class = unknown_label != UNKNOWN
        if not is_class and minus_one.any() and set(names[~minus_one]) == {"1"}:
            warnings.warn("y: has -1 and 1 and nothing else, so that -1 is taken for a class; an unknown label may be "
                          "None or NaN instead", stacklevel=5)
            is_class = True
    if is_class:
        names[minus_one] = str(UNKNOWN)
    return names


def understood(y: np.ndarray, unknown_label: Any) -> Labels:
    """Returns the classes among labels y [N], an array, and the name of each label.

    Raises:
      UserError: they are numbers and words at once, or of fewer than two classes.
      ValueError: they are none of a classification, as scikit-learn says it.
    """
    from sklearn.utils.multiclass import check_classification_targets
    if y.dtype.kind == "f" and not np.isnan(y).all():
        check_classification_targets(y[~np.isnan(y)])
    names = names_among(y, unknown_label)
    known = np.flatnonzero(are_known(names))
    values = y[known]
    if y.dtype.kind == "O":
        if len({isinstance(value, str) for value in values}) > 1:
            raise errors.UserError("y: has numbers and text, and labels must be of one type")
        values = np.array(values.tolist())
    different, first = np.unique(names[known].astype(str), return_index=True)
    if len(first) < 2:
        found = f"labels of one class only ({different[0]})" if len(first) else "no label that is known"
        raise errors.UserError(f"y: has {found}, and a classifier needs two classes")
    check_classification_targets(values)
    order = first[np.argsort(values[first], kind="stable")]
    return Labels(names, tuple(names[known[order]]), values[order])


def classes_named(names: Sequence[str], kind: str | None) -> np.ndarray:
    """Returns classes of a NumPy type by their names; without one whole numbers if all are, else text."""
    found = np.array(names)
    if kind is None:
        whole = all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names)
        return found.astype(np.int64) if whole else found
    return found == "True" if np.dtype(kind) == bool else found.astype(kind)
