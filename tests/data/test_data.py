"""Sources, splits, batches."""

import dataclasses

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data import catalogue, splits, tfds
from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.model.contract import Batch
from adgm_tf.training import feed

BUNDLED = {"mnist5k": ((28, 28, 1), 4000, 1000, 10), "digits": ((8, 8, 1), 1597, 200, 10),
           "moons": ((2,), 1000, 1000, 2)}
COUNT = 60


@pytest.fixture(scope="module", params=BUNDLED)
def bundled(request):
    return catalogue.load(request.param)


def split(src=None, **given):
    return building.split(Config(**(dict(num_labels="6") | given)), src)


def counts(examples, num_classes=3):
    return np.bincount(examples.y, minlength=num_classes).tolist()


def batches(num_replicas=1, src=None, binarize=False, noise=0.0, shuffles=True, seed=0, labelled=4,
            unlabelled=7, **given):
    found = split(src, **given)
    arrays = feed.place(found, tf.distribute.get_strategy())
    return arrays, feed.Batches(labelled, unlabelled, len(found.labelled), len(found.unlabelled), num_replicas,
                                float(found.spec.preprocess.scaling.scale) if found.is_image else 1.0, binarize,
                                noise, shuffles, seeds.of_run(seed))


def take(arrays, taken, step, replica=0, noise=1):
    return taken.take(arrays, building.rows(taken, step), tf.constant(replica), building.seed(noise))


def labelled_x(batch):
    return batch.x[:len(batch.y)]


def unlabelled_x(batch):
    return batch.x[len(batch.y):]


def test_every_bundled_source_is_listed_here():
    assert set(BUNDLED) == set(catalogue.SOURCES)


def test_a_bundled_source_is_what_it_says(bundled):
    shape, train, test, num_classes = BUNDLED[bundled.name]
    assert bundled.train_x.shape == (train, *shape)
    assert bundled.test_x.shape == (test, *shape)
    assert bundled.train_y.shape == (train,)
    assert bundled.train_y.dtype == bundled.test_y.dtype == np.int32
    assert len(bundled.class_names) == num_classes
    assert bundled.is_image is (bundled.name != "moons")
    assert set(bundled.train_y) == set(bundled.test_y) == set(range(num_classes))


def test_the_test_set_is_balanced_and_apart(bundled):
    assert len(set(np.bincount(bundled.test_y))) == 1
    test, train = ({row.tobytes() for row in x} for x in (bundled.test_x, bundled.train_x))
    assert len(test & train) <= 1


def test_a_source_is_the_same_at_every_load(bundled):
    again = catalogue.load(bundled.name)
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(bundled, field), getattr(again, field))


def test_images_use_the_whole_range_of_grey(bundled):
    if bundled.is_image:
        assert (bundled.train_x.min(), bundled.train_x.max()) == (0, 255)


@pytest.mark.parametrize("name", ["mnst5k", "digit", "moon"])
def test_an_unknown_source_names_its_neighbours(name):
    with pytest.raises(errors.UserError, match=rf"^dataset={name}: did you mean .*known: mnist5k, digits, moons"):
        catalogue.load(name)


def test_labels_are_spread_evenly_over_the_classes():
    assert counts(split(num_labels="6").labelled) == [2, 2, 2]
    assert counts(split(building.vectors((30, 20, 10)), num_labels="15").labelled) == [5, 5, 5]


def test_labels_that_do_not_divide_are_spread_as_evenly_as_they_can():
    spread = [counts(split(num_labels="8", split_seed=s).labelled) for s in range(12)]
    assert all(sorted(c) == [2, 3, 3] for c in spread)
    assert len({tuple(c) for c in spread}) == 3
    assert "3" in splits.describe(split(num_labels="8"))
    assert "as even as they divide" in splits.describe(split(num_labels="8"))
    assert "as even as they divide" not in splits.describe(split(num_labels="6"))


def test_validation_examples_are_balanced_and_nowhere_else():
    found = split(num_valid=9)
    assert counts(found.valid) == [3, 3, 3]
    assert not set(found.valid.index) & set(found.labelled.index)
    assert not set(found.valid.index) & set(found.unlabelled.index)
    assert len(found.unlabelled) == found.num_train == COUNT - 9


def test_labelled_examples_are_among_the_unlabelled_or_not():
    kept, apart = split(), split(labelled_in_unlabelled=False)
    assert set(kept.labelled.index) < set(kept.unlabelled.index)
    assert len(kept.unlabelled) == COUNT
    assert not set(apart.labelled.index) & set(apart.unlabelled.index)
    assert len(apart.unlabelled) == COUNT - 6
    np.testing.assert_array_equal(kept.labelled.index, apart.labelled.index)
    assert kept.num_train == apart.num_train == COUNT


@pytest.mark.parametrize("keep", [True, False])
def test_all_labels_leave_nothing_unlabelled(keep):
    found = split(num_labels="all", labelled_in_unlabelled=keep, num_valid=6)
    assert len(found.labelled) == found.num_train == COUNT - 6
    assert len(found.unlabelled) == 0


@pytest.mark.parametrize("count", [0, 5, COUNT])
def test_as_many_unlabelled_examples_as_asked_for(count):
    found = split(num_unlabelled=str(count))
    assert len(set(found.unlabelled.index)) == len(found.unlabelled) == count
    np.testing.assert_array_equal(found.labelled.index, split().labelled.index)


def test_class_sorted_is_the_same_examples_class_by_class():
    src, order = building.vectors(), np.random.default_rng(3).permutation(COUNT)
    src = dataclasses.replace(src, train_x=src.train_x[order], train_y=src.train_y[order])
    found, shuffled = split(src, unlabelled_order="class_sorted"), split(src)
    assert np.any(np.diff(shuffled.unlabelled.y) < 0)
    assert np.all(np.diff(found.unlabelled.y) >= 0)
    np.testing.assert_array_equal(np.sort(found.unlabelled.index), np.sort(shuffled.unlabelled.index))
    np.testing.assert_array_equal(found.labelled.index, shuffled.labelled.index)


def test_no_labels_leave_everything_unlabelled():
    found = split(num_labels="0")
    assert (len(found.labelled), len(found.unlabelled)) == (0, COUNT)


def test_the_labels_of_a_split_seed_depend_on_how_many_are_held_out():
    first, again, other = split(num_valid=6), split(num_valid=6, num_unlabelled="20"), split(num_valid=9)
    np.testing.assert_array_equal(first.labelled.index, again.labelled.index)
    assert not np.array_equal(first.labelled.index, other.labelled.index)


def test_the_split_seed_chooses_and_the_seed_does_not():
    first, other_run, other_split = split(), split(seed=5), split(split_seed=5)
    np.testing.assert_array_equal(first.labelled.index, other_run.labelled.index)
    assert not np.array_equal(first.labelled.index, other_split.labelled.index)


def test_examples_keep_the_rows_of_their_source():
    src = building.vectors()
    found = split(src, num_valid=9)
    for part in (found.labelled, found.unlabelled, found.valid):
        np.testing.assert_array_equal(part.x, src.train_x[part.index])
        np.testing.assert_array_equal(part.y, src.train_y[part.index])
        np.testing.assert_array_equal(part.index, np.sort(part.index))
    np.testing.assert_array_equal(found.test.x, src.test_x)


@pytest.mark.parametrize(("given", "message"), [
    (dict(num_labels="61"), "num_labels=61: vectors has only 60 examples to choose from"),
    (dict(num_unlabelled="61"), "num_unlabelled=61: vectors has only 60 examples to choose from"),
    (dict(num_unlabelled="some"), "num_unlabelled=some: must be a whole number of at least 0, or all"),
    (dict(num_labels="2"), "num_labels=2: vectors has 3 classes, and a class without a single label"),
    (dict(num_valid=61), "num_valid=61: vectors has only 60 examples to choose from"),
    (dict(num_valid=60), "num_valid=60: leaves nothing of the 60 training examples"),
    (dict(num_valid=57, num_labels="6"), "num_labels=6: vectors has only 3 examples to choose from"),
])
def test_a_split_that_cannot_be_is_one_line(given, message):
    with pytest.raises(errors.UserError, match=f"^{message}"):
        split(**given)


def test_a_class_with_too_few_examples_is_named():
    with pytest.raises(errors.UserError, match=r"^num_labels=12: needs 4 examples of class 1, vectors has 3"):
        split(building.vectors((20, 3, 20)), num_labels="12")


def test_images_are_scaled_to_the_unit_interval():
    found = split(building.images())
    np.testing.assert_allclose(found.prepared(found.test.x)[0], found.test.x.reshape(-1, 12) / 255.0, rtol=1e-6)


def test_real_vectors_are_standardised_over_the_training_examples():
    found = split(num_valid=9)
    x = found.prepared(found.unlabelled.x)[0]
    np.testing.assert_allclose(x.mean(0), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(x.std(0), np.ones(4), rtol=1e-4)
    labels_only = split(num_labels="all", num_valid=9)
    np.testing.assert_array_equal(labels_only.spec.preprocess.scaling.offset, found.spec.preprocess.scaling.offset)


def test_a_constant_coordinate_scales_to_something_finite():
    src = building.vectors()
    src.train_x[:, 1] = 3.0
    assert np.isfinite(split(src).prepared(src.test_x)[0]).all()


@pytest.mark.parametrize("num_labels", ["all", "0"])
def test_empty_splits_of_images_can_be_placed(num_labels):
    arrays, taken = batches(src=building.images(), num_labels=num_labels, labelled=4 if num_labels == "all" else 0,
                            unlabelled=0 if num_labels == "all" else 7)
    batch = take(arrays, taken, 3)
    assert labelled_x(batch).shape == (4 if num_labels == "all" else 0, 12)
    assert unlabelled_x(batch).shape == (0 if num_labels == "all" else 7, 12)


def test_the_rows_of_a_call_are_those_of_its_steps():
    _, taken = batches(labelled=4, unlabelled=7)
    call = taken.rows(tf.constant(5, tf.int64), tf.constant(3, tf.int64))
    for i in range(3):
        for part, of_step in zip(call, building.rows(taken, 5 + i), strict=True):
            np.testing.assert_array_equal(part[i], of_step)


def test_a_batch_is_a_function_of_the_step_alone():
    arrays, taken = batches()
    later, first, again = (take(arrays, taken, step) for step in (9, 2, 9))
    assert later.observed is later.propagated is later.again is None
    given = [batch._replace(observed=batch.y, propagated=batch.y, again=batch.y) for batch in (later, again, first)]
    for value, same, other in zip(*given, strict=True):
        np.testing.assert_array_equal(value, same)
        assert not np.array_equal(value, other)


def test_consecutive_batches_pass_once_over_the_unlabelled_examples():
    arrays, taken = batches(unlabelled=12)
    seen = np.concatenate([unlabelled_x(take(arrays, taken, step)) for step in range(5)])
    np.testing.assert_allclose(np.sort(seen, 0), np.sort(arrays.unlabelled.seen, 0), rtol=1e-6)


def test_without_shuffling_batches_are_consecutive_slices_in_every_epoch():
    arrays, taken = batches(unlabelled=7, shuffles=False)
    x = arrays.unlabelled.seen.numpy()
    for step in range(2 * COUNT // 7):
        expected = x[(7 * step + np.arange(7)) % COUNT]
        np.testing.assert_allclose(unlabelled_x(take(arrays, taken, step)), expected, rtol=1e-6)


def test_labels_stay_with_their_examples():
    arrays, taken = batches()
    x = arrays.labelled.seen.numpy()
    for step in range(5):
        batch = take(arrays, taken, step)
        for row, label in zip(labelled_x(batch), batch.y, strict=True):
            assert arrays.labelled_y[np.abs(x - row).sum(-1).argmin()] == label


def test_replicas_share_a_batch_without_overlap():
    arrays, whole = batches(labelled=4, unlabelled=6)
    _, halves = batches(num_replicas=2, labelled=4, unlabelled=6)
    for step in (0, 3, 11):
        together = take(arrays, whole, step)
        parts = [take(arrays, halves, step, replica) for replica in (0, 1)]
        for of in (labelled_x, unlabelled_x, lambda b: b.y):
            np.testing.assert_array_equal(of(together), np.concatenate([of(part) for part in parts]))


def test_labelled_and_unlabelled_orders_differ_though_the_examples_are_the_same():
    arrays, taken = batches(labelled=COUNT, unlabelled=COUNT, num_labels="60")
    batch = take(arrays, taken, 0)
    assert not np.array_equal(labelled_x(batch), unlabelled_x(batch))
    np.testing.assert_allclose(np.sort(labelled_x(batch), 0), np.sort(unlabelled_x(batch), 0))


def test_the_run_seed_orders_the_batches():
    arrays, taken = batches()
    _, other = batches(seed=1)
    assert not np.array_equal(take(arrays, taken, 0).x, take(arrays, other, 0).x)


def test_what_the_model_sees_is_the_scaled_source():
    for src in (building.images(), building.vectors()):
        arrays, taken = batches(src=src, num_labels="all", labelled=len(src.train_y), unlabelled=0)
        batch = take(arrays, taken, 0)
        order = building.rows(taken, 0).labelled.numpy()
        np.testing.assert_allclose(batch.x, split(src).prepared(src.train_x)[0][order], rtol=1e-6)


def test_binary_pixels_are_white_as_often_as_they_are_grey():
    count = 4000
    grey = np.arange(0, 256, 5).astype(np.uint8)
    taken = feed.Batches(1, 1, 1, 1, 1, 1 / 255, True, 0.0, True, seeds.of_run(0))
    pixels = taken.prepared(tf.constant(np.tile(grey, (count, 1))), building.seed(1)).numpy()
    p = grey / 255
    assert set(np.unique(pixels)) == {0.0, 1.0}
    assert np.all(np.abs(pixels.mean(0) - p) <= 5 * np.sqrt(p * (1 - p) / count) + 1e-6)


def test_binary_pixels_are_drawn_anew_with_the_noise_and_the_same_with_the_same():
    arrays, taken = batches(src=building.images(), binarize=True)
    first, again, other = (take(arrays, taken, 3, noise=n).x for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_is_what_q_sees_alone_and_another_draw_in_every_step():
    arrays, taken = batches(noise=0.5)
    batch = take(arrays, taken, 3)
    np.testing.assert_array_equal(batch.seen, batch.x)
    first, again, other = (taken.changed(batch.seen, building.seed(n)).numpy() for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    large = tf.zeros([500, 40])
    found = taken.changed(large, building.seed(3)).numpy()
    assert abs(found.mean()) < 5 * 0.5 / np.sqrt(found.size)
    np.testing.assert_allclose(found.std(), 0.5, rtol=0.03)
    quiet = dataclasses.replace(taken, noise=0.0)
    np.testing.assert_array_equal(quiet.changed(large, building.seed(3)), large)


def test_what_q_sees_what_p_describes_and_what_is_known_stay_with_their_example():
    """Arrays of three widths and kinds, as tables have them; every row carries its number."""
    def part(first, count):
        number = np.arange(first, first + count, dtype=np.float32)[:, None]
        return feed.Part(tf.constant(np.repeat(number, 3, 1)), tf.constant(np.repeat(number, 2, 1) + 0.5),
                         tf.constant(np.repeat(number % 2, 2, 1)))

    arrays = feed.TrainingArrays(part(0, 5), tf.range(5), part(100, 9))
    taken = feed.Batches(2, 4, 5, 9, 1, 1.0, False, 0.0, True, seeds.of_run(0))
    seen = []
    for step in range(9):
        batch = take(arrays, taken, step)
        assert (batch.seen.shape, batch.x.shape, batch.observed.shape, batch.y.shape) == ((6, 3), (6, 2), (6, 2), (2,))
        number = batch.seen[:, 0].numpy()
        np.testing.assert_array_equal(batch.x, np.repeat(number[:, None], 2, 1) + 0.5)
        np.testing.assert_array_equal(batch.observed, np.repeat(number[:, None], 2, 1) % 2)
        np.testing.assert_array_equal(batch.y, number[:2])
        assert set(number[2:]) <= set(range(100, 109))
        seen += number[2:].tolist()
    assert all(seen.count(n) == 4 for n in range(100, 109))


@pytest.mark.parametrize("observed", [True, False])
def test_a_part_of_a_batch_is_its_rows_without_labels(observed):
    mask = tf.constant(np.arange(12.0, dtype=np.float32).reshape(6, 2)) if observed else None
    batch = Batch(building.normal([6, 3], 1), building.normal([6, 2], 2), mask, tf.range(4))
    for rows in (slice(0, 4), slice(4, None), slice(2, 3)):
        part = batch.part(rows)
        np.testing.assert_array_equal(part.seen, batch.seen[rows])
        np.testing.assert_array_equal(part.x, batch.x[rows])
        if observed:
            np.testing.assert_array_equal(part.observed, mask[rows])
        else:
            assert part.observed is None
        assert part.y.shape == (0,)
        assert part.y.dtype == batch.y.dtype


def test_every_draw_of_a_step_has_its_own_noise():
    step = building.seed(3)
    drawn = {tuple(seeds.fold(step, draw).numpy()) for draw in seeds.Draw}
    assert len(drawn) == len(seeds.Draw)
    noise = {tuple(seeds.fold(seeds.of_run(0), tf.constant(s, tf.int64), tf.constant(r)).numpy())
             for s in range(50) for r in range(4)}
    assert len(noise) == 200


def test_a_split_is_written_with_its_rows(tmp_path):
    found = split(num_valid=9)
    splits.write(found, tmp_path)
    with np.load(tmp_path / "split.npz") as stored:
        for name in ("labelled", "unlabelled", "valid"):
            np.testing.assert_array_equal(stored[name], getattr(found, name).index)


def test_a_damaged_copy_of_a_tfds_set_is_one_line():
    class Builder:
        def as_dataset(self, **_):
            raise tf.errors.DataLossError(None, None, "truncated record at 0\nmore")

    line = r"^dataset=mnist: its train split cannot be read \(truncated record at 0\)$"
    with pytest.raises(errors.UserError, match=line):
        tfds._arrays(Builder(), "mnist", "train", "image", "label")


@pytest.mark.parametrize("name", ["mnist/x=1", "mnist:9.9.9"])
def test_a_tfds_name_that_opens_nothing_is_one_line(name, tmp_path):
    with pytest.raises(errors.UserError, match=rf"^dataset=tfds:{name}: "):
        catalogue.load(f"tfds:{name}", str(tmp_path))
