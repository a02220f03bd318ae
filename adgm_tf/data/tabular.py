"""What q sees and what p describes of the rows of a table, column by column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adgm_tf.data import categorical, columns, numeric, words
from adgm_tf.data.columns import Column
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

GAUSSIAN, BERNOULLI, CATEGORICAL = "gaussian", "bernoulli", "categorical"
ROWS = 10_000
_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Table:
    """What was fitted on the training rows of a table.

    Numbers come first, then each column of categories, then the words of all columns of text, in the order of the
    columns; so it is in what q sees [N, S] and in what p describes [N, D].

    Attributes:
      columns: what the columns are, those left out too.
      numbers: the columns of numbers; None if there are none.
      categories: those of categories.
      texts: those of text.
      total_stddev: sqrt of the sum of the variances of what q sees over the training rows.
    """

    columns: tuple[Column, ...]
    numbers: numeric.Numbers | None
    categories: tuple[categorical.Categories, ...]
    texts: tuple[words.Words, ...]
    total_stddev: float

    @property
    def _parts(self) -> tuple[Any, ...]:
        return *([self.numbers] if self.numbers else []), *self.categories, *self.texts

    def _typed(self, x: Any) -> Any:
        return columns.typed(x, self.columns, "examples")

    def _joined(self, frame: Any, of: Callable[[Any, Any], np.ndarray]) -> np.ndarray:
        return np.concatenate([of(part, frame) for part in self._parts], 1)

    def seen(self, x: Any) -> np.ndarray:
        """Returns what q sees of the rows of a DataFrame, float32 [N, S].

        Raises:
          UserError: a column is not there, or a cell of a column of numbers is none.
        """
        return self._joined(self._typed(x), lambda part, frame: part.seen(frame))

    __call__ = seen

    def described(self, x: Any) -> np.ndarray:
        """Returns what p describes of the rows of a DataFrame, float32 [N, D]; 0 where nothing is observed.

        Raises:
          UserError: as `seen`.
        """
        return self._joined(self._typed(x), lambda part, frame: part.described(frame))

    def observed(self, x: Any) -> np.ndarray:
        """Returns 1 where p describes something and 0 where a cell is missing or of no known category, float32 [N, D].

        Raises:
          UserError: as `seen`.
        """
        return self._joined(self._typed(x), lambda part, frame: part.observed(frame))

    def prepared(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what q sees [N, S], what p describes [N, D], and where it does [N, D].

        Raises:
          UserError: as `seen`.
        """
        frame = self._typed(x)
        return (self._joined(frame, lambda part, of: part.seen(of)),
                self._joined(frame, lambda part, of: part.described(of)),
                self._joined(frame, lambda part, of: part.observed(of)))

    @property
    def is_table(self) -> bool:
        """True: what p describes has a density for each block."""
        return True

    @property
    def seen_dim(self) -> int:
        """S, units that q sees."""
        return len(self.seen_names)

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """The density and the width of each block of what p describes, in its order."""
        width = sum(len(text.vocabulary) for text in self.texts)
        return (*([(GAUSSIAN, len(self.numbers.names))] if self.numbers else []),
                *((CATEGORICAL, len(of.values)) for of in self.categories), *([(BERNOULLI, width)] if width else []))

    @property
    def seen_names(self) -> list[str]:
        """One name a column of what q sees [S]."""
        return [name for part in self._parts for name in part.seen_names]

    @property
    def described_names(self) -> list[str]:
        """One name a column of what p describes [D]."""
        return [name for part in self._parts for name in part.described_names]

    def inverse(self, described: np.ndarray) -> Any:
        """Returns typical rows as a DataFrame: numbers in their units, the most probable category, telling words.

        Args:
          described: means of p, [N, D].
        """
        import pandas as pd
        found, start = {}, 0
        for part in self._parts:
            stop = start + len(part.described_names)
            values = part.inverse(np.asarray(described)[:, start:stop])
            found |= dict(zip(part.names, values.T, strict=True)) if part is self.numbers else {part.name: values}
            start = stop
        return pd.DataFrame({column.name: found[column.name] for column in self.columns if column.name in found})

    def describe(self) -> list[str]:
        """Returns a line a column: name, kind, why, how many cells are missing, and how many categories or words have
        a place.
        """
        curved = set() if not self.numbers else {
            name for name, curve in zip(self.numbers.names, self.numbers.curved, strict=True) if curve}
        of = {part.name: part for part in (*self.categories, *self.texts)}
        return [line + _said(column, of.get(column.name), curved=column.name in curved)
                for column, line in zip(self.columns, columns.describe(self.columns), strict=True)]

    def to_arrays(self) -> dict[str, Any]:
        """Returns all that was fitted, in arrays, lists of words and numbers; `of_arrays` takes it back."""
        found: dict[str, Any] = {"columns": [dataclasses.asdict(column) for column in self.columns],
                                 "total_stddev": self.total_stddev}
        if self.numbers:
            found |= {f"numbers/{f.name}": getattr(self.numbers, f.name) for f in dataclasses.fields(self.numbers)}
        for kind, parts in (("categories", self.categories), ("texts", self.texts)):
            found[kind] = [part.name for part in parts]
            for i, part in enumerate(parts):
                found |= {f"{kind}/{i}/{f.name}": getattr(part, f.name) for f in dataclasses.fields(part)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def of_arrays(found: dict[str, Any]) -> Table:
    """Returns what `Table.to_arrays` gave."""
    def part(kind: type, prefix: str) -> Any:
        values = {f.name: found[prefix + f.name] for f in dataclasses.fields(kind)}
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})

    parts = {kind: tuple(part(of, f"{kind}/{i}/") for i in range(len(found[kind])))
             for kind, of in (("categories", categorical.Categories), ("texts", words.Words))}
    return Table(tuple(Column(**column) for column in found["columns"]),
                 part(numeric.Numbers, "numbers/") if "numbers/names" in found else None,
                 parts["categories"], parts["texts"], found["total_stddev"])


def _said(column: Column, part: Any, *, curved: bool) -> str:
    if curved:
        return "; skewed, straightened by a power"
    if isinstance(part, categorical.Categories):
        return f"; {len(part.values):,} categories: {columns.listed(part.values[:_SHOWN])}" + (
            ", ..." if len(part.values) > _SHOWN else "")
    if column.kind == columns.TEXT:
        return f"; {len(part.vocabulary):,} words" if part else "; no word that two texts share, left out"
    return ""


def fit(x: Any, kinds: Sequence[Column], options: ReadOptions) -> Table:
    """Returns what is fitted on training rows, labelled and unlabelled.

    Args:
      x: a DataFrame [N].
      kinds: what its columns are.
      options: how many words and categories have a place.

    Raises:
      UserError: no column says anything of these rows.
    """
    frame = columns.typed(x, kinds, "examples")

    def named(kind: str) -> tuple[str, ...]:
        return tuple(column.name for column in kinds if column.kind == kind)

    numbers = numeric.fit(frame, named(columns.NUMBER)) if named(columns.NUMBER) else None
    categories = tuple(categorical.fit(frame, name, options.max_categories) for name in named(columns.CATEGORY))
    texts = tuple(words.fit(frame, name, options.max_words) for name in named(columns.TEXT))
    found = Table(tuple(kinds), numbers, tuple(c for c in categories if c.values),
                  tuple(t for t in texts if t.vocabulary), 0.0)
    if not found.blocks:
        raise errors.UserError("dataset: no column says anything of the training rows: they have neither numbers, "
                               f"categories nor a word that two texts share ({len(frame)} rows)")
    blocks = (found.seen(frame.iloc[i: i + ROWS]) for i in range(0, len(frame), ROWS))
    return dataclasses.replace(found, total_stddev=total_stddev(blocks))


def total_stddev(blocks: Any) -> float:
    """Returns sqrt(sum of the variances of the columns) of rows that come in blocks [n, S], in float64."""
    count, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        wide = block.astype(np.float64)
        rows, centre = len(wide), wide.mean(0)
        squares = squares + np.square(wide - centre).sum(0) + np.square(centre - mean) * (count * rows / (count + rows))
        mean = mean + (centre - mean) * (rows / (count + rows))
        count += rows
    return float(np.sqrt(np.sum(squares) / count)) if count else 0.0
