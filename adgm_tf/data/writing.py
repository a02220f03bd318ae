"""Tables written in blocks of rows, whole or not at all: .csv, .tsv, .parquet and .npz."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adgm_tf.data import tables
from adgm_tf.host import errors, files

PROBABILITY = "probability_"
DIGITS = "%.7g"
Write = Callable[[Any], None]


def check(path: str, argument: str) -> None:
    """Makes sure that a table can be written there.

    Raises:
      UserError: the ending is none that is known, or the path is that of a folder.
    """
    files.check_local(path, argument)
    if pathlib.Path(path).is_dir():
        raise errors.UserError(f"{argument}={path}: is a folder; name a file")
    _kind(path, argument)


@contextlib.contextmanager
def writing(path: str, argument: str) -> Iterator[Write]:
    """Yields a function that takes DataFrames of the same columns; the file is there if the block succeeds.

    Of .csv, .tsv and .parquet files no more than one frame is held. An .npz file has an array for each column, and
    those that begin with `probability_` as one array `probabilities` [N,C], with `class_names` [C].

    Raises:
      UserError: as `check`.
    """
    check(path, argument)
    with files.replacing(path) as temporary, _WRITERS[_kind(path, argument)](temporary) as write:
        yield write


def _kind(path: str, argument: str) -> str:
    found = pathlib.Path(path)
    endings = [ending.lower() for ending in found.suffixes if ending.lower() not in tables.COMPRESSED]
    ending = endings[-1] if endings else ""
    is_packed = found.suffix.lower() in tables.COMPRESSED
    if ending not in _WRITERS or (is_packed and ending not in (".csv", ".tsv")):
        raise errors.UserError(f"{argument}={path}: must end in {', '.join(_WRITERS)}, or .csv{tables.COMPRESSED[0]}")
    return ending


@contextlib.contextmanager
def _csv(path: pathlib.Path, separator: str = ",") -> Iterator[Write]:
    started = False
    with tables.opened(path, "wt") as stream:
        def write(frame: Any) -> None:
            nonlocal started
            frame.to_csv(stream, sep=separator, index=False, header=not started, float_format=DIGITS)
            started = True

        yield write


def _tsv(path: pathlib.Path) -> contextlib.AbstractContextManager[Write]:
    return _csv(path, "\t")


@contextlib.contextmanager
def _parquet(path: pathlib.Path) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet
    writer: Any = None

    def write(frame: Any) -> None:
        nonlocal writer
        schema = writer.schema if writer else None
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer:
            writer.close()


@contextlib.contextmanager
def _npz(path: pathlib.Path) -> Iterator[Write]:
    frames: list[Any] = []
    yield frames.append
    import pandas as pd
    whole = pd.concat(frames, ignore_index=True)
    probs = [name for name in whole.columns if name.startswith(PROBABILITY)]
    found = {name: _array(whole[name]) for name in whole.columns if name not in probs}
    if probs:
        found["probabilities"] = whole[probs].to_numpy(np.float64)
        found["class_names"] = np.array([name.removeprefix(PROBABILITY) for name in probs], str)
    np.savez_compressed(path, **found)


def _array(column: Any) -> np.ndarray:
    found = column.to_numpy()
    return np.array(["" if value is None else str(value) for value in column]) if found.dtype == object else found


_WRITERS = {".csv": _csv, ".tsv": _tsv, ".parquet": _parquet, ".npz": _npz}
