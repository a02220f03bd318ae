"""Images to [0, 1], real vectors to mean 0 and variance 1."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from adgm_tf.data import mapped


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Takes what a source gives to what a model sees, (x - offset) * scale; offset and scale in float64."""

    offset: np.ndarray | float
    scale: np.ndarray | float

    def __call__(self, x: Any) -> np.ndarray:
        """Returns x scaled and flattened: float32 [N, D]."""
        wide = x.astype(np.float64 if x.ndim == 2 else np.float32)
        return ((wide - self.offset) * self.scale).astype(np.float32).reshape(-1, math.prod(x.shape[1:]))

    @property
    def dtype(self) -> type:
        """The type that holds x to a thousandth of its standard deviation: float32 unless that is far below x."""
        return np.float64 if np.any(np.abs(self.offset) * self.scale * np.finfo(np.float32).eps > 1e-3) else np.float32


def of_images(dtype: np.dtype) -> Scaling:
    """Returns the scaling of images of a type to [0, 1]."""
    return Scaling(0.0, 1 / 255 if dtype == np.uint8 else 1.0)


def of_vectors(x: Any) -> Scaling:
    """Returns the scaling of vectors [N, D]; moments in float64, columns constant up to rounding keep their scale."""
    if not len(x):
        return Scaling(0.0, 1.0)
    from sklearn.preprocessing import StandardScaler
    fitted = StandardScaler()
    for block in mapped.blocks(x):
        fitted.partial_fit(block)
    with np.errstate(divide="ignore", over="ignore"):
        scale = 1 / fitted.scale_
    return Scaling(fitted.mean_, np.where(np.isfinite(scale), scale, 1.0))
