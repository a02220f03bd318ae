"""Figures as arrays and PNG files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adgm_tf.host import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMED = 30
MOST_LETTERS = 24
MOST_MARKED = 10
MOST_LINES = 6
ACTIVE_NATS = 0.01


class Curve(NamedTuple):
    """Values [runs, n] at x [n], NaN where a run has none.

    Curves of one `colour` or one `style`, small numbers, belong together.
    """

    name: str
    x: np.ndarray
    values: np.ndarray
    colour: int = 0
    style: int = 0


def image_grid(images: np.ndarray, gap: int = 2) -> np.ndarray:
    """Returns uint8 [height, width, 3]: images [rows, columns, H, W, channels] in [0,1], white lines between them.

    One channel is grey, two are red and green, and of more than three the first three are shown.
    """
    images = images[..., :3]
    if images.shape[-1] == 2:
        images = np.pad(images, [(0, 0)] * 4 + [(0, 1)])
    rows, columns, height, width, channels = images.shape
    framed = np.ones((rows, columns, height + gap, width + gap, channels))
    framed[:, :, :height, :width] = np.clip(np.nan_to_num(images), 0, 1)
    grid = framed.transpose(0, 2, 1, 3, 4).reshape(rows * (height + gap), columns * (width + gap), channels)
    grid = np.pad(grid, ((gap, 0), (gap, 0), (0, 0)), constant_values=1)
    return np.round(255 * np.broadcast_to(grid, (*grid.shape[:2], 3))).astype(np.uint8)


def shown(name: str, most: int = MOST_LETTERS) -> str:
    """Returns a name as matplotlib writes it down: no mathematics in it, on one line, and not longer than a picture."""
    name = " ".join(name.split())
    return (name if len(name) <= most else name[: most - 3] + "...").replace("$", r"\$")


def new_axes(width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    """Returns a figure of some inches that no window shows, and its axes; `options` go to `Figure.subplots`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**options)


def scatter(points: np.ndarray, names: list[str]) -> np.ndarray:
    """Returns a drawing of points [rows, n, 2], one colour a row, as uint8 [height, width, 3]."""
    figure, axes = new_axes(5, 5)
    for row, name in zip(points, names, strict=True):
        axes.scatter(row[:, 0], row[:, 1], s=12, label=shown(name))
    axes.set_aspect("equal")
    axes.legend()
    return drawn(figure)


def examples(values: np.ndarray, x_shape: tuple[int, ...], names: list[str]) -> np.ndarray:
    """Draws examples [rows, columns, D]: images as a grid, points of the plane as a scatter plot, others as lines."""
    if len(x_shape) == 3:
        return image_grid(values.reshape(*values.shape[:2], *x_shape))
    if x_shape == (2,):
        return scatter(values, names)
    figure, axes = new_axes(6, 4)
    for i, (row, name) in enumerate(zip(values, names, strict=True)):
        axes.plot(row.T, color=f"C{i % 10}", label=[shown(name)] + ["_"] * (len(row) - 1))
    axes.legend()
    return drawn(figure)


def confusion(counts: np.ndarray, names: tuple[str, ...], title: str = "") -> np.ndarray:
    """Draws a confusion matrix, rows the true classes, columns the predicted ones.

    The colour of a cell is its share of the true class, so that rare classes are seen; its number is the count.
    """
    number, few = len(names), len(names) <= MOST_NAMED
    names = [shown(name) for name in names]
    size = 3 + 0.4 * min(number, MOST_NAMED)
    figure, axes = new_axes(size, size)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for i, j in np.argwhere(counts) if few else ():
        axes.text(j, i, counts[i, j], ha="center", va="center", size=10 if number <= MOST_MARKED else 7,
                  color="white" if share[i, j] > 0.5 else "black")
    chosen = range(number) if few else np.linspace(0, number - 1, MOST_NAMED, dtype=int)
    long = max(map(len, names), default=0) > (2 if number > MOST_MARKED else 5)
    axes.set_xticks(chosen, [names[i] for i in chosen], rotation=90 if long else 0)
    axes.set_yticks(chosen, [names[i] for i in chosen])
    axes.set_title(title.replace("$", r"\$"), wrap=True)
    axes.set(xlabel="predicted", ylabel="true")
    return drawn(figure)


def kl_per_unit(kl: dict[str, np.ndarray]) -> np.ndarray:
    """Draws the KL of each unit, sorted, one curve a variable, with its count of active units."""
    figure, axes = new_axes(6, 4)
    for letter, values in sorted(kl.items()):
        active = int(np.sum(values > ACTIVE_NATS))
        axes.plot(np.arange(1, len(values) + 1), np.sort(values)[::-1], marker=".",
                  label=f"{letter}: {active} of {len(values)} units above {ACTIVE_NATS} nats")
    axes.set(xlabel="unit, sorted", ylabel="KL(q || p), nats", ylim=(0, None))
    axes.legend()
    return drawn(figure)


def curves(lines: Sequence[Curve], xlabel: str, ylabel: str, xscale: str = "linear") -> np.ndarray:
    """Draws the mean of each curve over its runs, and a band from the least to the greatest, on a logarithmic scale.

    Args:
      lines: the curves.
      xlabel: what x is.
      ylabel: what the values are.
      xscale: linear, or log where x are a few numbers, which are then marked.
    """
    from matplotlib import ticker
    figure, axes = new_axes(8, 5.5 + 0.25 * max(0, len(lines) - MOST_LINES))
    for line in lines:
        color, runs = f"C{line.colour % 10}", len(line.values)
        most = "up to " if np.isnan(line.values).any() else ""
        name = line.name + (f" ({most}{runs} runs)" if runs > 1 else "")
        axes.plot(line.x, np.nanmean(line.values, 0), color=color, linestyle=("-", "--")[line.style], label=name,
                  marker="o" if len(line.x) <= MOST_MARKED else None)
        axes.fill_between(line.x, np.nanmin(line.values, 0), np.nanmax(line.values, 0), color=color, alpha=0.2,
                          linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log", xscale=xscale)
    if xscale == "log":
        marks = sorted({x for line in lines for x in line.x})
        axes.set_xticks(marks, [f"{x:,.0f}" for x in marks], minor=False)
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    else:
        axes.set_xlim(0, None)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7), numticks=12))
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(alpha=0.3)
    columns = 2 if max((len(line.name) for line in lines), default=0) < 40 else 1
    figure.legend(loc="outside lower center", ncols=columns)
    return drawn(figure)


def drawn(figure: Figure) -> np.ndarray:
    """Returns a figure as uint8 [height, width, 3]."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=120)
    width, height = (round(float(v)) for v in figure.get_size_inches() * 120)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., :3]


def png(picture: np.ndarray) -> bytes:
    """Returns uint8 [height, width, 3] as a PNG file."""
    from matplotlib import image
    buffer = io.BytesIO()
    image.imsave(buffer, picture, format="png")
    return buffer.getvalue()


def write_png(path: os.PathLike | str, picture: np.ndarray, scale: int = 1) -> None:
    """Writes uint8 [height, width, 3] to `path`, every pixel `scale` times as large."""
    from matplotlib import image
    with files.replacing(path) as temporary:
        image.imsave(temporary, picture.repeat(scale, 0).repeat(scale, 1), format="png")
