import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt

from adgm_tf.analysis import calibration, metrics, plots, run_plots, uncertainty


def test_a_grid_holds_every_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 1)) / 255
    grid = plots.image_grid(images, gap=2)
    assert grid.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    for row in range(2):
        for column in range(3):
            cut = grid[2 + 6 * row: 6 + 6 * row, 2 + 7 * column: 7 + 7 * column]
            np.testing.assert_array_equal(cut, np.round(255 * images[row, column]).repeat(3, -1))
    assert (grid[:2] == 255).all()


def test_a_png_reads_back_as_it_was(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    plots.write_png(tmp_path / "figures" / "a.png", picture, scale=2)
    read = np.round(255 * plt.imread(tmp_path / "figures" / "a.png")[..., :3]).astype(np.uint8)
    np.testing.assert_array_equal(read, picture.repeat(2, 0).repeat(2, 1))
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["a.png"]


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 3), (2,), (5,)])
def test_examples_of_every_kind_can_be_drawn(shape):
    values = np.random.default_rng(0).random((2, 3, int(np.prod(shape))))
    picture = plots.examples(values, shape, ["one", "two"])
    assert picture.dtype == np.uint8
    assert picture.shape[-1] == 3
    assert picture.std() > 0


def test_curves_and_counts_can_be_drawn():
    for picture in (plots.kl_per_unit({"a": np.linspace(1, 0, 9), "z": np.zeros(3)}),
                    plots.confusion(np.diag([3, 4]), ("no", "yes"), "title")):
        assert picture.std() > 0


def test_a_confusion_matrix_of_many_classes_is_no_larger_than_one_of_thirty():
    many, thirty = (plots.confusion(np.eye(n, dtype=int), tuple(f"class {i}" for i in range(n)), "title")
                    for n in (300, 30))
    assert many.shape == thirty.shape
    assert many.std() > 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_images_of_any_channels_are_drawn(channels):
    values = np.random.default_rng(0).uniform(size=(2, 3, 4 * 5 * channels))
    assert plots.examples(values, (4, 5, channels), ["a", "b"]).shape[-1] == 3


NAMES = ["$x", "100 $ or 5 €", "$\\frac{1}{0}$", "a" * 500, "two\nlines", "", "一二三", "<b>", "_hidden", "\\"]


@pytest.mark.parametrize("x_shape", [(2,), (5,)])
def test_names_of_any_kind_are_drawn(x_shape):
    values = np.random.default_rng(0).normal(size=(len(NAMES), 3, x_shape[0]))
    assert plots.examples(values, x_shape, NAMES).ndim == 3
    counts = np.eye(len(NAMES), dtype=int)
    assert max(plots.confusion(counts, tuple(NAMES), "costs $5 or $6").shape) < 3000


def test_drawing_leaves_the_choice_of_a_backend_alone():
    code = ("import matplotlib as mpl, numpy as np; before = dict.get(mpl.rcParams, 'backend')\n"
            "from adgm_tf.analysis import plots, run_plots\nplots.kl_per_unit({'z': np.ones(3)})\n"
            "plots.confusion(np.eye(2, dtype=int), ('a', 'b'), 't')\n"
            "assert dict.get(mpl.rcParams, 'backend') is before or dict.get(mpl.rcParams, 'backend') == before")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def probs_and_classes(num, num_classes=6):
    probs = np.random.default_rng(0).dirichlet(np.ones(num_classes), num)
    return probs, np.random.default_rng(1).integers(0, num_classes, num)


def figure_of(monkeypatch, draw):
    """The figure that `draw` makes, before it is pixels."""
    figures, as_usual = [], plots.drawn
    monkeypatch.setattr(plots, "drawn", lambda figure: figures.append(figure) or as_usual(figure))
    picture = draw()
    assert picture.dtype == np.uint8
    assert picture.std() > 0
    return figures[0]


@pytest.mark.parametrize("num", [0, 1, 2000])
def test_a_reliability_diagram_shows_the_bins(monkeypatch, num):
    found = calibration.reliability(*probs_and_classes(num))
    figure = figure_of(monkeypatch, lambda: run_plots.reliability({"before $5": found, "after": found}))
    above, below = figure.axes
    lines = [line for line in above.get_lines() if line.get_marker() not in ("None", "_", "|")]
    np.testing.assert_allclose(lines[0].get_xydata(), 100 * np.stack([found.confidence, found.accuracy], -1))
    heights = [bar.get_height() for bar in below.patches[: len(found.count)]]
    assert sum(heights) == pytest.approx(100 if num else 0)


@pytest.mark.parametrize("num", [0, 1, 5, 60_000])
def test_a_risk_coverage_curve_ends_at_the_error(monkeypatch, num):
    probs, y = probs_and_classes(num)
    found, chosen = uncertainty.risk_coverage(probs, y), uncertainty.abstention(probs, y, 0.1)
    figure = figure_of(monkeypatch, lambda: run_plots.risk_coverage({"$a": found}, chosen))
    points = figure.axes[0].get_lines()[0].get_xydata()
    assert len(points) == min(num, run_plots.MOST_POINTS)
    if num:
        np.testing.assert_allclose(points[-1], [100, metrics.error_percent(probs, y)])


def recorded(num):
    for step in range(1, num + 1):
        yield {"step": step, "set": "train", "loss": 1 / step, "labelled/bound": -1 / step, "labelled/kl_z": 2.0,
               "unlabelled/entropy": None, "cla$$ification": 0.0, "seconds": 3.0, "gradient_norm": float("nan")}
        yield {"step": step, "set": "valid", "error_percent": 100 / step, "bound_nats": float("inf")}


@pytest.mark.parametrize("num", [2, 9, 20_000])
def test_learning_curves_show_what_was_recorded(monkeypatch, num):
    drawn, as_usual = [], plots.drawn
    monkeypatch.setattr(plots, "drawn", lambda figure: drawn.append(figure) or as_usual(figure))
    found = run_plots.learning_curves(list(recorded(num)))
    assert list(found) == ["Loss", "Errors", "Bounds", "Terms of the bounds", "Other terms"]
    loss, error = (figure.axes[0].get_lines()[0] for figure in drawn[:2])
    assert error.get_label() == "valid error"
    steps, values = loss.get_xydata().T
    assert len(steps) == min(num, run_plots.MOST_POINTS)
    if num <= run_plots.MOST_POINTS:
        np.testing.assert_allclose(values, 1 / steps)
    else:
        assert values.mean() == pytest.approx(np.mean(1 / np.arange(1, num + 1)))
    assert [line.get_label() for line in drawn[2].axes[0].get_lines()] == ["labelled bound"]


def test_nothing_recorded_draws_nothing():
    """One point is no curve either."""
    assert run_plots.learning_curves(list(recorded(1))) == {}
    assert run_plots.learning_curves([]) == {}
    assert run_plots.learning_curves([{"step": 1, "set": "train", "loss": None}]) == {}


def test_a_confusion_matrix_counts_26_classes_and_colours_their_shares(monkeypatch):
    counts = np.random.default_rng(0).integers(0, 3, (26, 26)) + 500 * np.eye(26, dtype=int)
    counts[3] = 0
    counts[3, 3] = 2
    figure = figure_of(monkeypatch, lambda: plots.confusion(counts, tuple(f"a long $name$ {i}" for i in range(26))))
    axes, = figure.axes
    assert sorted(int(t.get_text()) for t in axes.texts) == sorted(counts[counts > 0].tolist())
    shares = axes.images[0].get_array()
    assert shares[3, 3] == 1, "a rare class that is right is as dark as any"
    np.testing.assert_allclose(np.sum(shares, 1), 1)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes)), "names lie on one another"


def test_the_colours_of_curves_are_told_apart_by_the_colour_blind():
    """Simulated by the matrices of Machado, Oliveira and Fernandes (2009), severity 1, in linear light."""
    kinds = {"none": np.eye(3), "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                                           [-0.003882, -0.048116, 1.051998]],
             "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                        [-0.011820, 0.042940, 0.968881]]}
    linear = np.array([colors.to_rgb(c) for c in run_plots.COLOURS])**2.2
    for kind, matrix in kinds.items():
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)**(1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(len(seen), 1)]
        assert apart.min() > 0.15, kind


def test_a_png_in_memory_is_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    read = np.round(255 * plt.imread(io.BytesIO(plots.png(picture)))[..., :3]).astype(np.uint8)
    np.testing.assert_array_equal(read, picture)
