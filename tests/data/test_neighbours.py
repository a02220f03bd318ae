"""What the labels say along the neighbours of the rows: walks worked out densely, and what must not change them."""

import numpy as np
import pytest

from adgm_tf.data import neighbours
from adgm_tf.data.labels import UNKNOWN

C = 3


def rows(count=60, seed=0, dim=4):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def labels(count=60, known=9):
    y = np.full(count, UNKNOWN)
    y[:known] = np.arange(known) % C
    return y


def dense(x, y):
    """The same walk in NumPy float64, with every matrix written out."""
    x = x.astype(np.float64)
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    nearest = np.argsort(squares + np.diag(np.full(len(x), np.inf)), 1)[:, :neighbours.NEIGHBOURS]
    s = np.sqrt(squares[np.arange(len(x)), nearest[:, -1]])
    chosen = np.zeros_like(squares, dtype=bool)
    np.put_along_axis(chosen, nearest, True, 1)
    weights = np.exp(-squares / np.maximum(s[:, None], s) ** 2) * (chosen | chosen.T)
    steps = weights / weights.sum(1, keepdims=True)
    known = y != UNKNOWN
    walks = (1 + neighbours.WALK_ENDS) * np.eye((~known).sum()) - steps[~known][:, ~known]
    return np.linalg.solve(walks, steps[~known][:, known] @ np.eye(C)[y[known]])


def test_the_chances_are_those_of_the_walk_worked_out_densely():
    x, y = rows(), labels()
    found = neighbours.harmonic(x, y, C)
    np.testing.assert_allclose(found[9:], dense(x, y), atol=1e-3)
    np.testing.assert_array_equal(found[:9], np.eye(C)[y[:9]])


def test_the_chances_are_the_means_of_those_of_the_neighbours():
    """Harmonic: what makes it so is that every row's f is the mean of its neighbours'."""
    x, y = rows(300), labels(300)
    found, weights = neighbours.harmonic(x, y, C), neighbours._weights(x)
    means = weights @ found / np.asarray(weights.sum(1))[:, None]
    np.testing.assert_allclose(found[9:], means[9:], atol=2e-3)


@pytest.mark.parametrize("change", [lambda x: 1000 * x, lambda x: x + np.float32(1000), lambda x: x / 1e4,
                                    lambda x: np.concatenate([x, np.full((len(x), 2), 7)], 1)],
                         ids=["larger", "far from zero", "smaller", "constant columns"])
def test_units_and_place_change_nothing(change):
    x, y = rows(), labels()
    np.testing.assert_allclose(neighbours.harmonic(change(x), y, C), neighbours.harmonic(x, y, C), atol=5e-3)


def test_the_order_of_the_rows_changes_nothing():
    x, y, order = rows(), labels(), np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(neighbours.harmonic(x[order], y[order], C), neighbours.harmonic(x, y, C)[order],
                               atol=1e-3)


def test_rows_that_no_way_leads_to_from_a_label_are_told_nothing():
    x, y = rows(), labels()
    x[30:] += 1000
    found = neighbours.harmonic(x, y, C)
    np.testing.assert_allclose(found[30:], 0)
    assert np.all(found[:30].sum(1) > 0.9)
    assert np.all(found.sum(1) <= 1 + 1e-3)


def test_a_cluster_has_the_class_of_its_only_label():
    x = np.concatenate([rows(50, 1), rows(50, 2) + 20, rows(50, 3) - 20])
    y = np.full(150, UNKNOWN)
    y[[3, 60, 140]] = [2, 0, 1]
    np.testing.assert_array_equal(neighbours.harmonic(x, y, C).argmax(1), np.repeat([2, 0, 1], 50))


@pytest.mark.parametrize("x", [np.zeros((40, 3), np.float32), np.repeat(rows(4), 10, 0), rows(40, dim=1),
                               np.concatenate([np.repeat(rows(1), 20, 0), rows(20, 1)]), np.sort(rows(40) ** 15, 0)],
                         ids=["constant", "copies", "one column", "copies of one", "skewed"])
def test_any_rows_have_chances(x):
    found = neighbours.harmonic(x, labels(40), C)
    assert np.all(np.isfinite(found))
    assert np.all((found >= 0) & (found.sum(1, keepdims=True) <= 1 + 1e-3))
    weights = neighbours._weights(x)
    assert weights.data.min() >= np.exp(-1) * (1 - 1e-6)


@pytest.mark.parametrize("count", [2, 3, 10, 11])
def test_fewer_rows_than_neighbours(count):
    found = neighbours.harmonic(rows(count), labels(count, 1), C)
    np.testing.assert_allclose(found[:, 0], 1, atol=2e-3 * count)


@pytest.mark.parametrize("known", [0, 60])
def test_without_a_label_nothing_is_said_and_with_all_each_has_its_own(known):
    found = neighbours.harmonic(rows(), labels(60, known), C)
    assert found.sum() == known


def test_moons_are_told_apart_at_their_gap():
    from adgm_tf.config import Config
    from adgm_tf.data import catalogue, splits
    config = Config(dataset="moons", num_labels="6")
    found = splits.split(catalogue.load("moons", options=config), config)
    y = np.where(np.isin(found.unlabelled.index, found.labelled.index), found.unlabelled.y, UNKNOWN)
    guessed = neighbours.harmonic(found.unlabelled.x, y, 2).argmax(1)
    assert np.mean(guessed != found.unlabelled.y) < 0.01


def test_rows_count_by_how_sure_the_labels_are():
    f = np.array([[1, 0, 0], [0.5, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0, 0, 0], [0.5, 0.5, 0]], np.float32)
    found = neighbours.certain(f)
    half = 1 - np.log(2) / np.log(3)
    expected = [[1, 0, 0], [0.5, 0, 0], [0, 0, 0], [0, 0, 0], [half / 2, half / 2, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_of_one_class_every_row_is_sure():
    np.testing.assert_array_equal(neighbours.certain(np.ones((3, 1), np.float32)), np.ones((3, 1)))


@pytest.mark.slow
def test_as_many_rows_as_people_have():
    """Two clusters, the rows sorted by them, with fifty labels each: no row is told the class of the other cluster."""
    x = np.concatenate([rows(30_000, 1, 8), rows(30_000, 2, 8) + 50])
    y = np.full(60_000, UNKNOWN)
    y[:50], y[-50:] = 0, 2
    found = neighbours.harmonic(x, y, C)
    assert found[:30_000, 2].max() == found[30_000:, 0].max() == found[:, 1].max() == 0
    assert np.mean(found.sum(1) > 0.5) > 0.9
