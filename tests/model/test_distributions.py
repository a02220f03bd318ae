import building
import numpy as np
import pytest
import tensorflow as tf
from reference import BLOCKS, WIDTH, by_unit, float64, rows_of_blocks

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import construction, densities
from adgm_tf.objectives import estimates

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


def mixed_parameters():
    density = densities.mixed(BLOCKS)
    assert density.num_parameters(WIDTH) == 2 * 2 + 3 + 4 + 2 * 1 + 2
    return density, 2 * building.normal([2, 3, 5, density.num_parameters(WIDTH)], 5)


def table(count=3):
    return rows_of_blocks(count)[None, :, None, :]


def test_a_mixed_density_is_the_sum_of_its_blocks():
    density, parameters = mixed_parameters()
    q, x = density.function(parameters), table()
    expected = by_unit(float64(parameters), float64(x))
    np.testing.assert_allclose(q.log_prob_of_units(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q.log_prob(x), expected.sum(-1), rtol=1e-5, atol=1e-5)
    assert q.batch_shape == (2, 3, 5)
    assert q.event_shape == (WIDTH,)


def test_a_category_counts_once_at_its_own_unit():
    density, parameters = mixed_parameters()
    units = density.function(parameters).log_prob_of_units(table()).numpy()
    hot = np.broadcast_to(table().numpy() == 1, units.shape)
    for block in (slice(5, 9), slice(10, 12)):
        assert np.all((units[..., block] != 0) == hot[..., block])


def test_the_mean_of_a_mixed_density_holds_means_and_probabilities():
    density, parameters = mixed_parameters()
    p, mean = float64(parameters), density.function(parameters).mean()
    np.testing.assert_allclose(mean[..., :2], p[..., :2], rtol=1e-5)
    np.testing.assert_allclose(mean[..., 2:5], 1 / (1 + np.exp(-p[..., 4:7])), rtol=1e-4)
    np.testing.assert_allclose(mean[..., 9], p[..., 11], rtol=1e-5)
    for block, own in ((slice(5, 9), p[..., 7:11]), (slice(10, 12), p[..., 13:15])):
        np.testing.assert_allclose(mean[..., block], np.exp(own) / np.exp(own).sum(-1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("name", ["mixed", "gaussian", "bernoulli"])
def test_what_is_not_observed_is_left_out_of_the_sum(name):
    x = table()
    if name == "mixed":
        density, parameters = mixed_parameters()
        q = density.function(parameters)
        of_units = q.log_prob_of_units(x)
    else:
        density = densities.DENSITIES[name]
        x = tf.cast(x > 0, tf.float32)
        q = density.function(2 * building.normal([2, 3, 5, density.num_parameters(WIDTH)], 5))
        of_units = q.distribution.log_prob(x)
    observed = (np.arange(3 * WIDTH).reshape(3, WIDTH) % 3 > 0).astype(np.float32)
    expected = (float64(of_units) * observed[None, :, None]).sum(-1)
    np.testing.assert_allclose(densities.log_prob(q, x, tf.constant(observed)), expected, rtol=1e-4, atol=1e-5)
    for whole in (None, tf.ones([3, WIDTH])):
        np.testing.assert_allclose(densities.log_prob(q, x, whole), float64(of_units).sum(-1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(densities.log_prob(q, x, tf.zeros([3, WIDTH])), np.zeros([2, 3, 5]))


def test_a_block_of_another_density_is_one_line():
    with pytest.raises(errors.UserError, match=r"^density=gausian: did you mean gaussian\? known: gaussian, "):
        densities.mixed((("bernoulli", 1), ("gausian", 2)))


def laplace(parameters):
    location, raw = tf.split(parameters, 2, axis=-1)
    return densities.tfd.Independent(densities.tfd.Laplace(location, tf.exp(raw)), 1)


@pytest.fixture
def registered():
    """Puts the densities back as they were."""
    before = dict(densities.DENSITIES)
    yield densities.register
    densities.DENSITIES.clear()
    densities.DENSITIES.update(before)


def test_a_density_of_ones_own_is_a_likelihood_like_any_other(registered):
    registered(densities.Density("laplace", laplace, parameters_per_unit=2))
    config = Config(model="m2", likelihood="laplace", hidden_units=(5,), latent_dim=2)
    built = construction.build(config, building.Spec((7,)))
    assert built.sizes.likelihood.function is laplace
    x = building.examples(4, dim=7)
    bound = estimates.unlabelled_bound_of(built, x, 2, building.seed(1))
    assert np.isfinite(bound).all()
    half = estimates.Described(x, tf.constant(np.tile([1.0, 0, 1, 0, 1, 0, 1], (4, 1)).astype(np.float32)))
    assert not np.allclose(estimates.unlabelled_bound_of(built, x, 2, building.seed(1), described=half), bound)
    registered(densities.Density("laplace", laplace, parameters_per_unit=2, initial_stddev=1e-3))


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "auto", "mixed"])
def test_the_name_of_a_density_that_is_there_is_taken(registered, name):
    with pytest.raises(errors.UserError, match=f"^likelihood={name}: is taken$"):
        registered(densities.Density(name, laplace, parameters_per_unit=2))
