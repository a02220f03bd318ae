"""Tables of own data: `csv:FILE` (also .tsv, .gz), `parquet:FILE`, or a DataFrame."""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import lzma
import os
import pathlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adgm_tf.data import cells, columns, own, source
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

LABEL = "label"
LABELS = ("class", "target", "y")
SPLIT = "split"
_OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
COMPRESSED = tuple(_OPEN)
LARGEST_CELL = 2**31 - 1  # Of csv's own reader it is 128 KiB, and a text may be longer.


def load(name: str, options: ReadOptions) -> source.Source:
    """Returns the source of `csv:FILE` or `parquet:FILE`.

    Raises:
      UserError: the file cannot be read, or what is in it cannot be understood.
    """
    kind, _, path = name.partition(":")
    return of_frame(name, read(kind, path, f"dataset={name}"), options)


def of_frame(name: str, frame: Any, options: ReadOptions) -> source.Source:
    """Returns the source of a DataFrame that has a column of labels.

    Raises:
      UserError: it has none, or what is in it cannot be understood.
    """
    what = f"dataset={name}"
    if not len(frame):
        raise errors.UserError(f"{what}: has column names and no rows")
    label, said = label_column(list(frame.columns), options, what)
    names = own.label_names(frame[label], options.unlabelled_value, f"{what}, its column {label}")
    remarks = [*said, *own.remarks_on(names, options.unlabelled_value)]
    if options.unlabelled_value and options.unlabelled_value not in set(cells.words(frame[label], cells.EMPTY)):
        remarks.append(f"unlabelled_value={options.unlabelled_value}: no cell of the column {label} says it")
    split, test, said = _test_rows(frame, label, names, options)
    features = frame.drop(columns=[label, *([split] if split else [])])
    if options.id_column and options.id_column not in features.columns:
        raise errors.unknown("id_column", options.id_column, list(features.columns))
    found = columns.infer(features[~test], options, names[~test])
    remarks += [*said, *(column.remark for column in found if column.remark)]
    return own.made(name, columns.typed(features, found, what), names, test, columns=found, remarks=remarks)


def of_rows(name: str, frame: Any, names: np.ndarray, options: ReadOptions, *,
            class_names: Sequence[str] | None = None) -> source.Source:
    """Returns the source of a DataFrame without labels in it, whose labels are `names` [N]; all rows are of training.

    The classes are those that occur if they are not given.

    Raises:
      UserError: what is in it cannot be understood.
    """
    check_names(list(frame.columns), f"dataset={name}")
    if options.id_column and options.id_column not in frame.columns:
        raise errors.unknown("id_column", options.id_column, list(map(str, frame.columns)))
    found = columns.infer(frame, options, names)
    remarks = [*own.remarks_on(names, ""), *(column.remark for column in found if column.remark)]
    typed = columns.typed(frame, found, f"dataset={name}")
    return own.made(name, typed, names, np.zeros(len(frame), bool), class_names=class_names, columns=found,
                    remarks=remarks)


def label_column(names: Sequence[str], options: ReadOptions, what: str) -> tuple[str, list[str]]:
    """Returns the column of labels among `names`, and a line that says so where it was guessed.

    Raises:
      UserError: there is none.
    """
    if options.label_column:
        if options.label_column not in names:
            raise errors.unknown("label_column", options.label_column, names)
        return options.label_column, []
    found = [name for name in names if name.lower() == LABEL] or [name for name in names if name.lower() in LABELS]
    if not found:
        raise errors.UserError(f"{what}: has no column label, class, target or y; name it with label_column, or add an "
                               f"empty one if no label is known; its columns are {columns.listed(names)}")
    return found[-1], [f"labels: column {found[-1]}"]


def _test_rows(frame: Any, label: str, names: np.ndarray, options: ReadOptions) -> tuple[str, np.ndarray, list[str]]:
    """The column that says which rows are for test, if there is one, their mask, and what is to be said."""
    split = options.split_column
    if split and split not in frame.columns:
        raise errors.unknown("split_column", split, list(frame.columns))
    if split and split == label:
        raise errors.UserError(f"split_column={split}: is the column of labels")
    if not split and SPLIT in frame.columns and label != SPLIT and own.says_split(frame[SPLIT]):
        split = SPLIT
    if not split:
        test = own.held_out(names, options)
        return "", test, [own.remark_on_held_out(test, names, options)]
    test = own.split_rows(frame[split], f"split_column={split}")
    said = "" if test.any() else "; no test set"
    return split, test, [f"test set: column {split} ({int(test.sum()):,} rows){said}"]


def read(kind: str, path: str, what: str) -> Any:
    """Returns a file as a DataFrame: of text from csv, of the types that it has from parquet.

    Raises:
      UserError: there is no such file, it cannot be read, or a column has no name or that of another.
    """
    with _said(path, what):
        frame = _read_parquet(path) if kind == "parquet" else _read_csv(path)
        check_names(list(frame.columns), what)
    return frame


def blocks(kind: str, path: str, what: str, count: int) -> Iterator[Any]:
    """Yields what `read` returns in blocks of `count` rows, which is all that is held at once.

    Raises:
      UserError: as `read`; of a row that cannot be read when its turn comes.
    """
    with _said(path, what):
        for frame in (_parquet_blocks if kind == "parquet" else _csv_blocks)(path, count):
            check_names(list(frame.columns), what)
            yield frame


@contextlib.contextmanager
def _said(path: str, what: str) -> Iterator[None]:
    """Says in one line what is wrong with a file that is read in the block."""
    import pandas as pd
    if not pathlib.Path(path).is_file():
        raise errors.UserError(f"{what}: there is no such file")
    try:
        yield
    except UnicodeDecodeError as error:
        raise errors.UserError(f"{what}: is not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8") \
            from None
    except errors.UserError as error:
        raise (error if str(error).startswith(what) else errors.UserError(f"{what}: {error}")) from None
    except pd.errors.ParserWarning:
        raise errors.UserError(f"{what}: its rows have more cells than the first line has columns, as with a comma at "
                               "the end of each") from None
    except Exception as error:  # noqa: BLE001  (every parser has errors of its own)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise errors.UserError(f"{what}: cannot be read ({reason.rpartition('C error: ')[2][:200]})") from None


def check_names(names: Sequence[str], what: str) -> None:
    """Makes sure that every column has a name of its own.

    Raises:
      UserError: two have the same, or one has none.
    """
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise errors.UserError(f"{what}: has two columns {doubled[0]!r}")
    if "" in names:
        raise errors.UserError(f"{what}: column {names.index('') + 1} has no name")


def opened(path: os.PathLike | str, mode: str, encoding: str = "utf-8") -> Any:
    """Returns a file of text, packed as its ending says."""
    return _OPEN.get(pathlib.Path(path).suffix.lower(), open)(path, mode, encoding=encoding, newline="")


def _read_parquet(path: str) -> Any:
    import pandas as pd
    return _with_index(pd.read_parquet(path, engine="pyarrow"))


def _parquet_blocks(path: str, count: int) -> Iterator[Any]:
    from pyarrow import parquet
    start = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(count):
            frame = _with_index(batch.to_pandas())
            frame.index += start
            start += len(frame)
            yield frame


def _with_index(frame: Any) -> Any:
    """The frame with an index that has a name as a column, and rows by their numbers."""
    if frame.index.name is not None or frame.index.nlevels > 1:
        frame = frame.reset_index()
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.reset_index(drop=True)


def _read_csv(path: str) -> Any:
    import pandas as pd
    options, names = _csv_format(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(path, **options)
    if _may_be_short(frame):
        _check_widths(path, options["sep"], len(names))
    return _named(frame, names)


def _csv_blocks(path: str, count: int) -> Iterator[Any]:
    import pandas as pd
    options, names = _csv_format(path)
    checked = False
    with pd.read_csv(path, **options, chunksize=count) as reader:
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = next(reader, None)
            if frame is None:
                return
            if not checked and _may_be_short(frame):
                _check_widths(path, options["sep"], len(names))
                checked = True
            yield _named(frame, names)


def _may_be_short(frame: Any) -> bool:
    """Whether a row may lack its last cells, which pandas reads as empty ones."""
    return len(frame.columns) > 1 and bool((frame.iloc[:, -1] == "").any())


def _check_widths(path: str, separator: str, count: int) -> None:
    """Makes sure that every row has a cell for each column.

    Raises:
      UserError: one has fewer; the message names it.
    """
    limit = csv.field_size_limit(LARGEST_CELL)
    try:
        with opened(path, "rt", "utf-8-sig") as file:
            # Blank lines are no rows, as pandas has it.
            rows = (row for row in csv.reader(file, delimiter=separator) if len(row) > 1 or "".join(row).strip())
            for number, row in enumerate(rows, -1):
                if len(row) < count:
                    raise errors.UserError(f"row {number} has {len(row)} cells, for the {count} columns of the first "
                                           "line; an empty cell needs its separator")
    finally:
        csv.field_size_limit(limit)


def _csv_format(path: str) -> tuple[dict[str, Any], list[str]]:
    """How pandas reads the file, and the names in its first line."""
    suffixes = pathlib.Path(path).suffixes
    with opened(path, "rt", "utf-8-sig") as file:
        start = file.readline()
        separator = "\t" if ".tsv" in suffixes else _separator(start)
        file.seek(0)
        names = [name.strip() for name in next(csv.reader(file, delimiter=separator, strict=True), [])]
    _check_header(names)
    return dict(sep=separator, dtype=str, na_filter=False, encoding="utf-8-sig", index_col=False, header=0,
                names=range(len(names)), skip_blank_lines=len(names) > 1), names


def _named(frame: Any, names: list[str]) -> Any:
    frame.columns = names
    return frame.iloc[:, 1:] if names[0] == "" and names.count("") == 1 else frame  # The index that pandas writes.


def _separator(line: str) -> str:
    """The character between the columns: a comma, or what the first line has in its place."""
    plain = re.sub(r'"[^"]*"', "", line)
    return "," if "," in plain else max(";\t|", key=plain.count) if any(c in plain for c in ";\t|") else ","


def _check_header(names: Sequence[str]) -> None:
    if not any(names):
        raise errors.UserError("is empty, or has no column names in its first line")
    values = [name for name in names if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", name)]
    whole = [name for name in names if name.isdecimal()]
    if values or len(set(whole)) < len(whole):
        value = values[0] if values else next(name for name in whole if whole.count(name) > 1)
        raise errors.UserError(f"its first line names a column {value}, which looks like a value; the first line must "
                               "hold the names of the columns")
