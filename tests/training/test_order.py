"""The order of the examples: permutations, each epoch independent of the others, at the sizes that people have."""

import collections
import itertools
import math

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.model import seeds
from adgm_tf.training import order

AROUND_POWERS = [2**p + d for p in range(1, 21) for d in (-1, 0, 1)]
SIZES = sorted({1, 2, 3, 4, 5, *AROUND_POWERS, 59_000, 60_000,
                *np.random.default_rng(0).integers(1, 2**20, 12).tolist()})
MANY = 2**17 + 1
BATCH = 100


def rows(start, stop, size, seed=None):
    positions = tf.range(start, stop, dtype=tf.int64)
    return order.shuffled(positions, size, building.seed(1) if seed is None else seed).numpy()


def epochs(numbers, size, seed=None):
    """Rows of whole epochs, [epochs, size]."""
    positions = (np.asarray(numbers, np.int64)[:, None] * size + np.arange(size)).reshape(-1)
    found = order.shuffled(tf.constant(positions), size, building.seed(1) if seed is None else seed)
    return found.numpy().reshape(-1, size)


def z_of_chi_squared(counts, expected):
    """How many standard deviations chi-squared lies above its mean."""
    freedom = counts.size - 1
    return (np.sum((counts - expected) ** 2 / expected) - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [
    pytest.param(size, marks=pytest.mark.slow) if size > MANY else size for size in SIZES])
def test_an_epoch_is_a_permutation(size):
    for epoch in (0, 1, 10**6):
        np.testing.assert_array_equal(np.sort(rows(epoch * size, (epoch + 1) * size, size)), np.arange(size))


@pytest.mark.parametrize("size", [2**20 + 3, 3_000_017])
def test_an_epoch_of_millions_is_a_permutation(size):
    np.testing.assert_array_equal(np.sort(rows(size, 2 * size, size)), np.arange(size))


def test_rows_of_more_than_two_billion_stay_apart():
    size = 4 * 10**9
    found = rows(size - 1000, size + 1000, size)
    assert found.min() >= 0
    assert found.max() < size
    assert len(set(found[:1000].tolist())) == 1000


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_every_permutation_of_a_few_rows_comes_equally_often(size):
    count = 200 * math.factorial(size)
    times = collections.Counter(map(tuple, epochs(range(count), size).tolist()))
    assert set(times) == set(itertools.permutations(range(size)))
    assert abs(z_of_chi_squared(np.array(list(times.values())), 200)) < 5


@pytest.mark.parametrize("size", [60, 100, 300, 1000])
def test_every_row_comes_at_every_place_equally_often(size):
    count = 200_000 // size
    found = epochs(range(count), size)
    for place in (0, 1, size // 2, size - 1):
        assert abs(z_of_chi_squared(np.bincount(found[:, place], minlength=size), count / size)) < 5


@pytest.mark.parametrize("size", [60, 257, 1000])
def test_two_epochs_are_independent(size):
    """The change from one epoch to a later one carries every row to every place equally often."""
    count = 100_000 // size
    for lag in (1, 2, 255, 256, 257, 65_536):
        early, late = epochs(range(count), size), epochs(range(lag, count + lag), size)
        place = np.argsort(late, 1)
        moved = (np.take_along_axis(place, early, 1) - np.arange(size)) % size
        assert abs(z_of_chi_squared(np.bincount(moved.ravel(), minlength=size), count)) < 5


@pytest.mark.parametrize("size", [4_000, 59_000, 60_000, 65_536, 65_537, 100_003])
def test_rows_meet_in_a_batch_as_often_as_chance_has_it(size):
    count = max(6, 300_000 // size)
    found = epochs(range(count), size)
    batches = found[:, : size // BATCH * BATCH].reshape(-1, BATCH)
    neighbours = np.sum(np.diff(np.sort(batches, 1), axis=1) == 1)
    expected = len(batches) * BATCH * (BATCH - 1) / size
    assert abs(neighbours - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("size", [59_000, 60_000, 65_537])
@pytest.mark.parametrize("lag", [1, 256, 65_536])
def test_rows_of_a_batch_meet_again_as_often_as_chance_has_it(size, lag):
    batch_of = [np.argsort(one) // BATCH for one in epochs([5, 5 + lag], size)]
    _, together = np.unique(batch_of[0] * size + batch_of[1], return_counts=True)
    again, expected = np.sum(together * (together - 1) // 2), size * (BATCH - 1) ** 2 / 2 / (size - 1)
    assert abs(again - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("size", [1_000, 4_000, 59_000, 60_000, 65_537, 2**17])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_a_source_sorted_by_class_gives_batches_with_classes_at_chance(size, num_classes):
    count = max(4, 200_000 // size)
    y = np.arange(size) * num_classes // size
    batches = y[epochs(range(count), size)][:, : size // BATCH * BATCH].reshape(-1, BATCH)
    shares = np.bincount(y) / size
    counts = np.stack([np.sum(batches == c, 1) for c in range(num_classes)], 1)
    # Drawn without replacement, the counts of a batch have this times the variance of a multinomial.
    finite = (size - BATCH) / (size - 1)
    chi_squared = np.sum((counts - BATCH * shares) ** 2 / (BATCH * shares)) / finite
    freedom = len(batches) * (num_classes - 1)
    assert abs(chi_squared - freedom) < 5 * math.sqrt(2 * freedom)


def test_every_seed_and_epoch_has_an_order_of_its_own():
    numbers = [0, 1, 2, 255, 256, 257, 511, 512, 4096, 65_535, 65_536, 65_537, 10**6, 2**32, 2**32 + 1]
    orders = {tuple(one) for s in range(20) for one in epochs(numbers, 60, seeds.of_run(s)).tolist()}
    assert len(orders) == 20 * len(numbers)


def test_rows_depend_on_their_positions_alone():
    whole = rows(0, 3 * 60, 60)
    np.testing.assert_array_equal(rows(55, 67, 60), whole[55:67])


def test_a_batch_may_be_larger_than_the_data():
    np.testing.assert_array_equal(np.sort(rows(0, 3 * 4, 4)), np.repeat(np.arange(4), 3))


def test_no_rows_are_asked_of_no_data():
    assert rows(0, 0, 0).shape == (0,)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_compiled_order_is_the_same(compiled):
    function = tf.function(lambda p: order.shuffled(p, 59_000, building.seed(1)), jit_compile=compiled, autograph=False)
    np.testing.assert_array_equal(function(tf.range(1000, dtype=tf.int64)), rows(0, 1000, 59_000))
