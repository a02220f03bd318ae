"""Rows that say nothing, in the form of given ones: what novelty has to tell from rows of the data."""

from __future__ import annotations

from typing import Any

import numpy as np


def like(x: Any, seed: int = 0) -> Any:
    """Returns rows of noise: every cell by itself, uniform between the least and the greatest value that it has in x.

    A cell that is no number has one of the values of its column, each as often; of images all pixels share a range.

    Args:
      x: examples as the data source gives them, an array [N, ...] or a DataFrame [N].
      seed: of the noise.

    Returns:
      As many rows of the same form.
    """
    rng = np.random.default_rng(seed)
    if hasattr(x, "columns"):
        return x.assign(**{name: _column(x[name], rng) for name in x.columns})
    whole = x.ndim > 2
    low, high = (f(x) if whole else f(x, axis=0) for f in (np.min, np.max))
    if np.issubdtype(x.dtype, np.integer):
        return rng.integers(low, high.astype(np.int64) + 1, x.shape).astype(x.dtype)
    return rng.uniform(low, high, x.shape).astype(x.dtype)


def _column(column: Any, rng: np.random.Generator) -> Any:
    import pandas as pd
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.notna().any():
        return rng.uniform(column.min(), column.max(), len(column))
    values = column.dropna().unique()
    return rng.choice(np.asarray(values, object), len(column)) if len(values) else column.to_numpy()
