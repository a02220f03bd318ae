"""Learning rates, the KL warm-up and the plan of a run."""

import math

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.training import plan, schedules

RATE, STEPS_PER_EPOCH, STEPS = 3e-3, 7.5, 1000
AT = (0, 1, 7, 8, 499, 500, 999, 1000, 5000)


def rates(**given):
    schedule = schedules.Schedule(Config(learning_rate=RATE, **given), STEPS_PER_EPOCH, STEPS)
    return np.array([schedule(tf.constant(step, tf.int64)) for step in AT])


def planned(src=None, **given):
    config = Config(**(dict(model="adgm", num_labels="6", labelled_batch_size=3, unlabelled_batch_size=8,
                           classification_beta=0.1) | given))
    return plan.make(config, building.split(config, src))


def test_a_constant_rate_is_constant():
    np.testing.assert_allclose(rates(learning_rate_schedule="constant"), np.full(len(AT), RATE), rtol=1e-6)


def test_a_cosine_rate_falls_from_all_to_nothing_and_stays_there():
    expected = [RATE * 0.5 * (1 + math.cos(math.pi * min(step / STEPS, 1))) for step in AT]
    found = rates(learning_rate_schedule="cosine")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)
    assert found[0] == np.float32(RATE)
    assert found[-1] < 1e-9


def test_a_linear_rate_is_constant_and_falls_to_nothing_over_the_last_third():
    expected = [RATE * min(1, 3 * max(0, 1 - step / STEPS)) for step in AT]
    np.testing.assert_allclose(rates(learning_rate_schedule="linear"), expected, rtol=1e-4, atol=1e-9)
    assert set(expected) > {0, RATE}


def test_a_staircase_rate_falls_by_its_factor_every_so_many_epochs():
    expected = [RATE * 0.75 ** math.floor(step / STEPS_PER_EPOCH / 2) for step in AT]
    np.testing.assert_allclose(rates(learning_rate_schedule="staircase", staircase_epochs=2.0), expected, rtol=1e-4,
                               atol=1e-30)


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
def test_no_rate_falls_below_its_floor(schedule):
    free = rates(learning_rate_schedule=schedule, staircase_epochs=2.0)
    floored = rates(learning_rate_schedule=schedule, staircase_epochs=2.0, learning_rate_floor=1e-3)
    np.testing.assert_allclose(floored, np.maximum(free, 1e-3), rtol=1e-6)


def test_a_warm_up_rises_to_one_and_is_never_zero():
    found = [float(schedules.warm_up(tf.constant(step, tf.int64), 4)) for step in range(7)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_the_factor_of_the_radius_goes_evenly_to_one_over_two_thirds_of_the_steps():
    found = [float(schedules.radius_factor(tf.constant(step, tf.int64), 3.0, 9)) for step in range(10)]
    np.testing.assert_allclose(found, [3, 3 - 1 / 3, 3 - 2 / 3, 2, 2 - 1 / 3, 2 - 2 / 3, 1, 1, 1, 1], rtol=1e-6)
    assert all(float(schedules.radius_factor(tf.constant(step, tf.int64), 1.0, 9)) == 1 for step in range(10))


def test_without_a_warm_up_the_factor_is_one():
    assert float(schedules.warm_up(tf.constant(0, tf.int64), 0)) == 1


def test_alpha_is_beta_times_examples_over_labelled_examples():
    assert planned(classification_beta=0.3).classification_weight == pytest.approx(0.3 * 60 / 6)
    assert planned(classification_beta=0.3, num_labels="12").classification_weight == pytest.approx(0.3 * 60 / 12)
    assert planned(num_valid=9).classification_weight == pytest.approx(0.1 * 51 / 6)


def test_alpha_counts_an_example_once_whether_or_not_the_labelled_are_among_the_unlabelled():
    kept, apart = planned(), planned(labelled_in_unlabelled=False)
    assert kept.num_train == apart.num_train == 60
    assert kept.classification_weight == apart.classification_weight


def test_alpha_is_as_given():
    assert planned(classification_weight=7.0).classification_weight == 7
    assert planned(classification_weight=0.0).classification_weight == 0


def test_epochs_are_passes_over_the_unlabelled_examples_in_whole_steps():
    assert planned().steps_per_epoch == 60 / 8
    assert planned(labelled_in_unlabelled=False).steps_per_epoch == 54 / 8
    assert planned(num_epochs=3.0).num_steps == math.ceil(3 * 60 / 8)
    assert planned(num_epochs=0.01).num_steps == 1
    assert planned(num_steps=11).num_steps == 11


def test_all_labels_is_the_supervised_setting():
    found = planned(num_labels="all", num_epochs=2.0)
    assert (found.labelled_batch_size, found.unlabelled_batch_size) == (3, 0)
    assert found.steps_per_epoch == 60 / 3
    assert found.num_steps == 40
    assert found.classification_weight == pytest.approx(0.1)


def test_no_labels_is_the_unsupervised_setting():
    found = planned(num_labels="0")
    assert (found.labelled_batch_size, found.unlabelled_batch_size) == (0, 8)
    assert found.classification_weight == 0
    assert found.num_train == 60


def test_a_model_without_classes_uses_no_labels():
    found = planned(model="m1")
    assert (found.labelled_batch_size, found.classification_weight) == (0, 0)
    assert "no y" in found.notes[1]


def test_a_model_without_classes_cannot_learn_from_labelled_examples_alone():
    with pytest.raises(errors.UserError, match=r"^num_labels=all: m1 has no y"):
        planned(model="m1", num_labels="all")


def test_the_notes_say_what_alpha_comes_to():
    assert "0.1 x 60 / 6" in planned().notes[1]
    assert "as given" in planned(classification_weight=7.0).notes[1]


def test_batches_of_the_plan_divide_by_the_replicas():
    one = planned(labelled_batch_size=3, unlabelled_batch_size=8)
    plan.check_divides(one, 1)
    with pytest.raises(errors.UserError, match=r"^labelled_batch_size=3: must divide by the 4 replicas$"):
        plan.check_divides(one, 4)
    with pytest.raises(errors.UserError, match=r"^unlabelled_batch_size=8: must divide by the 3 replicas$"):
        plan.check_divides(one, 3)
    plan.check_divides(planned(model="m1", num_labels="0"), 8)
