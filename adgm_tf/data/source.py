"""What every data source returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from adgm_tf.data import arrays, labels
from adgm_tf.host import errors


@dataclasses.dataclass(frozen=True)
class Source:
    """A training and a test set, checked and brought into one form where they are made.

    Attributes:
      name: the name under which it was asked for.
      train_x: images [N, H, W, channels], uint8 or float32 in [0, 1], or vectors [N, D], float32 or float64; given as
        `arrays.understood` says.
      train_y: class indices [N], int32, -1 where the label is not known; given as indices or names.
      test_x: like `train_x`; may be empty.
      test_y: like `train_y`.
      class_names: one name a class; given as None, those that occur.

    Raises:
      UserError: something given cannot be understood; the message names the row, its value and the rule.
    """

    name: str
    train_x: Any
    train_y: Any
    test_x: Any
    test_y: Any
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        found: dict[str, Any] = {}
        of = {part: f"dataset={self.name}, its {part} " for part in ("training", "test")}
        found["train_x"] = arrays.understood(self.train_x, of["training"] + "examples")
        if not len(found["train_x"]):
            raise errors.UserError(f"dataset={self.name}: has no training examples")
        empty = found["train_x"][:0]
        found["test_x"] = arrays.understood(self.test_x, of["test"] + "examples") if len(self.test_x) else empty
        arrays.check_alike(found["train_x"], found["test_x"], f"dataset={self.name}")
        found["class_names"], found["train_y"], found["test_y"] = self._labels(of)
        for part, what in zip(("train", "test"), of.values(), strict=True):
            if len(found[f"{part}_y"]) != len(found[f"{part}_x"]):
                raise errors.UserError(f"{what}labels: are {len(found[f'{part}_y'])}, for "
                                       f"{len(found[f'{part}_x'])} examples")
        for field, value in found.items():
            object.__setattr__(self, field, value)

    def _labels(self, of: dict[str, str]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        """The classes and the indices of the labels of both parts."""
        parts = [(y, f"{what}labels") for y, what in zip((self.train_y, self.test_y), of.values(), strict=True)]
        if self.class_names is None:
            parts = [(labels.names_of(y, what), what) for y, what in parts]
            names = labels.classes_of(name for found, _ in parts for name in found)
        else:
            names = tuple(map(str, self.class_names))
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise errors.UserError(f"dataset={self.name}: names the class {doubled[0]} twice")
        return names, *(labels.indexed(y, names, what) for y, what in parts)

    @property
    def is_image(self) -> bool:
        """Whether examples are images, not real vectors."""
        return self.train_x.ndim == 4


def stratified(y: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a mask [N] of `per_class` examples of every class, drawn by `rng`."""
    mask = np.zeros(len(y), bool)
    for c in np.unique(y):
        mask[rng.permutation(np.flatnonzero(y == c))[:per_class]] = True
    return mask


def hold_out(name: str, x: np.ndarray, y: np.ndarray, per_class: int, class_names: tuple[str, ...]) -> Source:
    """Returns a source whose test set is `per_class` examples of every class, the same ones in every run."""
    test = stratified(y, per_class, np.random.default_rng(0))
    return Source(name, x[~test], y[~test], x[test], y[test], class_names)
