"""The notebooks of docs/: their cells run one after another, and say what their text says."""

import json

import matplotlib
import numpy as np
import process
import pytest

from adgm_tf.model import family


def cells(name):
    book = json.loads((process.ROOT / "docs" / f"{name}.ipynb").read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def run(name):
    """What the names of a notebook stand for once its cells have run, and how many pictures it showed."""
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pictures, found = [], {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyplot, "show", lambda: pictures.append(pyplot.close("all")))
        for cell in cells(name):
            exec("".join(cell["source"]), found)
    return found, len(pictures)


@pytest.mark.slow
def test_from_arrays_to_pictures():
    found, pictures = run("arrays_to_pictures")
    assert pictures == 3
    assert found["error"] < 15 and found["transductive"] < 15
    assert found["drawn"].shape == (10, 10, 8, 8) and np.all((found["drawn"] >= 0) & (found["drawn"] <= 1))
    assert found["novelty"].min() > 0.95


@pytest.mark.slow
def test_a_new_model(monkeypatch):
    monkeypatch.delitem(family.FAMILY, "through_a", raising=False)
    try:
        found, pictures = run("a_new_model")
    finally:
        family.FAMILY.pop("through_a", None)
    assert pictures == 2
    np.testing.assert_allclose(found["by_hand"], found["bounds"]["through_a"], atol=1e-3)
    assert found["by_hand"].mean() < found["tighter"][-1] and np.all(np.diff(found["tighter"]) > 0)
    assert all(np.mean(m.predict(found["X"]) == found["y"].astype(str)) > 0.8 for m in found["models"].values())


@pytest.mark.parametrize("name", ["arrays_to_pictures", "a_new_model"])
def test_what_is_shown_is_what_ran(name):
    """Every cell has run once, in order, without an error, and the whole is small."""
    assert [cell["execution_count"] for cell in cells(name)] == list(range(1, len(cells(name)) + 1))
    assert not any(output["output_type"] == "error" for cell in cells(name) for output in cell["outputs"])
    assert (process.ROOT / "docs" / f"{name}.ipynb").stat().st_size < 400_000
