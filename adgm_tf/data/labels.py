"""Labels as class indices: whatever a source calls its classes, and -1 where a label is not known."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from adgm_tf.host import errors

UNKNOWN = -1


def names_of(y: Any, what: str) -> np.ndarray:
    """Returns the name of each label [N]; None for -1, None, NaN and empty text, all of them unknown labels.

    Args:
      y: whole numbers or names [N].
      what: what the labels are, for the message.

    Raises:
      UserError: they are not one a row, or numbers that are not whole.
    """
    import pandas as pd
    labels = np.asarray(y)
    if labels.ndim != 1:
        hint = "; of one-hot rows take the argmax" if labels.ndim == 2 else ""
        raise errors.UserError(f"{what}: are {' x '.join(map(str, labels.shape))}, and must be one label a row{hint}")
    places, distinct = pd.factorize(labels.astype(object) if labels.dtype.kind in "US" else labels)
    names = np.array([*(_name(label, places, i, what) for i, label in enumerate(distinct.tolist())), None], object)
    return names[places]


def _name(label: Any, places: np.ndarray, place: int, what: str) -> str | None:
    if isinstance(label, bytes):
        label = label.decode(errors="replace")
    if label in ("", UNKNOWN):
        return None
    if isinstance(label, numbers.Real):
        if not math.isfinite(label) or label != int(label):
            row = int(np.argmax(places == place))
            raise errors.UserError(f"{what}: row {row} is {label:g}, and must be a whole number or a name")
        return str(int(label))
    return str(label)


def classes_of(names: Iterable[str | None]) -> tuple[str, ...]:
    """Returns the classes that occur among names, in the order of numbers if all are, else of the alphabet."""
    found = sorted(set(names) - {None})  # 01 and 1 are the same number: their order is that of the alphabet.
    return tuple(sorted(found, key=int) if all(map(_is_whole, found)) else found)


def indexed(y: Any, class_names: Sequence[str], what: str, first: int = 0) -> np.ndarray:
    """Returns the class index of each label, int32 [N]; UNKNOWN where it is not known.

    Args:
      y: indices of the classes, or their names [N]. Words that are numbers are names where a class has such a name.
      class_names: the classes.
      what: what the labels are, for the message.
      first: number of the first row, for the message.

    Raises:
      UserError: a label is of no class; the message names the first such row.
    """
    labels = np.asarray(y)
    by_number = labels.ndim == 1 and labels.dtype.kind in "iuf"
    if by_number and labels.dtype.kind != "f":
        found = labels
    else:
        names, numbered = names_of(labels, what), by_number or not any(map(_is_whole, class_names))
        places = {str(i): i for i in range(len(class_names))} if numbered else {}
        places |= {None: UNKNOWN} | ({} if by_number else {name: i for i, name in enumerate(class_names)})
        found = np.array([places.get(name, UNKNOWN - 1) for name in names], np.int64)
    fits = (found >= UNKNOWN) & (found < len(class_names))
    if not np.all(fits):
        row = int(np.argmin(fits))
        rule = f"one of the {len(class_names)} classes {_few(class_names)}"
        if not class_names:
            rule = "of a class, and there are none"
        elif by_number:
            rule = f"0 to {len(class_names) - 1}, the index of {rule}"
        raise errors.UserError(f"{what}: row {first + row} is {labels[row]}, and must be {rule}, or {UNKNOWN} where it "
                               "is not known")
    return found.astype(np.int32)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _is_whole(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdecimal()
