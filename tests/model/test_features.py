"""M1+M2: features of a frozen m1 in the place of x; and the two classifiers."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.model import densities, engine, family, seeds
from adgm_tf.model.features import FeaturesOfM1
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import estimates

B, F = 4, 3


@pytest.fixture(scope="module")
def m1():
    return building.model("m1", latent_dim=F, likelihood="bernoulli")


@pytest.fixture(scope="module")
def pair(m1):
    """M2 on the features, and the same M2 without them."""
    sizes = engine.Sizes(F, 0, building.Z, building.C, densities.DENSITIES["gaussian"], Trunk((9, 8)))
    alone = engine.GenerativeModel(family.FAMILY["m2"], sizes, 0)
    whole = engine.GenerativeModel(family.FAMILY["m2"], sizes, 0, features=FeaturesOfM1(m1))
    for variable, other in zip(whole.trainable_variables, alone.trainable_variables, strict=True):
        variable.assign(building.normal(variable.shape, 5))
        other.assign(variable)
    return whole, alone


def examples():
    return building.examples(B, "bernoulli")


def test_features_are_draws_of_q_z_and_their_mean(m1):
    features, x = FeaturesOfM1(m1), examples()
    mean = m1.encode(x).z
    np.testing.assert_allclose(features(x), mean, rtol=1e-6)
    draws = features(tf.repeat(x, 400, 0), building.seed(1)).numpy().reshape(B, 400, F)
    stddev = m1.conditionals["q_z"]({"x": x[None, :, None]}).stddev()[0, :, 0].numpy()
    standard = (draws - mean.numpy()[:, None]) / stddev[:, None]
    assert abs(standard.mean()) < 0.05
    assert abs(standard.std() - 1) < 0.05
    np.testing.assert_array_equal(features(x, building.seed(1)), features(x, building.seed(1)))


def test_training_leaves_the_first_stage_alone(pair, m1):
    whole, alone = pair
    assert [v.shape for v in whole.trainable_variables] == [v.shape for v in alone.trainable_variables]
    assert not {v.ref() for v in whole.trainable_variables} & {v.ref() for v in m1.variables}
    assert {v.ref() for v in m1.variables} < {v.ref() for v in whole.variables}


def test_what_a_user_asks_goes_through_the_features(pair, m1):
    whole, alone = pair
    x = examples()
    z1 = m1.encode(x).z
    np.testing.assert_allclose(whole.classify(x, 1, building.seed(1)), alone.classify(z1, 1, building.seed(1)),
                               rtol=1e-5)
    np.testing.assert_allclose(whole.encode(x).z, alone.encode(z1).z, rtol=1e-5)
    np.testing.assert_allclose(whole.reconstruct(x), m1.generate(None, alone.reconstruct(z1)), rtol=1e-5)
    y, z = building.classes(B), building.normal([B, building.Z], 2)
    np.testing.assert_allclose(whole.generate(y, z), m1.generate(None, alone.generate(y, z)), rtol=1e-5)
    np.testing.assert_allclose(estimates.unlabelled_bound_of(whole, x, 1, building.seed(1)),
                               estimates.unlabelled_bound_of(alone, drawn(whole, x), 1, building.seed(1)), rtol=1e-5)
    kl, expected = (of.kl_per_unit(v, building.seed(1))["z"] for of, v in ((whole, x), (alone, drawn(whole, x))))
    np.testing.assert_allclose(kl, expected, rtol=1e-4)
    np.testing.assert_allclose(estimates.log_likelihood_of(whole, x, 3, building.seed(1)),
                               estimates.log_likelihood_of(alone, drawn(whole, x), 3, building.seed(1)), rtol=1e-5)


def drawn(whole, x):
    return whole.features(x, seeds.fold(building.seed(1), seeds.Draw.FEATURES))


def test_the_bound_of_a_second_stage_is_that_of_its_training(pair):
    """The mean over draws of z1 ~ q(z1|x); at the mean of z1 it is another number."""
    whole, alone = pair
    for model in pair:
        building.scatter_weights(model, 0.2)
    x, count = examples(), 400
    many = tf.repeat(x, count, 0)
    found = estimates.unlabelled_bound_of(whole, many, 1, building.seed(1)).numpy().reshape(B, count)
    z1 = whole.observe(many, building.seed(2))
    terms = building.per_example(whole, z1[:0], tf.zeros([0], tf.int32), z1, building.objective(), building.seed(3),
                                 phase=Phase.EVALUATE)
    trained = terms["unlabelled/bound"].numpy().reshape(B, count)
    error = np.sqrt((found.var(1) + trained.var(1)) / count)
    assert np.all(np.abs(found.mean(1) - trained.mean(1)) < 5 * error)
    at_the_mean = estimates.unlabelled_bound_of(alone, tf.repeat(whole.observe(x), count, 0), 1, building.seed(1))
    assert np.any(np.abs(at_the_mean.numpy().reshape(B, count).mean(1) - trained.mean(1)) > 5 * error)


@pytest.mark.parametrize("name", ["adgm", "sdgm", "m2"])
def test_the_bound_classifies_as_bayes_rule_over_its_classes(name):
    model, K = building.model(name), 3
    x = building.examples(B)
    probs = estimates.classify_by_bound(model, x, K, building.seed(1)).numpy().astype(np.float64)
    a_seed, z_seed = (seeds.fold(building.seed(1), d) for d in (seeds.Draw.AUXILIARY, seeds.Draw.LATENT))
    auxiliary = model.sample_auxiliary(x, K, a_seed, shared_noise=True)
    y = tf.range(building.C)[None, None]
    log_weight = model.log_weight(x, y, auxiliary, z_seed, shared_noise=True).numpy().astype(np.float64)
    joint = np.exp(log_weight - log_weight.max((0, 2), keepdims=True)).mean(0)
    np.testing.assert_allclose(probs, joint / joint.sum(-1, keepdims=True), rtol=2e-4, atol=1e-7)
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-6)
    alone = [estimates.classify_by_bound(model, x[i:i + 1], K, building.seed(1))[0] for i in range(B)]
    np.testing.assert_allclose(alone, probs, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adgm", "sdgm", "avae"])
def test_shared_noise_has_the_moments_of_the_density(name):
    model, K = building.model(name), 4000
    x = building.examples(B)
    draws = model.sample_auxiliary(x, K, building.seed(1), shared_noise=True).value[:, :, 0].numpy()
    q_a = model.conditionals["q_a"]({"x": x[None, :, None]})
    standard = (draws - q_a.mean()[0, :, 0].numpy()) / q_a.stddev()[0, :, 0].numpy()
    np.testing.assert_allclose(standard, np.broadcast_to(standard[:, :1], standard.shape), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(standard.mean(0), 0, atol=0.08)
    np.testing.assert_allclose(standard.std(0), 1, atol=0.06)
