"""A column of text: tf-idf rows of length 1 for q, words that are there or not for p."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

# A word is a run of letters and digits of any script, in small letters: RE2's [\p{L}\p{N}]+ after lower-casing.
WORD = r"[^\W_]+"
SHORTEST = 2
FEWEST = 2
TYPICAL = 10


@dataclasses.dataclass(frozen=True)
class Words:
    """Takes a text to (1 + ln count) idf of each word it has, divided by the length of the row.

    Words that are not in the vocabulary count nowhere; a text without any known word is a row of zeros.

    Attributes:
      name: of the column.
      vocabulary: words [V].
      idf: ln((1 + n) / (1 + number of the n training texts that have the word)) + 1, float64 [V].
      share: of the training texts that have the word, float64 [V].
    """

    name: str
    vocabulary: tuple[str, ...]
    idf: np.ndarray
    share: np.ndarray

    def _counts(self, frame: Any) -> Any:
        """How often each word is in each text, a sparse matrix [N, V]."""
        from scipy import sparse
        if not len(frame):
            return sparse.csr_matrix((0, len(self.vocabulary)))
        return _counter(vocabulary=self.vocabulary).transform(_texts(frame[self.name]))

    def seen(self, frame: Any) -> np.ndarray:
        """Returns the rows of tf-idf, float32 [N, V]."""
        from sklearn.preprocessing import normalize
        weights = self._counts(frame).astype(np.float64)
        if not len(frame):
            return weights.astype(np.float32).toarray()
        weights.data = (1 + np.log(weights.data)) * self.idf[weights.indices]
        return normalize(weights, copy=False).astype(np.float32).toarray()

    def described(self, frame: Any) -> np.ndarray:
        """Returns 1 where a text has a word, float32 [N, V]."""
        return (self._counts(frame) > 0).astype(np.float32).toarray()

    def observed(self, frame: Any) -> np.ndarray:
        """Returns 1 in a row whose text is there and 0 in any other, float32 [N, V]."""
        there = frame[self.name].notna().to_numpy()
        return np.repeat(there[:, None], len(self.vocabulary), 1).astype(np.float32)

    def inverse(self, described: np.ndarray) -> np.ndarray:
        """Returns the words that stand out most from the training texts, separated by blanks [N]."""
        rows = np.argsort(-(described - self.share), 1, kind="stable")[:, :TYPICAL]
        return np.array([" ".join(self.vocabulary[j] for j in row) for row in rows] + [None], object)[:-1]

    @property
    def seen_names(self) -> list[str]:
        """One name a column of what q sees."""
        return [f"{self.name}: {word}" for word in self.vocabulary]

    described_names = seen_names


def _texts(column: Any) -> list[str]:
    return ["" if missing else str(text) for text, missing in zip(column, column.isna(), strict=True)]


def _counter(**given: Any) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    return CountVectorizer(lowercase=True, token_pattern=WORD, **given)


def fit(frame: Any, name: str, most: int) -> Words:
    """Returns the words of a column of the training rows that most texts have.

    Left out are words of one letter, of a single text, and of every text.

    Args:
      frame: a DataFrame of typed columns [N].
      name: of the column.
      most: how many words have a place.
    """
    column = frame[name][frame[name].notna()]
    try:
        counter = _counter()
        counts = counter.fit_transform(_texts(column))
    except ValueError:  # There is no word in any text.
        return Words(name, (), np.zeros(0), np.zeros(0))
    words, texts = counter.get_feature_names_out(), np.asarray((counts > 0).sum(0)).ravel()
    kept = [j for j in np.lexsort((words, -texts)) if len(words[j]) >= SHORTEST and FEWEST <= texts[j] < len(column)]
    rows = np.array(sorted(kept[:most], key=lambda j: words[j]), int)
    found = texts[rows].astype(np.float64)
    return Words(name, tuple(map(str, words[rows])), np.log((1 + len(column)) / (1 + found)) + 1, found / len(column))
