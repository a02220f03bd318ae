import dataclasses

import numpy as np
import pytest
from sklearn.svm import SVC

from adgm_tf.baselines import atlas_rbf
from adgm_tf.config import Config
from adgm_tf.data import catalogue, source
from adgm_tf.data import splits as splits_lib
from adgm_tf.training.systems import FITTED

TINY = atlas_rbf.Options(num_charts=6, examples_per_chart=5, chart_dim=2, overlap=3, width=2.0)


def atlas_of(points, dim=4, **options):
    x = np.random.default_rng(0).normal(size=(points, dim)).astype(np.float32)
    return x, atlas_rbf.build(x, dataclasses.replace(TINY, **options), 0)


def by_the_definition(atlas, x, other):
    """K(x,x') of single points in float64, a chart at a time."""
    centre, directions, spread, width, weight = (getattr(atlas, name).astype(np.float64) for name in (
        "centre", "directions", "spread", "width", "weight"))

    def parts(point):
        gaps, u = [], []
        for m, v in zip(centre, directions, strict=True):
            u.append(v.T @ (point - m))
            away = np.sum((point - m - v @ u[-1]) ** 2)
            gaps.append(away + atlas.inside * np.sum(u[-1] ** 2))
        following = sorted(gaps)[atlas.overlap]
        own = np.array([max(1 - gap / following, 0) for gap in gaps])
        return own / own.sum() @ spread, u

    def inner(left, right):
        (r, u), (q, v) = left, right
        return sum(w * a * b * np.exp(-np.sum((m - n) ** 2) / (2 * s**2))
                   for w, a, b, m, n, s in zip(weight, r, q, u, v, width, strict=True))

    one, two = parts(x), parts(other)
    return inner(one, two) / np.sqrt(inner(one, one) * inner(two, two))


@pytest.mark.parametrize("walk", [0.0, 0.9])
def test_kernel_is_its_definition(walk):
    x, atlas = atlas_of(60, walk=walk)
    found = atlas_rbf.kernel(atlas, x[:5], x[3:9])
    expected = [[by_the_definition(atlas, a, b) for b in x[3:9].astype(np.float64)] for a in x[:5].astype(np.float64)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("walk", [0.0, 0.9])
def test_kernel_is_symmetric_and_positive_semidefinite_anywhere(walk):
    _, atlas = atlas_of(300, dim=5, num_charts=20, walk=walk)
    away = 2 * np.random.default_rng(1).normal(size=(80, 5)).astype(np.float32)
    found = atlas_rbf.kernel(atlas, away, away)
    np.testing.assert_allclose(found, found.T, atol=1e-5)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
    assert np.linalg.eigvalsh(found.astype(np.float64)).min() > -1e-5


def test_a_chart_is_the_plane_that_the_examples_lie_in():
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    x = (rng.normal(size=(200, 2)) @ plane.T + 3).astype(np.float32)
    atlas = atlas_rbf.build(x, TINY, 0)
    for directions in atlas.directions:
        np.testing.assert_allclose(directions @ directions.T, plane @ plane.T, atol=1e-4)
    gaps = atlas_rbf.distances(x, atlas.centre, atlas.directions, inside=0)
    np.testing.assert_allclose(gaps, 1e-6, atol=1e-4)


def test_responsibilities_are_shared_by_the_nearest_and_sum_to_one():
    x, atlas = atlas_of(200, num_charts=12)
    own = atlas.own(x)
    np.testing.assert_allclose(own.sum(1), 1, atol=1e-5)
    assert set((own > 0).sum(1)) <= {1, 2, 3}
    np.testing.assert_allclose(atlas.responsibilities(x).sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(atlas.spread.sum(1), 1, atol=1e-4)


def given(dataset, **options):
    config = Config(dataset=dataset, **options)
    return splits_lib.split(catalogue.load(dataset), config)


def error(predict_proba, examples):
    return np.mean(predict_proba(examples).argmax(1) != examples.y)


def test_the_atlas_bends_with_the_moons():
    splits = given("moons", num_labels="6")
    x, y = splits.prepared(splits.labelled.x)[0], splits.labelled.y
    machine = SVC(C=100).fit(x, y)
    plain = np.mean(machine.predict(splits.prepared(splits.test.x)[0]) != splits.test.y)
    assert error(atlas_rbf.fit(splits, 0), splits.test) < 0.5 * plain


@pytest.mark.parametrize("name", FITTED)
def test_probabilities_follow_from_the_seed_and_beat_chance(name):
    splits = given("digits", num_labels="50")
    one, two = FITTED[name](splits, 3)(splits.test), FITTED[name](splits, 3)(splits.test)
    np.testing.assert_array_equal(one, two)
    assert one.shape == (200, 10)
    assert one.min() >= 0
    np.testing.assert_allclose(one.sum(1), 1, atol=1e-6)
    assert np.mean(one.argmax(1) != splits.test.y) < 0.5


@pytest.mark.parametrize("name", FITTED)
def test_hidden_labels_are_not_read(name):
    splits = given("digits", num_labels="50")
    scrambled = {part: dataclasses.replace(getattr(splits, part), y=getattr(splits, part).y[::-1])
                 for part in ("unlabelled", "valid", "test")}
    other = dataclasses.replace(splits, **scrambled)
    np.testing.assert_array_equal(FITTED[name](splits, 0)(splits.test), FITTED[name](other, 0)(splits.test))


@pytest.mark.parametrize("name", FITTED)
def test_all_labels_can_be_given(name):
    splits = given("digits", num_labels="all")
    assert error(FITTED[name](splits, 0), splits.test) < 0.1


def test_more_labels_than_a_kernel_matrix_can_hold(monkeypatch):
    monkeypatch.setattr(atlas_rbf, "MOST_LABELS", 49)
    with pytest.raises(Exception, match="num_labels=50: atlas_rbf holds a kernel matrix"):
        atlas_rbf.fit(given("digits", num_labels="50"), 0)


def test_where_no_label_reaches_every_class_is_as_probable():
    splits = given("moons", num_labels="10")
    island = splits.test.x[:30] + 1000
    hidden = splits.unlabelled
    far = dataclasses.replace(hidden, x=np.concatenate([hidden.x, island]), y=np.append(hidden.y, [0] * 30),
                              index=np.append(hidden.index, np.arange(10_000, 10_030)))
    predict_proba = FITTED["label_spreading"](dataclasses.replace(splits, unlabelled=far), 0)
    there = dataclasses.replace(splits.test, x=island, y=np.zeros(30, np.int32), index=np.arange(30))
    np.testing.assert_array_equal(predict_proba(there), 0.5)
    assert predict_proba(splits.test).max() > 0.9


@pytest.mark.parametrize("name", FITTED)
def test_labels_that_nobody_knows_take_part_in_nothing(name):
    """The answer is that of the same examples with these labels hidden, whatever stands behind -1."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (rng.normal(size=(120, 4)) + 4 * np.eye(4)[y]).astype(np.float32)
    known = np.where(np.arange(120) < 30, y, -1)
    given, hidden = (splits_lib.split(source.Source("own", x, labels, x[:9], y[:9], ("a", "b", "c")),
                                      Config(num_labels=number)) for labels, number in ((known, "all"), (known, "30")))
    probs = [FITTED[name](splits, 0)(splits.test) for splits in (given, hidden)]
    np.testing.assert_allclose(*probs, rtol=1e-6)
    assert np.mean(probs[0].argmax(-1) == y[:9]) > 0.8
    assert np.isfinite(probs[0]).all()
