"""New rows for a model: files of the kinds that it can learn from, labels in them or not."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adgm_tf.data import arrays, cells, columns, folders, npz, own, tables
from adgm_tf.data.preprocess import Arrays, Preprocess
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

KINDS = {".npz": "npz", ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv"}
FILE = "file"


@dataclasses.dataclass(frozen=True)
class Rows:
    """New rows, in the order of their file.

    Attributes:
      x: what `preprocess.seen` takes: an array or a DataFrame [N].
      names: the names of their labels [N], None where unknown; None if the file has no labels.
      frame: a DataFrame [N] of the whole table, or of the files of pictures; None of arrays.
    """

    x: Any
    names: np.ndarray | None
    frame: Any

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: slice) -> Rows:
        """Returns some of the rows."""
        x, frame = (v.iloc[rows] if hasattr(v, "iloc") else v[rows] if v is not None else None
                    for v in (self.x, self.frame))
        return Rows(x, None if self.names is None else self.names[rows], frame)


def read(path: str, like: Preprocess, options: ReadOptions, argument: str) -> Rows:
    """Returns the rows of a file or a folder for a model whose examples are `like` those of training.

    Args:
      path: a .csv, .tsv, .parquet or .npz file, or a folder of pictures; perhaps with csv:, parquet:, npz: or folder:
        before it.
      like: what was fitted in training.
      options: which columns are labels and names of the rows; both may be missing.
      argument: what the path was given as, for the message.

    Raises:
      UserError: the file cannot be read, or its rows are not like those of training.
    """
    what = f"{argument}={path}"
    kind, place = _known_kind(path, like, what)
    if kind == "npz":
        return _of_npz(place, like, options, what)
    if kind == "folder":
        return _of_pictures(_pictures(place, like, what), place, like, what)
    return _of_table(tables.read(kind, place, what), like, options, what)


def blocks(path: str, like: Preprocess, options: ReadOptions, argument: str, count: int, *,
           with_labels: bool = True) -> Iterator[Rows]:
    """Yields what `read` returns in blocks of `count` rows; of all but npz files no more is held at once.

    Without labels nothing is asked of them: a column that is called like one may hold anything.

    Raises:
      UserError: as `read`; of a row when its turn comes.
    """
    what = f"{argument}={path}"
    kind, place = _known_kind(path, like, what)
    if kind == "npz":
        rows = _of_npz(place, like, options, what, with_labels=with_labels)
        yield from (rows.take(slice(i, i + count)) for i in range(0, len(rows), count))
    elif kind == "folder":
        found = _pictures(place, like, what)
        yield from (_of_pictures(found[i: i + count], place, like, what) for i in range(0, len(found), count))
    else:
        frame = None
        for frame in tables.blocks(kind, place, what, count):
            yield _of_table(frame, like, options, what, with_labels=with_labels)
        if frame is None:
            raise _no_rows(what)


def file_of(path: str) -> pathlib.Path:
    """Returns where the file or folder is that is read as `path`."""
    prefix, colon, rest = path.partition(":")
    return pathlib.Path(rest if colon and prefix in (*KINDS.values(), "folder") else path)


def _known_kind(path: str, like: Preprocess, what: str) -> tuple[str, str]:
    """What the file is and where.

    Raises:
      UserError: it is nothing that the model could take.
    """
    kind, place = _kind(path, what)
    if kind in ("npz", "folder") and not isinstance(like, Arrays):
        raise errors.UserError(f"{what}: the model learnt from a table; give a .csv, .tsv or .parquet file")
    return kind, place


def _kind(path: str, what: str) -> tuple[str, str]:
    found, (prefix, colon, rest) = file_of(path), path.partition(":")
    if colon and prefix in (*KINDS.values(), "folder"):
        return prefix, rest
    endings = [ending.lower() for ending in found.suffixes if ending.lower() not in tables.COMPRESSED]
    kind = "folder" if found.is_dir() or found.suffix.lower() in folders.ENDINGS else KINDS.get((endings or [""])[-1])
    if not kind:
        raise errors.UserError(f"{what}: must be a folder of pictures, or end in {', '.join(KINDS)}")
    return kind, path


def _of_table(frame: Any, like: Preprocess, options: ReadOptions, what: str, *, with_labels: bool = True) -> Rows:
    if not len(frame):
        raise _no_rows(what)
    label = _label(frame, like, options)
    names = None if label is None or not with_labels else own.label_names(
        frame[label], options.unlabelled_value, f"{what}, column {label}")
    if not isinstance(like, Arrays):
        return Rows(columns.typed(frame, like.columns, what), names, frame)
    left = {label, options.id_column, options.split_column or tables.SPLIT, *options.ignore_columns}
    x = frame[[name for name in frame.columns if name not in left]]
    if like.x_shape != (len(x.columns),):
        raise errors.UserError(f"{what}: has {len(x.columns)} columns of numbers, and the examples of training are "
                               f"{arrays.shown(like.x_shape)}")
    return Rows(_numbers(x, what), names, frame)


def _no_rows(what: str) -> errors.UserError:
    return errors.UserError(f"{what}: has column names and no rows")


def _numbers(frame: Any, what: str) -> np.ndarray:
    found = np.stack([cells.checked_numbers(frame[name], what) for name in frame.columns], 1)
    if np.isnan(found).any():
        row, column = (int(i) for i in np.argwhere(np.isnan(found))[0])
        raise errors.UserError(f"{what}: row {row}, column {frame.columns[column]} is empty, and must be a number; the "
                               "model learnt from arrays")
    return found


def _label(frame: Any, like: Preprocess, options: ReadOptions) -> str | None:
    """The column of labels if there is one, which is none of those that the model learnt from."""
    learnt = set() if isinstance(like, Arrays) else {c.name for c in like.columns if c.kind != columns.LEFT_OUT}
    free = [name for name in frame.columns if name not in learnt]
    if options.label_column:
        return options.label_column if options.label_column in free else None
    found = [name for name in free if name.lower() == tables.LABEL] or [
        name for name in free if name.lower() in tables.LABELS]
    return found[-1] if found else None


def _of_npz(path: str, like: Arrays, options: ReadOptions, what: str, *, with_labels: bool = True) -> Rows:
    found = npz.read(path, what)
    x = arrays.like(found["x"], like.x_shape, like.x_dtype, what)
    class_names = None if "names" not in found else tuple(str(n) for n in found["names"].ravel())
    y = found.get("y") if with_labels else None
    names = None if y is None else npz.names(y, len(x), class_names, options, f"{what}, its labels")
    return Rows(x, names, None)


def _pictures(path: str, like: Arrays, what: str) -> list[tuple[pathlib.Path, str | None]]:
    """The pictures of a folder, or one, each with the name of its class."""
    if len(like.x_shape) != 3 or like.x_shape[2] not in (1, 3):
        raise errors.UserError(f"{what}: holds pictures, and the examples of training are {arrays.shown(like.x_shape)}")
    root = pathlib.Path(path)
    found = [(root, None)] if root.is_file() else folders.pictures(root)[0] if root.is_dir() else []
    if not found:
        raise errors.UserError(f"{what}: holds no picture" if root.is_dir() else f"{what}: there is no such folder")
    return found


def _of_pictures(found: Sequence[tuple[pathlib.Path, str | None]], path: str, like: Arrays, what: str) -> Rows:
    import pandas as pd
    root = pathlib.Path(path)
    x = folders.read([file for file, _ in found], like.x_shape[:2], like.x_shape[2], what)
    if like.x_dtype != np.uint8:
        x = (x / 255).astype(np.float32)
    names = np.array([label for _, label in found] + [None], object)[:-1]
    shown = [os.path.relpath(file, root if root.is_dir() else root.parent) for file, _ in found]
    return Rows(x, names if any(label is not None for label in names) else None, pd.DataFrame({FILE: shown}))
