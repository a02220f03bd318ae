"""Images in rows and columns with names beside them, large enough to be read."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgm_tf.analysis import plots

# Pixels of the longer side of an image in a grid, at least; letters are as high as this.
SIDE, LETTERS = 56, 20
MOST_ROWS = 30
MARGIN = 6


def enlarged(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Returns images [..., H, W, channels], every pixel repeated so often that the longer side reaches `side`."""
    scale = max(1, math.ceil(side / max(images.shape[-3:-1])))
    return images.repeat(scale, -3).repeat(scale, -2)


def named(images: np.ndarray, rows: Sequence[str], columns: Sequence[str] = ()) -> np.ndarray:
    """Draws images in a grid with the names of the rows on the left and those of the columns above.

    Args:
      images: [rows, columns, H, W, channels] in [0,1]; only the first 30 rows are shown, and 31 columns.
      rows: a name each.
      columns: a name each, or none.

    Returns:
      uint8 [height, width, 3].
    """
    images, rows = enlarged(images[:MOST_ROWS, : MOST_ROWS + 1]), [_cut(name) for name in rows[:MOST_ROWS]]
    grid = plots.image_grid(images)
    height, width = images.shape[2:4]
    columns = [_fitting(name, width) for name in columns[: images.shape[1]]]
    left = max((round(_font().getlength(name)) for name in rows), default=0) + 2 * MARGIN
    above = LETTERS + 2 * MARGIN if columns else 0
    page, pen = _page(left + grid.shape[1], above + grid.shape[0])
    for i, name in enumerate(rows):
        pen.text((left - MARGIN, above + (i + 0.5) * (height + 2)), name, fill=0, anchor="rm", font=_font())
    for i, name in enumerate(columns):
        pen.text((left + (i + 0.5) * (width + 2), above / 2), name, fill=0, anchor="mm", font=_font())
    drawn = np.array(page)[..., None].repeat(3, -1)
    drawn[above:, left:] = grid
    return drawn


def halved(picture: np.ndarray) -> np.ndarray:
    """Returns uint8 [height, width, channels] at half its size, each pixel the mean of four.

    TensorBoard's cards are about that wide and leave pixels out, letters included.
    """
    height, width = (n // 2 for n in picture.shape[:2])
    parts = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return np.round(parts.mean((1, 3))).astype(np.uint8)


def sprite(images: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns images [N, H, W, channels] in [0,1] in a square of rows and columns, and the width and height of one.

    An image whose longer side is more than `side` pixels is shown by every second, third, ... of its pixels.
    """
    images = enlarged(images, side // 2)
    step = math.ceil(max(images.shape[1:3]) / side)
    images = images[:, ::step, ::step]
    edge = math.ceil(math.sqrt(len(images)))
    padded = np.zeros((edge * edge, *images.shape[1:]), images.dtype)
    padded[: len(images)] = images
    grid = plots.image_grid(padded.reshape(edge, edge, *images.shape[1:]), gap=0)
    return grid, (images.shape[2], images.shape[1])


def _page(width: int, height: int) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw
    page = Image.new("L", (width, height), 255)
    return page, ImageDraw.Draw(page)


def _cut(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= plots.MOST_LETTERS else name[: plots.MOST_LETTERS - 3] + "..."


def _fitting(name: str, width: int) -> str:
    name = " ".join(name.split())
    while len(name) > 1 and _font().getlength(name) > width:
        name = name[:-1]
    return name


@functools.cache
def _font() -> Any:
    import matplotlib as mpl
    from PIL import ImageFont
    path = pathlib.Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), LETTERS)
