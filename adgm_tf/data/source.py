"""What every data source returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from adgm_tf.data import arrays, labels
from adgm_tf.data.columns import Column, typed
from adgm_tf.host import errors


@dataclasses.dataclass(frozen=True)
class Source:
    """A training and a test set, checked and brought into one form where they are made.

    Attributes:
      name: the name under which it was asked for.
      train_x: images [N, H, W, channels], uint8 or float32 in [0, 1], or vectors [N, D], float32 or float64; given as
        `arrays.understood` says. Or rows of a table: a DataFrame as `columns.typed` makes it.
      train_y: class indices [N], int32, -1 where the label is not known; given as indices or names.
      test_x: like `train_x`; may be empty.
      test_y: like `train_y`.
      class_names: one name a class; given as None, those that occur.
      columns: what the columns of a table are, those left out too; none of arrays.
      remarks: what is to be said aloud of the data, a line each.
      own: whether the data are a user's own, whose labels are used as they are given.

    Raises:
      UserError: something given cannot be understood; the message names the row, its value and the rule.
    """

    name: str
    train_x: Any
    train_y: Any
    test_x: Any
    test_y: Any
    class_names: tuple[str, ...] | None = None
    columns: tuple[Column, ...] = ()
    remarks: tuple[str, ...] = ()
    own: bool = False

    def __post_init__(self) -> None:
        found: dict[str, Any] = {}
        of = {part: f"dataset={self.name}, its {part} " for part in ("training", "test")}
        found["train_x"], found["test_x"] = self._tables() if self.is_table else self._arrays(of)
        if not len(found["train_x"]):
            raise errors.UserError(f"dataset={self.name}: has no training examples")
        found["class_names"], found["train_y"], found["test_y"] = self._labels(of)
        for part, what in zip(("train", "test"), of.values(), strict=True):
            if len(found[f"{part}_y"]) != len(found[f"{part}_x"]):
                raise errors.UserError(f"{what}labels: are {len(found[f'{part}_y'])}, for "
                                       f"{len(found[f'{part}_x'])} examples")
        for field, value in found.items():
            object.__setattr__(self, field, value)

    def _arrays(self, of: dict[str, str]) -> tuple[Any, Any]:
        """The examples of both parts."""
        train_x = arrays.understood(self.train_x, of["training"] + "examples")
        test_x = arrays.understood(self.test_x, of["test"] + "examples") if len(self.test_x) else train_x[:0]
        arrays.check_alike(train_x, test_x, f"dataset={self.name}")
        return train_x, test_x

    def _tables(self) -> tuple[Any, Any]:
        """The rows of both parts."""
        if not self.columns:
            raise errors.UserError(f"dataset={self.name}: is a table, and does not say what its columns are")
        return tuple(typed(x, self.columns, f"dataset={self.name}") for x in (self.train_x, self.test_x))

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
        """Whether examples are images, not real vectors or rows of a table."""
        return self.train_x.ndim == 4

    @property
    def is_table(self) -> bool:
        """Whether examples are rows of a table."""
        return hasattr(self.train_x, "iloc")


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
