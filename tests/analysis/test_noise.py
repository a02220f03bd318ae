"""Rows of noise: as many, of the same form, within what the cells had, and without a relation between cells."""

import numpy as np
import pandas as pd
import pytest

from adgm_tf.analysis import noise

RNG = np.random.default_rng(0)
BOTH = RNG.normal(1e6, 1.0, 60_000)


@pytest.mark.parametrize("x", [
    np.stack([BOTH, BOTH], 1).astype(np.float32), RNG.integers(3, 200, (500, 8, 8, 3)).astype(np.uint8),
    np.full((5, 3), 7.0, np.float32), np.zeros((4, 2, 2), np.uint8), RNG.integers(-5, 300, (400, 6))])
def test_arrays(x):
    found = noise.like(x)
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    assert found.min() >= x.min()
    assert found.max() <= x.max()
    np.testing.assert_array_equal(found, noise.like(x))
    if len(x) > 100 and x.ndim == 2:
        assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.2
        assert (found.min(0) >= x.min(0)).all()


def test_a_range_may_be_as_large_as_numbers_are():
    for x in (np.array([[-1.7e308], [1.7e308]]), np.array([[-2**63], [2**63 - 1]]),
              np.array([[0], [2**64 - 1]], np.uint64)):
        assert np.isfinite(noise.like(x)).all()
    frame = pd.DataFrame({"a": [-1.7e308, 1.7e308, np.inf, np.nan], "b": [np.inf] * 4, "c": pd.array([1, None, 9, 2])})
    found = noise.like(frame)
    assert np.isfinite(found["a"]).all()
    assert (found["b"] == np.inf).all()
    assert found["c"].between(1, 9).all()


def test_text_is_as_many_words_of_its_column():
    frame = pd.DataFrame({"text": ["a b c", "", None, "d e", *["f g h i"] * 1000], "colour": ["dark red"] * 1004})
    found = noise.like(frame, {"text"})
    assert [len(cell.split()) for cell in found["text"][:5]] == [3, 0, 0, 2, 4]
    assert set(" ".join(found["text"]).split()) == set("abcdefghi")
    assert found["text"][5:].nunique() > 500
    assert set(found["colour"]) == {"dark red"}


def test_tables():
    frame = pd.DataFrame({"a": BOTH[:1000], "b": BOTH[:1000], "c": np.where(BOTH[:1000] > 1e6, "x", "y"),
                          "e": np.nan, "f": BOTH[:1000] > 1e6})
    frame.loc[:700, "b"], frame.loc[5, "c"] = np.nan, None
    found = noise.like(frame)
    assert list(found) == list(frame)
    assert abs(np.corrcoef(found["a"], found["b"])[0, 1]) < 0.15
    assert found["b"].between(frame["b"].min(), frame["b"].max()).all()
    assert set(found["c"]) == {"x", "y"}
    assert found["e"].isna().all()
    assert abs((found["c"] == "x").mean() - 0.5) < 0.1
