"""Rows that say nothing, in the form of given ones: what novelty has to tell from rows of the data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np


def like(x: Any, text: Collection[str] = (), seed: int = 0) -> Any:
    """Returns rows of noise: every cell by itself, uniform between the least and the greatest value that it has in x.

    A category is one of those of its column, each as often. A text has as many words as before, each one of those of
    its column. The pixels of images share a range.

    Args:
      x: examples as the data source gives them, an array [N, ...] or a DataFrame [N].
      text: the columns that are text.
      seed: of the noise.

    Returns:
      As many rows of the same form.
    """
    rng = np.random.default_rng(seed)
    if hasattr(x, "columns"):
        return x.assign(**{name: _words(x[name], rng) if name in text else _cells(x[name], rng) for name in x.columns})
    low, high = (f(x, axis=None if x.ndim > 2 else 0) for f in (np.min, np.max))
    if np.issubdtype(x.dtype, np.integer):
        return rng.integers(low, high, x.shape, dtype=x.dtype, endpoint=True)
    return _between(low, high, rng.random(x.shape)).astype(x.dtype)


def _between(low: Any, high: Any, share: np.ndarray) -> np.ndarray:
    # Not low + share (high - low), which is infinite where the range is larger than the largest number.
    return low * (1 - share) + high * share


def _cells(column: Any, rng: np.random.Generator) -> np.ndarray:
    import pandas as pd
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        known = known[np.isfinite(known.to_numpy(np.float64))]
        return _between(float(known.min()), float(known.max()), rng.random(len(column))) if len(known) else (
            column.to_numpy())
    return rng.choice(np.asarray(known.unique(), object), len(column)) if len(known) else column.to_numpy()


def _words(column: Any, rng: np.random.Generator) -> np.ndarray:
    cells = [str(cell).split() for cell in column.fillna("")]
    known = sorted({word for cell in cells for word in cell})
    return np.array([" ".join(rng.choice(known, len(cell))) if cell else "" for cell in cells], object)
