"""What q sees and what p describes of the examples of a source: fitted, stored, and found again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.data import arrays, mapped, scaling, tabular
from adgm_tf.data.columns import Column
from adgm_tf.data.scaling import Scaling
from adgm_tf.host import errors, files
from adgm_tf.options import ReadOptions

NAME = "preprocess"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Images scaled to [0, 1] or vectors standardised: q sees what p describes, and nothing is missing.

    Attributes:
      scaling: how.
      x_shape: shape of one example as the source gives it.
      x_dtype: its type there.
      total_stddev: sqrt of the sum of the variances of what q sees over the training examples.
    """

    scaling: Scaling
    x_shape: tuple[int, ...]
    x_dtype: np.dtype
    total_stddev: float

    def seen(self, x: Any) -> np.ndarray:
        """Returns what q sees, float32 [N, D].

        Raises:
          UserError: an example has another shape.
        """
        if x.shape[1:] != self.x_shape:
            raise errors.UserError(f"examples: are {arrays.shown(x.shape[1:])}, and those of training "
                                   f"{arrays.shown(self.x_shape)}")
        return self.scaling(x)

    __call__ = described = seen

    def observed(self, x: Any) -> None:
        """Returns None: nothing can be missing."""
        del x

    def prepared(self, x: Any) -> tuple[np.ndarray, None, None]:
        """Returns what q sees; p describes the same, everywhere."""
        return self.seen(x), None, None

    @property
    def is_table(self) -> bool:
        """False: what p describes has one density."""
        return False

    @property
    def seen_dim(self) -> int:
        """D, units that q sees."""
        return math.prod(self.x_shape)

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """The density and the width of each block of what p describes."""
        return ((tabular.BERNOULLI if len(self.x_shape) == 3 else tabular.GAUSSIAN, math.prod(self.x_shape)),)

    @property
    def seen_names(self) -> list[str]:
        """One name a column of what q sees [D]."""
        if len(self.x_shape) == 1:
            return [f"column {j}" for j in range(self.x_shape[0])]
        return [f"pixel {', '.join(map(str, place))}" for place in np.ndindex(self.x_shape)]

    described_names = seen_names

    def inverse(self, described: np.ndarray) -> np.ndarray:
        """Returns examples [N, ...]: images in [0, 1], vectors in their units."""
        shaped = np.asarray(described).reshape(-1, *self.x_shape)
        return shaped if len(self.x_shape) == 3 else shaped / self.scaling.scale + self.scaling.offset

    def describe(self) -> list[str]:
        """Returns a line that says what the examples are."""
        kind = "images" if len(self.x_shape) == 3 else "vectors"
        return [f"{kind} of {arrays.shown(self.x_shape)} ({self.x_dtype})"]

    def to_arrays(self) -> dict[str, Any]:
        """Returns all that was fitted, in arrays and numbers."""
        return {"x_shape": list(self.x_shape), "x_dtype": np.dtype(self.x_dtype).name, "offset": self.scaling.offset,
                "scale": self.scaling.scale, "total_stddev": self.total_stddev}


Preprocess = Arrays | tabular.Table


def fit(x: Any, kinds: Sequence[Column], options: ReadOptions) -> Preprocess:
    """Returns what is fitted on the training examples, labelled and unlabelled.

    Args:
      x: an array [N, ...] as `arrays.understood` gives it, or a DataFrame [N].
      kinds: what the columns of a DataFrame are.
      options: how many words and categories have a place.

    Raises:
      UserError: the rows of a table say nothing.
    """
    if hasattr(x, "iloc"):
        return tabular.fit(x, kinds, options)
    scaled = scaling.of_images(x.dtype) if x.ndim == 4 else scaling.of_vectors(x)
    return Arrays(scaled, x.shape[1:], x.dtype, tabular.total_stddev(map(scaled, mapped.blocks(x, tabular.ROWS))))


def save(preprocess: Preprocess, folder: os.PathLike | str) -> None:
    """Writes what was fitted to `preprocess.json` and `preprocess.npz` of a folder."""
    found = preprocess.to_arrays()
    stored = {key: value for key, value in found.items() if isinstance(value, np.ndarray)}
    with files.replacing(pathlib.Path(folder) / f"{NAME}.npz") as path:
        np.savez_compressed(path, **stored)
    kind = "table" if isinstance(preprocess, tabular.Table) else "arrays"
    files.write_json(pathlib.Path(folder) / f"{NAME}.json", {
        "format": FORMAT, "kind": kind, **{key: value for key, value in found.items() if key not in stored}})


def load(folder: os.PathLike | str) -> Preprocess:
    """Returns what `save` wrote: the same answers, bit for bit.

    Raises:
      UserError: it is not there or cannot be read.
    """
    path = pathlib.Path(folder)
    try:
        found = json.loads((path / f"{NAME}.json").read_text(encoding="utf-8"))
        if found["format"] > FORMAT:
            raise errors.UserError(f"{path}: {NAME}.json comes from a later version of the package")
        with np.load(path / f"{NAME}.npz", allow_pickle=False) as stored:
            found |= {name: stored[name] for name in stored.files}
        if found["kind"] == "table":
            return tabular.of_arrays(found)
        return Arrays(Scaling(found["offset"], found["scale"]), tuple(found["x_shape"]), np.dtype(found["x_dtype"]),
                      found["total_stddev"])
    except FileNotFoundError as error:
        raise errors.UserError(f"{path}: holds no {pathlib.Path(error.filename).name}") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.UserError(f"{path}: {NAME} cannot be read ({error})") from None
