"""Cells of a table: what is missing, what is a number, and how a value is written as a word."""

from __future__ import annotations

import contextlib
import numbers as number_types
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.host import errors

# What an empty cell is written as by one program or another.
MISSING = frozenset({"", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "?"})
EMPTY = frozenset({"", "NaN", "nan"})
LARGEST = 1e150  # The square of a larger number is none.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE | re.ASCII)
_CODE = re.compile(r"^[+-]?0\d+$", re.ASCII | re.MULTILINE)


def distinct(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Returns the place of each cell of a Series among the different values [N], -1 where missing, and those values.

    Raises:
      UserError: the cells are no single values; the message names the column.
    """
    import pandas as pd
    values = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    try:
        places, found = pd.factorize(values)
    except TypeError:
        raise errors.UserError(f"column {column.name}: holds lists or other compounds, and must hold numbers or words; "
                               f"leave it out with ignore_columns={column.name}") from None
    return places, list(found)


def words(column: Any, missing: frozenset[str] = MISSING) -> np.ndarray:
    """Returns each cell of a Series as a word without blanks around it [N]; None where missing."""
    places, values = distinct(column)
    found = np.array([*map(_word, values), None], object)
    return np.array([None if word is None or word in missing else word for word in found], object)[places]


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    if isinstance(value, number_types.Real) and not isinstance(value, bool | np.bool_) and value == value // 1:
        return str(int(value))
    return str(value).strip()


_TRUE, _FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")


def spellings(values: Sequence[str]) -> dict[str, int]:
    """Returns the place of each of the different words, and of what else they are written as: 1 as 1.0, or as True.

    Whole numbers are also written with .0 behind; truth is 1 and true where the words are two truth values.
    """
    truths = len(values) <= 2 and set(values) <= {"0", "1", "0.0", "1.0", *_TRUE, *_FALSE}
    others: dict[str, list[int]] = {}
    for place, word in enumerate(values):
        for other in {*_as_number(word), *(_as_truth(word) if truths else ())}:
            others.setdefault(other, []).append(place)
    alone = {word: places[0] for word, places in others.items() if len(places) == 1}
    return alone | {word: place for place, word in enumerate(values)}


def _as_number(word: str) -> tuple[str, ...]:
    whole = re.fullmatch(r"(-?(?:0|[1-9]\d*))(?:\.0+)?", word, re.ASCII)
    return (whole[1], f"{whole[1]}.0") if whole else ()


def _as_truth(word: str) -> tuple[str, ...]:
    return (*_TRUE, "1", "1.0") if word in (*_TRUE, "1", "1.0") else (*_FALSE, "0", "0.0")


def numbers(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of a Series, float64 [N], NaN where missing; and where a cell is no number at all [N]."""
    import pandas as pd
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or (pd.api.types.is_numeric_dtype(kind)
                                            and not pd.api.types.is_complex_dtype(kind)):
        values = column.to_numpy(np.float64, na_value=np.nan)
        return values, np.zeros(len(values), bool)
    places, values = distinct(column)
    parsed, wrong = _parsed(values)
    return np.append(parsed, np.nan)[places], np.append(wrong, False)[places]


def _parsed(values: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that values stand for, NaN for missing ones, and which stand for none."""
    texts = [str(float(v)) if isinstance(v, bool | np.bool_) else str(v).strip() for v in values]
    wrong = np.zeros(len(texts), bool)
    kept = ["nan" if text in MISSING else text for text in texts]
    together = "".join(kept)
    if together.isascii() and "_" not in together:  # float() would take 1_000 and digits of other scripts.
        with contextlib.suppress(ValueError):
            return np.array(kept, object).astype(np.float64), wrong
    wrong = np.array([text != "nan" and not _NUMBER.fullmatch(text) for text in kept], bool)
    return np.array([np.nan if bad else float(text) for text, bad in zip(kept, wrong, strict=True)], np.float64), wrong


def are_codes(column: Any) -> bool:
    """Whether a cell of a Series is digits after a zero, such as 007, which a number would lose."""
    import pandas as pd
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    return bool(_CODE.search("\n".join(str(value).strip() for value in distinct(column)[1])))


def first(mask: np.ndarray, column: Any) -> tuple[Any, Any]:
    """Returns the row's name and the value of the first cell of a Series at which `mask` [N] is true."""
    at = int(np.argmax(mask))
    return column.index[at], column.iloc[at]


def checked_numbers(column: Any, what: str) -> np.ndarray:
    """Returns the numbers of a Series, float64 [N], NaN where missing.

    Raises:
      UserError: a cell is no number or too large; the message names row, column and value.
    """
    values, wrong = numbers(column)
    if wrong.any():
        row, value = first(wrong, column)
        raise errors.UserError(f"{what}: row {row}, column {column.name} is {shown(value)}, and must be a number")
    large = np.abs(values) > LARGEST
    if large.any():
        row, value = first(large, column)
        raise errors.UserError(f"{what}: row {row}, column {column.name} is {shown(value)}, and must be a finite "
                               f"number of at most {LARGEST:g}")
    return values


def shown(value: Any) -> str:
    """Returns a value on one line, cut to 60 letters."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
