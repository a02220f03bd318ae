import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt

from adgm_tf.analysis import plots


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
            "from adgm_tf import figures\nfigures.kl_per_unit({'z': np.ones(3)})\n"
            "figures.confusion(np.eye(2, dtype=int), ('a', 'b'), 't')\n"
            "assert dict.get(mpl.rcParams, 'backend') is before or dict.get(mpl.rcParams, 'backend') == before")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
