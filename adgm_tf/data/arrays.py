"""What a source gives as x, checked and understood: images in uint8 or in [0, 1], and rows of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgm_tf.host import errors

_LARGEST_UINT16 = 65_535


def understood(x: Any, what: str, first: int = 0) -> Any:
    """Returns images [N, H, W, channels], uint8 or float32 in [0, 1], or vectors [N, D], float32 or float64.

    Args:
      x: numbers [N, D], or images [N, H, W] or [N, H, W, channels] of any type: 8 and 16 bits, true and false, whole
        numbers of 0 to 255, or real ones in [0, 1].
      what: what the examples are, for the message.
      first: number of the first row, for the message.

    Raises:
      UserError: they are something else; the message names the row, the column and the value.
    """
    if hasattr(x, "checked"):
        # What stays on disk was looked at when it was opened.
        return x
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise errors.UserError(f"{what}: have the type {array.dtype}, and must be numbers")
    if array.ndim not in (2, 3, 4) or 0 in array.shape[1:]:
        raise errors.UserError(f"{what}: have the shape {shown(array.shape)}, and must be rows of numbers (N x D) or "
                               "images (N x height x width, or with channels behind)")
    if array.dtype.kind == "f":
        _check(np.isfinite(array), array, what, "must be a finite number", first)
    if array.ndim == 2:
        # float32 holds whole numbers up to 2^24.
        exact = array.dtype in (np.float32, np.float16) or (array.dtype.kind in "biu" and array.dtype.itemsize <= 2)
        return array.astype(np.float32 if exact else np.float64, copy=False)
    return _images(array if array.ndim == 4 else array[..., None], what, first)


def _images(array: np.ndarray, what: str, first: int) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return (array / _LARGEST_UINT16).astype(np.float32)
    if array.dtype.kind == "f":
        _check((array >= 0) & (array <= 1), array, what, "must lie between 0 and 1; whole numbers of 0 to 255 come as "
               "uint8", first)
        return array.astype(np.float32, copy=False)
    _check((array >= 0) & (array <= 255), array, what, "must lie between 0 and 255", first)
    return array.astype(np.uint8)


def _check(fits: np.ndarray, array: np.ndarray, what: str, rule: str, first: int) -> None:
    if not fits.all():
        row, *place = (int(i) for i in np.unravel_index(np.argmin(fits), array.shape))
        where = f"column {place[0]}" if len(place) == 1 else f"pixel {', '.join(map(str, place))}"
        raise errors.UserError(f"{what}: row {first + row}, {where} is {array[(row, *place)]:g}, and {rule}")


def like(x: Any, shape: tuple[int, ...], dtype: Any, what: str) -> Any:
    """Returns examples, understood, that can be those of a model whose training had one `shape` and images of `dtype`.

    Raises:
      UserError: they cannot; the message says what they are and must be.
    """
    found = understood(x.to_numpy() if hasattr(x, "iloc") else x, f"{what}, its examples")
    if found.shape[1:] != shape:
        raise errors.UserError(f"{what}: its examples are {shown(found.shape[1:])}, those of training {shown(shape)}")
    if found.ndim == 4 and found.dtype != dtype:
        raise errors.UserError(f"{what}: its images have the type {found.dtype}, those of training {dtype}")
    return found


def check_alike(train: Any, test: Any, what: str) -> None:
    """Makes sure that examples of a test set can be those of a model of the training set.

    Raises:
      UserError: their shapes or types differ.
    """
    if train.shape[1:] != test.shape[1:]:
        raise errors.UserError(f"{what}: its test examples are {shown(test.shape[1:])}, its training examples "
                               f"{shown(train.shape[1:])}")
    if train.ndim == 4 and train.dtype != test.dtype:
        raise errors.UserError(f"{what}: its test images have the type {test.dtype}, its training images {train.dtype}")


def shown(shape: tuple[int, ...]) -> str:
    """Returns a shape in words."""
    return " x ".join(map(str, shape)) if shape else "single numbers"
