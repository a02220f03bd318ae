"""The columns of a table: numbers, categories, text or left out; inferred from the training rows, or named."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.data import cells
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

NUMBER, CATEGORY, TEXT, LEFT_OUT = "number", "category", "text", "left out"
KINDS = (NUMBER, CATEGORY, TEXT, LEFT_OUT)
FEW = 10  # Whole numbers of no more different values may be codes, which is said.
WORDS = 3  # Text has at least as many words a cell, on average.
MANY = 1000  # and more different values than this, or than half its cells.
ROWS_OF_A_KEY = 20
MOSTLY = 0.9
_KEY_NAME = re.compile(r"(.*[_ .-])?(id|key|index|uuid|guid|nr|number)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}\S*)?( [AP]M)?"
                   r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column is and why.

    Attributes:
      name: its name.
      kind: one of KINDS.
      why: a few words.
      missing: number of its training cells that are empty.
      distinct: number of different values among the others.
      remark: what is to be said aloud of it; empty if nothing.
    """

    name: str
    kind: str
    why: str
    missing: int
    distinct: int
    remark: str = ""


def infer(frame: Any, options: ReadOptions, label_names: np.ndarray | None = None) -> tuple[Column, ...]:
    """Returns what each column of the training rows is.

    Args:
      frame: a DataFrame of the training rows [N], without the columns of labels and split.
      options: which columns are named as what.
      label_names: the names of the labels [N], None where unknown.

    Raises:
      UserError: an option names no column, a column holds dates or is a mixture, or none is left.
    """
    asked = _asked([str(name) for name in frame.columns], options)
    found = [_column(frame[name], asked.get(str(name)), options) for name in frame.columns]
    if label_names is not None:
        found = [_compared(column, frame[name], label_names)
                 for column, name in zip(found, frame.columns, strict=True)]
    if all(column.kind == LEFT_OUT for column in found):
        raise errors.UserError(f"dataset: has no column to learn from; left out are "
                               f"{', '.join(f'{c.name} ({c.why})' for c in found) or 'none, as there are none'}")
    return tuple(found)


def _asked(names: Sequence[str], options: ReadOptions) -> dict[str, str]:
    asked: dict[str, str] = {}
    options_of = {"ignore_columns": LEFT_OUT, "numeric_columns": NUMBER, "categorical_columns": CATEGORY,
                  "text_columns": TEXT}
    for option, kind in options_of.items():
        for name in getattr(options, option):
            if name not in names:
                raise errors.unknown(option, name, names)
            if asked.get(name, kind) != kind:
                raise errors.UserError(f"{option}={name}: the column is also named as {asked[name]}")
            asked[name] = kind
    return asked | ({options.id_column: LEFT_OUT} if options.id_column in names else {})


def _column(column: Any, asked: str | None, options: ReadOptions) -> Column:
    import pandas as pd
    name = str(column.name)
    if asked == LEFT_OUT:
        why = "id_column" if name == options.id_column else "ignore_columns"
        return Column(name, LEFT_OUT, why, int(column.isna().sum()), 0)
    if asked is None and (pd.api.types.is_datetime64_any_dtype(column.dtype) or column.dtype.kind == "m"):
        raise _dates(name, *cells.first(column.notna().to_numpy(), column))
    values, wrong = cells.numbers(column)
    missing = np.isnan(values) & ~wrong
    known = values[~missing & ~wrong]
    as_words = bool(wrong.any()) or cells.are_codes(column)
    present = [word for word in cells.words(column) if word is not None] if as_words else []
    count = len(set(present)) if as_words else len(np.unique(known))

    def made(kind: str, why: str, remark: str = "") -> Column:
        return Column(name, kind, why, int(missing.sum()), count, remark and f"column {name}: {remark}")

    if asked:
        return made(asked, {NUMBER: "numeric_columns", CATEGORY: "categorical_columns", TEXT: "text_columns"}[asked])
    if count <= 1:
        why = "constant" if count else "nothing but empty cells"
        return made(LEFT_OUT, why, f"{why} in training, left out")
    if not as_words:
        return made(*_of_numbers(column, known, count))
    if count > 2 * FEW and wrong.sum() <= (1 - MOSTLY) * (~missing).sum() and not cells.are_codes(column):
        row, value = cells.first(wrong, column)
        raise errors.UserError(f"column {name}: row {row} is {cells.shown(value)}, and nearly all others are numbers; "
                               f"mend it, or use categorical_columns={name} or ignore_columns={name}")
    return made(*_of_words(column, present, options))


def _of_numbers(column: Any, known: np.ndarray, count: int) -> tuple[str, str, str]:
    import pandas as pd
    name = str(column.name)
    whole = bool(np.all(known == np.floor(known)))
    if pd.api.types.is_bool_dtype(column.dtype) or (whole and count == 2):
        return CATEGORY, "two values", ""
    if whole and count == len(known) and len(known) >= ROWS_OF_A_KEY and (
            _KEY_NAME.fullmatch(name) or np.ptp(known) < 4 * len(known)):
        return LEFT_OUT, "as unique as a key", f"as unique as a key, left out; numeric_columns={name} keeps it"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return CATEGORY, "of the type category", ""
    if whole and count <= FEW:
        return NUMBER, f"whole numbers of {count} values; categorical_columns={name} if they are codes", ""
    return NUMBER, "whole numbers" if whole else "real numbers", ""


def _of_words(column: Any, present: list[str], options: ReadOptions) -> tuple[str, str, str]:
    name, different = str(column.name), set(present)
    count = len(different)
    for pattern, refused in ((_DATE, _dates), (_DECIMAL_COMMA, _commas)):
        if sum(bool(pattern.fullmatch(word)) for word in different) >= MOSTLY * len(different):
            at = np.array([bool(pattern.fullmatch(str(value).strip())) for value in column])
            raise refused(name, *cells.first(at, column))
    length = sum(len(word.split()) for word in present) / len(present)
    if length >= WORDS and count > min(len(present) / 2, MANY):
        return TEXT, f"{length:.0f} words a cell on average", ""
    if len(present) >= ROWS_OF_A_KEY and count > MOSTLY * len(present):
        return (LEFT_OUT, "as unique as a key",
                f"as unique as a key, left out; categorical_columns={name} or text_columns={name} keeps it")
    if count > options.max_categories:
        return CATEGORY, f"words; the {options.max_categories} most frequent have a place of their own", ""
    return CATEGORY, "words", ""


def _dates(name: str, row: Any, value: Any) -> errors.UserError:
    return errors.UserError(f"column {name}: row {row} is {cells.shown(value)}, a date or a time; leave it out with "
                            f"ignore_columns={name}, or turn it into numbers such as days or a month")


def _commas(name: str, row: Any, value: Any) -> errors.UserError:
    return errors.UserError(f"column {name}: row {row} is {cells.shown(value)}, with a decimal comma; write numbers "
                            f"with a point, or use categorical_columns={name} if it is none")


def _compared(column: Column, values: Any, label_names: np.ndarray) -> Column:
    """The column with a remark if its values and the labels given stand for one another, one to one."""
    given = np.array([name is not None for name in label_names], bool)
    classes = set(label_names[given])
    if column.kind in (LEFT_OUT, TEXT) or len(classes) < 2 or given.sum() < 3 * len(classes):
        return column
    places = cells.distinct(values)[0][given]
    pairs = set(zip(places.tolist(), label_names[given], strict=True))
    if len(pairs) == len(classes) == len(np.unique(places)):
        remark = (f"column {column.name}: stands for the label, one to one; ignore_columns={column.name} if new rows "
                  "lack it")
        return dataclasses.replace(column, remark=remark)
    return column


def typed(frame: Any, columns: Sequence[Column], what: str) -> Any:
    """Returns a DataFrame of the columns that are not left out: float64 for numbers, str for categories and text.

    Raises:
      UserError: a column is not there, or a cell of a column of numbers is none; the message names them.
    """
    import pandas as pd
    kept = [column for column in columns if column.kind != LEFT_OUT]
    names = [str(name) for name in frame.columns]
    if lacking := [column.name for column in kept if column.name not in names]:
        raise errors.UserError(f"{what}: has no column {lacking[0]}; its columns are {listed(names)}")
    place = {name: i for i, name in enumerate(names)}
    found = {}
    for column in kept:
        cell = frame.iloc[:, place[column.name]]
        found[column.name] = cells.checked_numbers(cell, what) if column.kind == NUMBER else pd.array(
            cells.words(cell), dtype="str")
    return pd.DataFrame(found, index=frame.index)


def listed(names: Sequence[str]) -> str:
    """Returns the first twenty names with commas between."""
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def describe(columns: Sequence[Column]) -> list[str]:
    """Returns a line a column: name, kind, why, and how many cells are missing and values different."""
    return [f"{c.name}: {c.kind} ({c.why})" + (f", {c.distinct:,} different values" if c.distinct > 1 else "")
            + (f", {c.missing:,} missing" if c.missing else "") for c in columns]
