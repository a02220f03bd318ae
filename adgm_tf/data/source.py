"""What every data source returns."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Source:
    """A training and a test set as the source gives them.

    Attributes:
      name: the name under which it was asked for.
      train_x: uint8 images [N, H, W, channels] or float32 vectors [N, D].
      train_y: class indices [N], int32.
      test_x: like `train_x`.
      test_y: like `train_y`.
      class_names: one name a class.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    class_names: tuple[str, ...]

    @property
    def is_image(self) -> bool:
        """Whether examples are uint8 images, not real vectors."""
        return self.train_x.dtype == np.uint8


def stratified(y: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a mask [N] of `per_class` examples of every class, drawn by `rng`."""
    mask = np.zeros(len(y), bool)
    for c in np.unique(y):
        mask[rng.permutation(np.flatnonzero(y == c))[:per_class]] = True
    return mask


def hold_out(name: str, x: np.ndarray, y: np.ndarray, per_class: int, class_names: tuple[str, ...]) -> Source:
    """Returns a source whose test set is `per_class` examples of every class, the same ones in every run."""
    test = stratified(y, per_class, np.random.default_rng(0))
    return Source(name, x[~test], y[~test].astype(np.int32), x[test], y[test].astype(np.int32), class_names)
