"""Shifts of images in training, and the term that holds the answers to two draws of them together."""

import building
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.objectives import loss
from adgm_tf.training import augment, plan, step

SMALL = dict(num_labels="6", labelled_batch_size=4, unlabelled_batch_size=6, hidden_units=(9,), auxiliary_dim=3,
             latent_dim=4)


def trainer(src=None, **given):
    config = Config(**(SMALL | given))
    splits = building.split(config, src)
    return step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())


def moved(image, v, h):
    """x[i - v, j - h] of one image, what is beyond an edge repeating it."""
    most = max(abs(v), abs(h))
    wide = np.pad(image, [(most, most), (most, most), (0, 0)], mode="edge")
    rows, columns = image.shape[:2]
    return wide[most - v: most - v + rows, most - h: most - h + columns]


@pytest.mark.parametrize("shape", [(5, 7, 1), (6, 4, 3), (1, 9, 1)])
@pytest.mark.parametrize("most", [0, 1, 2])
def test_every_image_is_one_of_its_shifts_and_each_shift_as_likely(shape, most):
    rng, count = np.random.default_rng(0), 3000
    image = rng.random(shape).astype(np.float32)
    found = augment.shifted(tf.constant(np.tile(image.ravel(), (count, 1))), shape, most, building.seed(1)).numpy()
    offsets = [(v, h) for v in range(-most, most + 1) for h in range(-most, most + 1)]
    by_look: dict[bytes, int] = {}
    for v, h in offsets:
        key = moved(image, v, h).tobytes()
        by_look[key] = by_look.get(key, 0) + 1
    times = dict.fromkeys(by_look, 0)
    for row in found:
        times[row.tobytes()] += 1
    for key, ways in by_look.items():
        p = ways / len(offsets)
        assert abs(times[key] / count - p) <= 5 * np.sqrt(p * (1 - p) / count)


def test_images_of_a_batch_move_by_themselves_and_as_their_seed_says():
    x = tf.constant(np.tile(np.arange(49, dtype=np.float32), (40, 1)))
    first, again, other = (augment.shifted(x, (7, 7, 1), 2, building.seed(n)).numpy() for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) > 5
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e6])
def test_a_constant_image_stays(value):
    x = tf.fill([8, 12], tf.constant(value))
    np.testing.assert_array_equal(augment.shifted(x, (3, 4, 1), 9, building.seed(1)), x)


@pytest.mark.parametrize("model", ["sdgm", "m2", "vat"])
def test_q_sees_shifted_images_and_p_describes_them_as_they_are(model, monkeypatch, eagerly):
    """The loss is asked of the batch that was taken, but for what q sees of it."""
    built, asked = trainer(building.images(), model=model, shift=2, binarization="none"), []
    monkeypatch.setattr(built, "_gradients", lambda batch, *given: asked.append(batch) or built.loss_and_gradients(
        batch, *given))
    built.train(1)
    seed = seeds.fold(built.seed, tf.constant(0, tf.int64), tf.constant(0))
    taken = built.batches.take(built.arrays, building.rows(built.batches, 0), tf.constant(0), seed)
    expected = augment.shifted(taken.seen, built.batches.image_shape, 2, seeds.fold(seed, seeds.Draw.SHIFT))
    np.testing.assert_array_equal(asked[0].x, taken.x)
    np.testing.assert_array_equal(asked[0].seen, expected)
    assert not np.array_equal(asked[0].seen, asked[0].x)


def test_both_draws_are_of_the_same_examples_and_differ(monkeypatch, eagerly):
    built, asked = trainer(building.images(), shift=2, invariance_weight=3.0, input_noise=0.1), []
    monkeypatch.setattr(built, "_gradients", lambda batch, *given: asked.append(batch) or built.loss_and_gradients(
        batch, *given))
    mean, _ = built.train(1)
    seed = seeds.fold(built.seed, tf.constant(0, tf.int64), tf.constant(0))
    taken = built.batches.take(built.arrays, building.rows(built.batches, 0), tf.constant(0), seed)
    np.testing.assert_array_equal(asked[0].again, built.batches.changed(taken.seen, seeds.fold(seed, seeds.Draw.AGAIN)))
    assert not np.array_equal(asked[0].again, asked[0].seen)
    assert mean["invariance"] > 0


def invariance_of(built, batch, target="same"):
    objective = building.objective(num_samples=2, consistency="none", invariance_weight=1.0,
                                   consistency_target=target)
    found = loss.terms(built, batch, objective, building.seed(1))
    return next(term.values for term in found if term.name == "invariance")


@pytest.mark.parametrize("name", ["adgm", "sdgm", "m2"])
def test_the_term_is_the_divergence_of_the_answers_to_both_draws(name):
    """mean_K sum_y q(y|a,x) log( q(y|a,x) / q(y|a',x') ), in NumPy; 0 where both are the same."""
    built = building.model(name)
    batch = building.batch_of(*building.batch(built, 3, 4), building.objective(), building.seed(1))
    again = batch.seen + 0.3 * building.normal(batch.seen.shape, 9)

    def q_y(x):
        noise = seeds.fold(building.seed(1), seeds.Draw.AUXILIARY)
        return built.q_y(x, built.sample_auxiliary(x, 2, noise).value).probs_parameter().numpy().astype(np.float64)

    expected = rel_entr(q_y(batch.seen), q_y(again)).sum(-1).mean(0)
    np.testing.assert_allclose(invariance_of(built, batch._replace(again=again)), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(invariance_of(built, batch._replace(again=batch.seen)), 0, atol=1e-6)


def test_the_answer_to_the_first_draw_is_held_fixed():
    built = building.model("m2")
    batch = building.batch_of(*building.batch(built, 3, 4), building.objective(), building.seed(1))
    again = tf.identity(batch.seen + 0.5)
    with tf.GradientTape() as tape:
        tape.watch((batch.seen, again))
        value = tf.reduce_sum(invariance_of(built, batch._replace(again=again)))
    of_seen, of_again = tape.gradient(value, (batch.seen, again))
    assert of_seen is None
    assert np.any(of_again)


@pytest.mark.parametrize("given", [dict(num_labels="all", num_unlabelled="0"), dict(num_labels="0"), dict(shift=50),
                                   dict(shift=0, input_noise=0.3), dict(binarization="bernoulli")])
def test_it_learns_whatever_examples_there_are(given, eagerly):
    """Without unlabelled ones, without labels, shifted by more than an image, through noise alone, of binary pixels."""
    built = trainer(building.images(), **(dict(shift=2, invariance_weight=3.0) | given))
    mean, _ = built.train(2)
    assert mean["invariance"] > 0
    assert np.isfinite(list(mean.values())).all()
    assert built.weights_are_finite()


def test_images_that_come_in_blocks_are_shifted_alike():
    means = [trainer(building.images(), shift=2, invariance_weight=3.0, resident=resident).train(2)[0]
             for resident in ("true", "false")]
    assert means[0] == means[1]


@pytest.mark.parametrize(("given", "message"), [
    (dict(model="m2", features_run="RUN", shift=2), "shift=2: needs images, and the features of an m1 are none; 0 "
                                                    "leaves it out"),
    (dict(shift=2), "shift=2: needs images, and the examples of moons are none; 0 leaves it out"),
    (dict(invariance_weight=1.0), "invariance_weight=1: needs a shift or an input_noise above 0, or an example is the "
                                  "same twice")])
def test_what_cannot_be_changed_is_one_line(given, message):
    config = Config(dataset="moons", num_labels="6", **given)
    with pytest.raises(errors.UserError) as found:
        plan.make(config, building.split(config))
    assert str(found.value) == message
