"""What a model knows of its data once it is trained: shapes, classes, and what was fitted on them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from adgm_tf.data import preprocess as preprocess_lib
from adgm_tf.data.preprocess import Preprocess
from adgm_tf.host import errors, files

FILE = "data.json"


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """Shapes and classes of the examples, and what q sees and p describes of them.

    Attributes:
      class_names: one name a class.
      preprocess: fitted on the training examples.
      x_shape: shape of one example as the source gives it.
      x_dtype: its type there.
      is_image: whether x are images.
      has_labels: whether some were given in training, so that the classes of a model have names.
    """

    class_names: tuple[str, ...]
    preprocess: Preprocess
    x_shape: tuple[int, ...]
    x_dtype: np.dtype
    is_image: bool
    has_labels: bool = True

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def is_table(self) -> bool:
        """Whether examples are rows of a table, whose columns have names."""
        return self.preprocess.is_table

    @property
    def x_dim(self) -> int:
        """D, units that p(x|.) describes."""
        return sum(width for _, width in self.preprocess.blocks)

    @property
    def seen_dim(self) -> int:
        """S, units that q sees."""
        return self.preprocess.seen_dim

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """Density and units of each block of x, where p(x|.) is mixed: of tables alone."""
        return self.preprocess.blocks if self.is_table else ()

    def prepared(self, x: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Returns what q sees of examples [N,S]; what p describes [N,D] and where [N,D], if that is another thing."""
        return self.preprocess.prepared(x)


def write(spec: DataSpec, folder: os.PathLike | str) -> None:
    """Writes `data.json` and `preprocess/` to a run directory."""
    path = pathlib.Path(folder)
    preprocess_lib.save(spec.preprocess, path / "preprocess")
    files.write_json(path / FILE, {"class_names": list(spec.class_names), "x_shape": list(spec.x_shape),
                                   "x_dtype": np.dtype(spec.x_dtype).name, "is_image": spec.is_image,
                                   "has_labels": spec.has_labels})


def read(folder: os.PathLike | str) -> DataSpec:
    """Returns what `write` wrote.

    Raises:
      UserError: it is not there or cannot be read.
    """
    path = pathlib.Path(folder)
    if not (path / FILE).is_file():
        raise errors.UserError(f"run_dir={folder}: holds no {FILE}")
    found = files.read_json(path / FILE, "run_dir")
    try:
        return DataSpec(tuple(found["class_names"]), preprocess_lib.load(path / "preprocess"),
                        tuple(found["x_shape"]), np.dtype(found["x_dtype"]), found["is_image"], found["has_labels"])
    except (KeyError, TypeError) as error:
        raise errors.UserError(f"run_dir={folder}: {FILE} cannot be read ({error!r})") from None


