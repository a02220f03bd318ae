"""Folders of pictures: `folder:DIR`, a folder a class; pictures in `unlabelled/` or loose have no label."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from adgm_tf.data import own, source
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

ENDINGS = frozenset({".png", ".jpg", ".jpeg"})
UNLABELLED = frozenset({"unlabelled", "unlabeled", "unsup"})
PARTS = ("train", "test")
GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"})
_LARGEST_UINT16 = 65_535


def load(name: str, options: ReadOptions) -> source.Source:
    """Returns the source of `folder:DIR`: uint8 [N, H, W, 1 or 3], grey if all pictures are.

    A DIR that holds the folders train and test, and nothing else, has them as its two parts.

    Raises:
      UserError: there is no picture, one cannot be read, or they differ in size and no size is given.
    """
    what, root = f"dataset={name}", pathlib.Path(name.partition(":")[2])
    if not root.is_dir():
        raise errors.UserError(f"{what}: there is no such folder")
    inside = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    parts = PARTS if inside == sorted(PARTS) else ("",)
    listed = [pictures(root / part) for part in parts]
    files = [file for found, _, _ in listed for file, _ in found]
    names = np.array([label for found, _, _ in listed for _, label in found] + [None], object)[:-1]
    if not listed[0][0]:
        raise errors.UserError(f"{what}: holds no picture; put png or jpeg files into a folder for each class")
    remarks = [remark for _, said, _ in listed for remark in said]
    if others := sum(count for _, _, count in listed):
        remarks.append(f"{others:,} files that are neither png nor jpeg were passed over")
    x = read(files, options.image_size, None, what)
    if len(parts) == 2:
        test = np.arange(len(x)) >= len(listed[0][0])
        remarks.append(f"test set: folder test ({int(test.sum()):,} pictures)")
    else:
        test = own.held_out(names, options)
        remarks.append(own.remark_on_held_out(test, names, options))
    return own.made(name, x, names, test, remarks=[*own.remarks_on(names, ""), *remarks])


def pictures(root: pathlib.Path) -> tuple[list[tuple[pathlib.Path, str | None]], list[str], int]:
    """Returns the pictures under a folder with the names of their classes, None where unknown, what is to be said, and
    how many files are none.
    """
    found: list[tuple[pathlib.Path, str | None]] = []
    remarks, others = [], 0
    for inside in sorted(path for path in root.iterdir() if not path.name.startswith(".")):
        label = inside.name if inside.is_dir() and inside.name.lower() not in UNLABELLED else None
        files = [inside] if not inside.is_dir() else sorted(p for p in inside.rglob("*") if p.is_file())
        kept = [path for path in files if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
        others += len(files) - len(kept)
        found += [(path, label) for path in kept]
        if label is not None and not kept:
            remarks.append(f"folder {label}: holds no picture, and is no class")
    return found, remarks, others


def read(files: Sequence[pathlib.Path], size: Sequence[int], channels: int | None, what: str) -> np.ndarray:
    """Returns pictures, uint8 [N, H, W, channels].

    Transparent parts are white, 16 bits become 8, and a picture that a camera has turned is turned back.

    Args:
      files: where they are.
      size: height and width to which they are resized; empty if all have one size, which they keep.
      channels: 1 or 3; None for 1 if all are grey, else 3.
      what: what they are, for the message.

    Raises:
      UserError: one cannot be read, or they differ in size and none is given.
    """
    facts = _each(_facts, files, what)
    sizes = [(height, width) for height, width, _ in facts]
    if not size:
        if other := next((i for i, found in enumerate(sizes) if found != sizes[0]), None):
            raise errors.UserError(f"{what}: {files[0]} has {_by(sizes[0])} pixels, {files[other]} "
                                   f"{_by(sizes[other])}; give image_size=HEIGHT,WIDTH")
        size = sizes[0]
    channels = channels or (1 if all(grey for _, _, grey in facts) else 3)
    pixels = np.empty((len(files), *size, channels), np.uint8)

    def fill(place: tuple[int, pathlib.Path]) -> None:
        pixels[place[0]] = _pixels(place[1], (size[0], size[1]), channels)

    _each(fill, list(enumerate(files)), what, lambda place: place[1])
    return pixels


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _each(act: Callable, items: Sequence[Any], what: str, file_of: Callable = lambda item: item) -> list[Any]:
    """What `act` returns for each item, several at once; a picture that cannot be read is named."""
    def attempt(item: Any) -> Any:
        try:
            return act(item)
        except Exception as error:  # noqa: BLE001  (every format has errors of its own)
            reason = " ".join(str(error).split()).replace(str(file_of(item)), "it") or type(error).__name__
            return errors.UserError(f"{what}: {file_of(item)} cannot be read as a picture ({reason[:200]})")

    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(attempt, items))
    _raise_first(found)
    return found


def _raise_first(found: Iterable[Any]) -> None:
    for value in found:
        if isinstance(value, errors.UserError):
            raise value


def _facts(path: pathlib.Path) -> tuple[int, int, bool]:
    """Height, width and whether it is grey, from the head of a picture."""
    from PIL import Image
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) >= 5  # Orientations on the side.
        width, height = image.size[::-1] if turned else image.size
        grey = image.mode in GREY or (image.mode == "P" and _is_grey(image))
        return height, width, grey


def _is_grey(image: Any) -> bool:
    red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).T
    return bool(np.array_equal(red, green) and np.array_equal(red, blue))


def _pixels(path: pathlib.Path, size: tuple[int, int], channels: int) -> np.ndarray:
    from PIL import Image, ImageOps
    with Image.open(path) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            wide = np.clip(np.asarray(image, np.float64), 0, _LARGEST_UINT16)
            image = Image.fromarray(np.round(wide * (255 / _LARGEST_UINT16)).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(*size, channels)
