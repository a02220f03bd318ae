"""Arrays of .npy files that stay on disk: looked at as one array, read where rows are asked for."""

from __future__ import annotations

import dataclasses
import mmap
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adgm_tf.data import arrays
from adgm_tf.host import errors

# What is read at once of all rows: the blocks of moments and checks, whatever holds the rows.
BLOCK_BYTES = 2**25
# Rows that lie this many bytes apart are read without what lies between them.
_FAR_APART = 2**16


@dataclasses.dataclass(frozen=True)
class File:
    """One .npy file: rows of one shape and type, in the order of C."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns a copy of the sorted rows; nothing of the file stays in memory."""
        with pathlib.Path(self.path).open("rb") as stream, \
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            width = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
            if hasattr(mmap, "MADV_RANDOM") and (rows[-1] - rows[0] + 1) * width > len(rows) * (width + _FAR_APART):
                memory.madvise(mmap.MADV_RANDOM)
            mapped = np.frombuffer(memory, self.dtype, self.shape[0] * (width // self.dtype.itemsize), self.offset)
            contiguous = len(rows) == 1 or np.all(np.diff(rows) == 1)
            found = mapped.reshape(self.shape)
            found = found[rows[0]: rows[-1] + 1].copy() if contiguous else found[rows]
            # The file can only be closed once nothing looks into it.
            del mapped
            return found


class Mapped:
    """Rows of files as one array [N, ...] of the type that `arrays.understood` gives.

    Looking at rows, `x[rows]`, reads nothing; `np.asarray(x)` and `x.astype(dtype)` do.

    Args:
      shards: the files, one after another.
      what: what the rows are, for messages.
      rows: which rows of the files and in which order, int64; all if not given.
    """

    def __init__(self, shards: Sequence[File], what: str, rows: np.ndarray | None = None):
        self.shards, self.what, self.rows = tuple(shards), what, rows
        self.ends = np.cumsum([shard.shape[0] for shard in self.shards])
        like = arrays.understood(np.zeros((1, *self.shards[0].shape[1:]), self.shards[0].dtype), what)
        self.dtype, self.shape = like.dtype, (int(self.ends[-1]) if rows is None else len(rows), *like.shape[1:])
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, were they in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> Mapped:
        if self.rows is not None:
            return Mapped(self.shards, self.what, self.rows[rows])
        if isinstance(rows, slice):
            return Mapped(self.shards, self.what, np.arange(*rows.indices(len(self))))
        rows = np.asarray(rows)
        if rows.dtype == bool:
            return self if rows.all() else Mapped(self.shards, self.what, np.flatnonzero(rows))
        return Mapped(self.shards, self.what, rows.astype(np.int64, copy=False))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self.astype(dtype or self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> np.ndarray:
        """Returns the rows, read and understood, in a type."""
        del copy
        return arrays.understood(self._read(), self.what).astype(dtype, copy=False)

    def _read(self) -> np.ndarray:
        rows = np.arange(len(self)) if self.rows is None else self.rows
        if np.any(np.diff(rows) < 0):
            order = np.argsort(rows, kind="stable")
            found = np.empty((len(rows), *self.shards[0].shape[1:]), self.shards[0].dtype)
            found[order] = self._read_sorted(rows[order])
            return found
        return self._read_sorted(rows)

    def _read_sorted(self, rows: np.ndarray) -> np.ndarray:
        bounds = np.searchsorted(rows, [0, *self.ends])
        parts = [shard.read(rows[i:j] - start) for shard, start, i, j in
                 zip(self.shards, [0, *self.ends], bounds, bounds[1:], strict=False) if j > i]
        if not parts:
            return np.zeros((0, *self.shards[0].shape[1:]), self.shards[0].dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def checked(self) -> Mapped:
        """Returns this once every row has been looked at, unless any value of the type will do.

        Raises:
          UserError: a value is none of an example; the message names its row and column.
        """
        if self.dtype != np.uint8 or self.shards[0].dtype.kind != "u":
            for start in range(0, len(self), rows_of_a_block(self)):
                block = self[start: start + rows_of_a_block(self)]
                arrays.understood(block._read(), self.what, start)
        return self


def rows_of_a_block(x: Any) -> int:
    """Returns how many rows of an array are taken at once, by their bytes alone."""
    return max(1, BLOCK_BYTES // max(1, x.dtype.itemsize * int(np.prod(x.shape[1:], dtype=np.int64))))


def blocks(x: Any, most: int = 2**31) -> Iterator[np.ndarray]:
    """Yields the rows of an array, in memory or not, in blocks of at most so many that are the same either way."""
    count = min(most, rows_of_a_block(x))
    for start in range(0, len(x), count):
        yield np.asarray(x[start: start + count])


def joined(one: Mapped, other: Mapped) -> Mapped:
    """Returns the rows of one and then of another, neither of them a selection."""
    return Mapped((*one.shards, *other.shards), one.what)


def find(folder: pathlib.Path, name: str, what: str) -> list[File]:
    """Returns `NAME.npy`, or the shards `NAME-*.npy` in the order of their numbers; none if there are none.

    Raises:
      UserError: one cannot be read or mapped, or their rows differ in shape or type.
    """
    single = folder / f"{name}.npy"
    numbered = sorted(folder.glob(f"{name}-*.npy"), key=lambda p: [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", p.name)])
    if single.is_file() and numbered:
        raise errors.UserError(f"{what}: has both {single.name} and {numbered[0].name}; keep the one or the shards")
    found = [_opened(path, what) for path in ([single] if single.is_file() else numbered)]
    for file in found[1:]:
        if (file.shape[1:], file.dtype) != (found[0].shape[1:], found[0].dtype):
            one, other = (f"{pathlib.Path(f.path).name} has rows of {arrays.shown(f.shape[1:])} of type {f.dtype}"
                          for f in (found[0], file))
            raise errors.UserError(f"{what}: {one}, and {other}")
    return found


def _opened(path: pathlib.Path, what: str) -> File:
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            offset = stream.tell()
    except (ValueError, EOFError) as error:
        raise errors.UserError(f"{what}: {path.name} is no npy file ({' '.join(str(error).split())[:200]})") from None
    if dtype.hasobject:
        raise errors.UserError(f"{what}: {path.name} holds objects; an array of objects must become one of numbers or "
                               "text")
    if not shape:
        raise errors.UserError(f"{what}: {path.name} holds a single value, and must hold a row an example")
    if fortran and len(shape) > 1:
        raise errors.UserError(f"{what}: {path.name} is stored column by column; store np.ascontiguousarray(x)")
    needed = offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if path.stat().st_size < needed:
        raise errors.UserError(f"{what}: {path.name} has {path.stat().st_size:,} bytes, and its header says {needed:,}")
    return File(str(path), shape, dtype, offset)
