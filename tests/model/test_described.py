"""What q sees and what p describes are two things: of two widths, of mixed kinds, and with cells that nobody knows."""

import building
import numpy as np
import pytest
import tensorflow as tf
from building import C
from reference import (
    BLOCKS,
    WIDTH,
    by_unit,
    drawn,
    float64,
    log_normal,
    mean_and_variance,
    noise_of,
    perceptron,
    rows_of_blocks,
)

from adgm_tf.config import Config
from adgm_tf.model import construction, engine, seeds
from adgm_tf.model.contract import Batch
from adgm_tf.model.family import FAMILY
from adgm_tf.objectives import estimates, loss

K, L, U = 2, 3, 4
SEEN = 5
CLOSE = dict(rtol=1e-4, atol=1e-4)
SPECS = {"mixed": building.Spec((7,), blocks=BLOCKS, seen_dim=SEEN, x_dim=WIDTH),
         "gaussian": building.Spec((7,), seen_dim=SEEN, x_dim=WIDTH)}
P_A_SEES_X = [name for name, row in FAMILY.items() if "x" in (row.p_a or "")]


def model(name, kind="mixed"):
    config = Config(model=name, hidden_units=(9, 8), auxiliary_dim=3, latent_dim=4)
    built = construction.build(config, SPECS[kind])
    building.scatter_weights(built, 0.4)
    return built


def described(count=L + U, kind="mixed"):
    return rows_of_blocks(count) if kind == "mixed" else building.normal([count, WIDTH], 6)


def mask(count=L + U):
    """1 where a cell is known, in all units of a category or none."""
    observed = (np.arange(count * WIDTH).reshape(count, WIDTH) % 3 > 0).astype(np.float32)
    observed[:, 5:9], observed[:, 10:] = observed[:, 5:6], observed[:, 10:11]
    assert 0 < observed.mean() < 1
    return tf.constant(observed)


def batch(built, observed=None, x=None, labelled=L):
    labelled = labelled if built.has_classes else 0
    return Batch(building.normal([L + U, SEEN], 7), described() if x is None else x, observed,
                 building.classes(labelled))


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", FAMILY)
def test_log_weight_is_the_factorisation_with_q_of_what_is_seen_and_p_of_what_is_described(name, kind):
    built, seen, x = model(name, kind), building.normal([U, SEEN], 7), described(U, kind)
    row, classes, observed = built.row, range(C if built.has_classes else 1), mask(U)
    auxiliary = built.sample_auxiliary(seen, K, building.seed(9))
    y = tf.range(C)[None, None, :] if built.has_classes else None
    weights, masked = (built.log_weight(x, y, auxiliary, building.seed(4), seen=seen, observed=o)
                       for o in (None, observed))
    noise = noise_of([K, U, len(classes), 4], building.seed(4))

    def parameters(key, given):
        return perceptron(built.conditionals[key], **{p: given[p] for p in getattr(row, key)})

    for k, b, c in np.ndindex(K, U, len(classes)):
        given = {"y": np.eye(C)[c], "a": float64(auxiliary.value[k % len(auxiliary.value), b, 0])}
        of_q, given["x"] = given | {"x": float64(seen[b])}, float64(x[b])
        q_z = mean_and_variance(parameters("q_z", of_q))
        of_q["z"] = given["z"] = drawn(*q_z, noise[k, b, c])
        p_x = parameters("p_x", given)
        units = by_unit(p_x, given["x"]) if kind == "mixed" else gaussian_by_unit(p_x, given["x"])
        common = log_normal(given["z"], 0, 1) - log_normal(given["z"], *q_z)
        if built.has_classes:
            common += np.log(1 / C)
        for found, known in ((weights, np.ones(WIDTH)), (masked, float64(observed[b]))):
            expected = common + (units * known).sum()
            if row.p_a is not None:
                of_p_a = given | {"x": given["x"] * known}
                p_a = mean_and_variance(parameters("p_a", of_p_a)) if row.p_a else (0, 1)
                expected += log_normal(given["a"], *p_a)
                expected -= log_normal(given["a"], *mean_and_variance(parameters("q_a", of_q)))
            np.testing.assert_allclose(found[k, b, c], expected, **CLOSE)


def gaussian_by_unit(parameters, x):
    mean, variance = mean_and_variance(parameters)
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


@pytest.mark.parametrize("name", FAMILY)
def test_everything_learns_where_p_describes_another_thing_than_q_sees(name):
    built = model(name)
    options = building.objective(consistency="vat")
    with tf.GradientTape() as tape:
        given = batch(built, mask())
        terms = loss.terms(built, given, options, building.seed(1))
        total = building.total(terms, len(given.y), L + U - len(given.y))
    for variable, gradient in zip(built.trainable_variables, tape.gradient(total, built.trainable_variables),
                                  strict=True):
        assert gradient is not None, variable.name
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all(), variable.name
        assert np.abs(gradient).max() > 0, variable.name


@pytest.mark.parametrize("class_sum", ["exact", "topk"])
@pytest.mark.parametrize("name", FAMILY)
def test_a_cell_that_is_not_observed_says_nothing(name, class_sum):
    """Any other value there leaves every term as it is."""
    built, observed = model(name), mask()
    options = building.objective(class_sum=class_sum, consistency="vat", num_samples=K)
    other = tf.where(observed == 1, described(), 1 - 3 * described())
    first, second = ({t.name: t.values for t in loss.terms(built, batch(built, observed, x), options, building.seed(1))}
                     for x in (described(), other))
    for term, value in first.items():
        np.testing.assert_array_equal(second[term], value, err_msg=term)
    whole = {t.name: t.values for t in loss.terms(built, batch(built, None, other), options, building.seed(1))}
    assert not np.allclose(whole["unlabelled/reconstruction"], first["unlabelled/reconstruction"], rtol=1e-2)


@pytest.mark.parametrize("name", FAMILY)
def test_cells_that_are_all_observed_are_as_no_mask(name):
    built, options = model(name), building.objective(num_samples=K)
    plain, masked = ({t.name: t.values for t in loss.terms(built, batch(built, o), options, building.seed(1))}
                     for o in (None, tf.ones([L + U, WIDTH])))
    for term, value in plain.items():
        np.testing.assert_allclose(masked[term], value, rtol=1e-4, atol=1e-4, err_msg=term)


@pytest.mark.parametrize("name", FAMILY)
def test_the_terms_of_a_batch_are_those_of_its_two_parts(name):
    """The bounds of labelled and unlabelled examples, from `log_weight` of each part with its own mask."""
    built, options, seed = model(name), building.objective(), building.seed(1)
    given = batch(built, mask())
    terms = {t.name: t.values for t in loss.terms(built, given, options, seed)}
    auxiliary = built.sample_auxiliary(given.seen, 1, seeds.fold(seed, seeds.Draw.AUXILIARY))
    count = len(given.y)
    if built.has_classes:
        part = given.part(slice(0, count))
        expected = built.log_weight(part.x, given.y[None, :, None], loss._rows(auxiliary, slice(0, count)),
                                    seeds.fold(seed, seeds.Draw.LATENT, 0), seen=part.seen, observed=part.observed)
        np.testing.assert_allclose(terms["labelled/bound"], expected[0, :, 0], rtol=1e-5)
    part = given.part(slice(count, None))
    y = tf.range(C)[None, None] if built.has_classes else None
    weights = built.log_weight(part.x, y, loss._rows(auxiliary, slice(count, None)),
                               seeds.fold(seed, seeds.Draw.LATENT, 1), seen=part.seen, observed=part.observed)[0]
    expected = weights[:, 0]
    if built.has_classes:
        q = float64(built.q_y(given.seen, auxiliary.value).probs_parameter()[0, count:])
        expected = np.sum(q * (weights - np.log(q)), -1)
    np.testing.assert_allclose(terms["unlabelled/bound"], expected, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILY)
def test_what_is_measured_is_of_both(name):
    """Bound, log-likelihood and classes by the bound, against `log_weight` of the same samples."""
    built, seen, seed = model(name), building.normal([U, SEEN], 7), building.seed(1)
    of = estimates.Described(described(U), mask(U))
    a_seed, z_seed = (seeds.fold(seed, d) for d in (seeds.Draw.AUXILIARY, seeds.Draw.LATENT))
    y = tf.range(C)[None, None] if built.has_classes else None
    auxiliary = built.sample_auxiliary(seen, K, a_seed)
    weights = float64(built.log_weight(of.x, y, auxiliary, z_seed, seen=seen, observed=of.observed))
    found = estimates.log_likelihood_of(built, seen, K, seed, described=of)
    np.testing.assert_allclose(found, np.logaddexp.reduce(weights, (0, 2)) - np.log(K), rtol=1e-4)
    bound = estimates.unlabelled_bound_of(built, seen, K, seed, described=of)
    expected = weights[..., 0].mean(0)
    if built.has_classes:
        q = float64(built.q_y(seen, auxiliary.value).probs_parameter())
        expected = np.sum(q * (weights - np.log(q)), -1).mean(0)
        auxiliary = built.sample_auxiliary(seen, K, a_seed, shared_noise=True)
        shared = float64(built.log_weight(of.x, y, auxiliary, z_seed, seen=seen, observed=of.observed,
                                          shared_noise=True))
        joint = np.exp(shared - shared.max((0, 2), keepdims=True)).mean(0)
        np.testing.assert_allclose(estimates.classify_by_bound(built, seen, K, seed, described=of),
                                   joint / joint.sum(-1, keepdims=True), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(bound, expected, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILY)
def test_q_takes_what_it_sees_and_p_gives_what_it_describes(name):
    built, seen = model(name), building.normal([U, SEEN], 7)
    assert (built.input_dim, built.seen_dim, built.sizes.x_dim) == (SEEN, SEEN, WIDTH)
    assert built.reconstruct(seen).shape == (U, WIDTH)
    y = building.classes(U) if built.has_classes else None
    generated = built.generate(y, building.normal([U, 4], 1), building.seed(1)).numpy()
    assert generated.shape == (U, WIDTH)
    for block in (slice(5, 9), slice(10, 12)):
        np.testing.assert_allclose(generated[:, block].sum(-1), 1, rtol=1e-5)
    assert np.all((generated[:, 2:5] > 0) & (generated[:, 2:5] < 1))
    for key, conditional in built.conditionals.items():
        if "x" in conditional.parts:
            assert conditional.parts["x"].kernel.shape[0] == (SEEN if key[0] == "q" else WIDTH)


@pytest.mark.parametrize("name", P_A_SEES_X)
def test_kl_per_unit_of_a_is_between_q_of_what_is_seen_and_p_of_what_is_described(name):
    built, seen, x, seed = model(name), building.normal([U, SEEN], 7), described(U), building.seed(1)
    a = built.sample_auxiliary(seen, 1, seeds.fold(seed, seeds.Draw.AUXILIARY)).value
    given = {"x": seen[None, :, None], "a": a}
    if built.has_classes:
        given["y"] = tf.argmax(built.q_y(seen, a).logits_parameter(), -1, tf.int32)[:, :, None]
    q_z, q_a = built._of("q_z", given), built._of("q_a", given)
    given["z"] = engine.draw(q_z, 1, seeds.fold(seed, seeds.Draw.LATENT))
    p_a = built._of("p_a", given | {"x": x[None, :, None]})
    (m, s), (n, t) = ((float64(d.mean()), float64(d.stddev())) for d in (q_a, p_a))
    expected = (np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5).sum((0, 1, 2))
    np.testing.assert_allclose(built.kl_per_unit(seen, seed, x)["a"], expected, rtol=1e-3, atol=1e-4)
    other = tf.where(mask(U) == 1, x, 5.0)
    np.testing.assert_array_equal(*(built.kl_per_unit(seen, seed, of, mask(U))["a"] for of in (x, other)))
