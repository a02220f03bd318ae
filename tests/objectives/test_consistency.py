"""The virtual adversarial term."""

import building
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from adgm_tf.model.family import FAMILY
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import regularisers

tfd = tfp.distributions

K, B = 2, 4
WITH_CLASSES = [name for name, row in FAMILY.items() if row.q_y]
NOISE, DIRECTION = building.seed(1), building.seed(2)


@pytest.fixture(scope="module", params=WITH_CLASSES)
def model(request):
    return building.model(request.param, scatter=0.5)


@pytest.fixture(scope="module")
def adgm():
    return building.model("adgm", scatter=0.5)


def q_y_of(model, x, noise=NOISE):
    return model.q_y(x, model.sample_auxiliary(x, K, noise).value)


def term(model, x, radius, q_y=None):
    return regularisers.virtual_adversarial(model, x, q_y or q_y_of(model, x), regularisers.Noise(K, NOISE), DIRECTION,
                                          radius=radius)


def divergence(model, x, r):
    """KL( q(y|a,x) || q(y|a',x+r) ) with the same noise of a on both sides."""
    return tf.reduce_mean(tfd.kl_divergence(q_y_of(model, x), q_y_of(model, x + r)), 0)


def spied_direction(model, x, radius, monkeypatch):
    """The r of the last look at x + r, and the seeds of the noise of a."""
    seen, sample = [], model.sample_auxiliary

    def spy(x, num_samples, seed, phase=Phase.EVALUATE):
        seen.append((x, seed))
        return sample(x, num_samples, seed, phase)

    q_y = q_y_of(model, x)
    monkeypatch.setattr(model, "sample_auxiliary", spy)
    term(model, x, radius, q_y)
    monkeypatch.undo()
    return seen[-1][0] - x, [seed for _, seed in seen]


def test_a_direction_without_length_changes_nothing(model):
    np.testing.assert_allclose(term(model, building.examples(B), 0.0), np.zeros(B), atol=1e-6)


def test_other_noise_of_a_would_change_the_classifier(adgm):
    x = building.examples(B)
    other = tfd.kl_divergence(q_y_of(adgm, x), q_y_of(adgm, x, building.seed(5)))
    assert np.all(other > 1e-4)


def test_the_term_is_a_divergence(model):
    assert np.all(term(model, building.examples(B), 1.0) > 0)


def test_r_has_the_length_that_is_asked_for(model, monkeypatch):
    for radius in (0.1, 1.5):
        r, _ = spied_direction(model, building.examples(B), radius, monkeypatch)
        np.testing.assert_allclose(np.linalg.norm(r, axis=-1), np.full(B, radius), rtol=1e-4)


def test_the_term_is_the_divergence_at_r(model, monkeypatch):
    x = building.examples(B)
    r, noise = spied_direction(model, x, 1.5, monkeypatch)
    np.testing.assert_allclose(term(model, x, 1.5), divergence(model, x, r), rtol=1e-4, atol=1e-6)
    assert all(np.array_equal(seed, NOISE) for seed in noise)


def test_the_adversarial_direction_beats_random_ones():
    adgm, x, radius = building.model("adgm", x_dim=20), building.examples(32, dim=20), 0.3
    random = [divergence(adgm, x, radius * tf.math.l2_normalize(building.normal(x.shape, 7, i), -1)) for i in range(8)]
    adversarial = term(adgm, x, radius)
    assert np.mean(adversarial) > 2 * np.mean(random)
    assert np.mean(adversarial > np.mean(random, 0)) > 0.9


def test_the_direction_is_the_one_that_the_classifier_listens_to(monkeypatch):
    m2, x = building.model("m2", x_dim=3, num_classes=2, trunk=Trunk((9,))), building.examples(B, dim=3)
    make_linear(m2.conditionals["q_y"])
    slope = m2.conditionals["q_y"].parts["x"].kernel @ m2.conditionals["q_y"].last.kernel @ [[1.0], [-1.0]]
    r, _ = spied_direction(m2, x, 0.1, monkeypatch)
    np.testing.assert_allclose(np.abs(r @ slope)[:, 0], np.full(B, 0.1 * np.linalg.norm(slope)), rtol=1e-3)


def make_linear(conditional):
    """Keeps every unit of the only hidden layer above zero."""
    conditional.first_bias.assign(tf.fill(conditional.first_bias.shape, 20.0))
    conditional.last.bias.assign(-20 * tf.reduce_sum(conditional.last.kernel, 0))


def test_no_gradient_flows_through_the_clean_side(adgm):
    x, logits = building.examples(B), tf.Variable(building.normal([K, B, building.C], 3))
    with tf.GradientTape() as tape:
        value = term(adgm, x, 1.0, tfd.Categorical(logits=logits))
    assert tape.gradient(value, logits) is None


def test_the_gradient_is_that_of_the_divergence_from_a_fixed_distribution_at_a_fixed_r(adgm, monkeypatch):
    x = building.examples(B)
    r, _ = spied_direction(adgm, x, 1.0, monkeypatch)
    clean = tfd.Categorical(logits=tf.stop_gradient(q_y_of(adgm, x).logits_parameter()))
    variables = [v for key in ("q_a", "q_y") for v in adgm.conditionals[key].trainable_variables]
    with tf.GradientTape() as tape:
        expected = tf.reduce_mean(tfd.kl_divergence(clean, q_y_of(adgm, x + r)), 0)
    expected = tape.gradient(expected, variables)
    with tf.GradientTape() as tape:
        value = term(adgm, x, 1.0)
    for gradient, fixed in zip(tape.gradient(value, variables), expected, strict=True):
        np.testing.assert_allclose(gradient, fixed, rtol=1e-2, atol=1e-4 * np.abs(fixed).max())


def test_a_classifier_that_ignores_x_stays_finite():
    m2, x = building.model("m2"), building.examples(B)
    m2.conditionals["q_y"].parts["x"].kernel.assign(tf.zeros_like(m2.conditionals["q_y"].parts["x"].kernel))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(term(m2, x, 1.0))
    np.testing.assert_allclose(value, 0, atol=1e-6)
    gradients = tape.gradient(value, m2.conditionals["q_y"].trainable_variables)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("scale", [1e-25, 1e-6, 1.0, 1e18])
def test_unit_rows_have_length_one_at_any_scale(scale):
    v = scale * building.normal([B, 7], 1)
    np.testing.assert_allclose(np.linalg.norm(regularisers._unit(v), axis=-1), np.ones(B), rtol=1e-4)


def test_unit_leaves_zeros_alone():
    np.testing.assert_array_equal(regularisers._unit(tf.zeros([B, 7])), np.zeros([B, 7]))


def test_the_term_of_the_loss_is_that_of_all_examples(adgm):
    objective = building.objective(num_samples=K, consistency="vat", consistency_radius=1.3)
    given = building.batch(adgm, 2, 3)
    terms = building.per_example(adgm, *given, objective, building.seed(4))
    assert terms["consistency"].shape == (5,)
    wider = building.per_example(adgm, *given, building.objective(
        num_samples=K, consistency="vat", consistency_radius=0.0), building.seed(4))
    np.testing.assert_allclose(wider["consistency"], np.zeros(5), atol=1e-6)
    assert np.all(terms["consistency"] > 1e-6)
