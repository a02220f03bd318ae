"""A column of categories: a place for each, for any other, and for a missing cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.data import cells


@dataclasses.dataclass(frozen=True)
class Categories:
    """Takes a cell to one place of K + 2 for q, and to one of K or to nothing for p.

    Attributes:
      name: of the column.
      values: the categories [K], those of training, or the most frequent of them.
    """

    name: str
    values: tuple[str, ...]

    def _places(self, frame: Any) -> np.ndarray:
        """The place of each cell [N]: K for another value than those known, K + 1 where missing."""
        import pandas as pd
        known = cells.spellings(self.values)
        numbers, words = pd.factorize(frame[self.name])
        places = [known.get(word, len(self.values)) for word in words]
        return np.array([*places, len(self.values) + 1])[numbers]

    def seen(self, frame: Any) -> np.ndarray:
        """Returns 1 at the place of the category, of any other, or of a missing cell, float32 [N, K + 2]."""
        return np.eye(len(self.values) + 2, dtype=np.float32)[self._places(frame)]

    def described(self, frame: Any) -> np.ndarray:
        """Returns 1 at the place of the category, float32 [N, K]; 0 everywhere if the cell is missing or unknown."""
        return self.seen(frame)[:, : len(self.values)]

    def observed(self, frame: Any) -> np.ndarray:
        """Returns 1 in a row whose cell is one of the categories and 0 in any other, float32 [N, K]."""
        known = self._places(frame) < len(self.values)
        return np.repeat(known[:, None], len(self.values), 1).astype(np.float32)

    def unknown(self, frame: Any) -> int:
        """Returns how many cells are of no category here, missing ones aside."""
        return int(np.sum(self._places(frame) == len(self.values)))

    def inverse(self, described: np.ndarray) -> np.ndarray:
        """Returns the most probable category [N]."""
        return np.array(self.values, object)[described.argmax(1)]

    @property
    def seen_names(self) -> list[str]:
        """One name a column of what q sees."""
        return [*self.described_names, f"{self.name} is another", f"{self.name} is missing"]

    @property
    def described_names(self) -> list[str]:
        """One name a column of what p describes."""
        return [f"{self.name} = {value}" for value in self.values]


def fit(frame: Any, name: str, most: int) -> Categories:
    """Returns the categories of a column of the training rows, the `most` frequent ones, in the order of the alphabet.

    Args:
      frame: a DataFrame of typed columns [N].
      name: of the column.
      most: how many have a place of their own.
    """
    counts = frame[name].value_counts()
    kept = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return Categories(name, tuple(sorted(_written_once([str(value) for value, _ in kept]))))


def _written_once(words: Sequence[str]) -> list[str]:
    """Words, most frequent first, without those that are another spelling of one before them."""
    found: list[str] = []
    for word in words:
        if word not in cells.spellings(found):
            found.append(word)
    return found
