import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.model import densities

PARAMETERS = building.normal([2, 3, 1, 8], 5) * 2


def test_gaussian_is_a_product_of_normals_with_half_the_parameters_as_means():
    x = building.normal([2, 3, 1, 4], 6)
    mean, raw = np.split(PARAMETERS.numpy().astype(float), 2, axis=-1)
    variance = np.exp(10 * np.tanh(raw / 10))
    expected = -0.5 * (np.log(2 * np.pi * variance) + (x.numpy() - mean) ** 2 / variance).sum(-1)
    np.testing.assert_allclose(densities.gaussian(PARAMETERS).log_prob(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("raw", [-1e6, -50.0, 50.0, 1e6])
def test_the_log_variance_stays_within_its_bound(raw):
    q = densities.gaussian(tf.constant([[0.0, raw]]))
    log_variance = np.log(q.variance().numpy())
    assert np.abs(log_variance) <= densities.LOG_VARIANCE_BOUND * (1 + 1e-6)
    assert np.sign(log_variance) == np.sign(raw)
    assert np.isfinite(q.log_prob(tf.constant([[1.0]])).numpy())


def test_a_small_parameter_is_the_log_variance_itself():
    q = densities.gaussian(tf.constant([[0.0, 0.1]]))
    np.testing.assert_allclose(np.log(q.variance()), 0.1, rtol=1e-4)


def test_bernoulli_of_binary_pixels_is_the_log_of_their_probability():
    x = tf.cast(PARAMETERS[::-1] > 0, tf.float32)
    probs = 1 / (1 + np.exp(-PARAMETERS.numpy().astype(float)))
    expected = np.log(np.where(x == 1, probs, 1 - probs)).sum(-1)
    np.testing.assert_allclose(densities.bernoulli(PARAMETERS).log_prob(x), expected, rtol=1e-5, atol=1e-5)


def test_bernoulli_of_grey_pixels_lies_between_those_of_black_and_white():
    black, white = tf.zeros_like(PARAMETERS), tf.ones_like(PARAMETERS)
    q = densities.bernoulli(PARAMETERS)
    grey = 0.3 * q.log_prob(white) + 0.7 * q.log_prob(black)
    np.testing.assert_allclose(q.log_prob(0.3 * white), grey, rtol=1e-5)


def test_bernoulli_of_extreme_logits_is_finite():
    q = densities.bernoulli(tf.constant([[-1e4, 1e4]]))
    np.testing.assert_allclose(q.log_prob(tf.constant([[0.0, 1.0]])), [0.0], atol=1e-6)
    np.testing.assert_allclose(q.log_prob(tf.constant([[1.0, 0.0]])), [-2e4], rtol=1e-6)


def test_categorical_is_the_softmax_of_its_logits():
    logits = PARAMETERS.numpy().astype(float)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(densities.categorical(PARAMETERS).probs_parameter(), expected, rtol=1e-5, atol=1e-5)


def test_deterministic_is_its_parameter():
    q = densities.deterministic(PARAMETERS)
    np.testing.assert_array_equal(q.mean(), PARAMETERS)
    np.testing.assert_array_equal(q.sample(seed=building.seed(1)), PARAMETERS)


def test_the_standard_normal_broadcasts_against_any_batch():
    z = building.normal([2, 3, 5, 4], 7)
    expected = -0.5 * (np.log(2 * np.pi) + z.numpy().astype(float) ** 2).sum(-1)
    np.testing.assert_allclose(densities.standard_normal(4).log_prob(z), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bernoulli", "deterministic", "gaussian"])
def test_a_density_has_as_many_parameters_a_unit_as_it_says(name):
    density = densities.DENSITIES[name]
    q = density.function(tf.zeros([2, 3 * density.parameters_per_unit]))
    assert q.event_shape == (3,)
    assert q.batch_shape == (2,)
