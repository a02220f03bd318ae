import re

import building
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from building import A, C, D, Z

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import construction, densities, engine, seeds
from adgm_tf.model.family import FAMILY, Row
from adgm_tf.objectives import estimates
from adgm_tf.training import plan

tfd = tfp.distributions

K, B = 3, 4
WITH_CLASSES = [name for name, row in FAMILY.items() if row.q_y]
WITH_DENSITY = [name for name, row in FAMILY.items() if row.p_a is not None]
SMALL = dict(hidden_units=(4,), auxiliary_dim=2, latent_dim=2)


@pytest.fixture(scope="module", params=FAMILY)
def model(request):
    return building.model(request.param)


def classes_of(model, count=B):
    return building.classes(count) if model.has_classes else None


def normal_kl(q, p):
    """KL(N(m,s) || N(m',s')) of each unit, of a mean and a standard deviation each."""
    (m, s), (n, t) = ((np.asarray(v, float) for v in d) for d in (q, p))
    return np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5


def of(model, key, given):
    q = model.conditionals[key]({p: given[p] for p in getattr(model.row, key)})
    return q.mean().numpy(), q.stddev().numpy()


def test_the_contract_keeps_its_shapes(model):
    x = building.examples(B)
    auxiliary = model.sample_auxiliary(x, K, building.seed(1))
    drawn = K if model.row.p_a is not None else 1
    assert auxiliary.value.shape == (drawn, B, 1, A if model.row.q_a else 0)
    assert auxiliary.log_q.shape == (drawn, B, 1)
    for y, slots in ([(tf.range(C)[None, None, :], C), (classes_of(model)[None, :, None], 1)]
                     if model.has_classes else [(None, 1)]):
        assert model.log_weight(x, y, auxiliary, building.seed(2)).shape == (K, B, slots)
    if model.has_classes:
        q_y = model.q_y(x, auxiliary.value)
        assert q_y.batch_shape == ((drawn if "a" in model.row.q_y else 1), B)
        assert q_y.probs_parameter().shape[-1] == C


def test_encoding_generation_and_reconstruction_keep_their_shapes(model):
    x = building.examples(B)
    code = model.encode(x)
    assert code.a.shape == (B, A if model.row.q_a else 0)
    assert code.z.shape == (B, Z)
    assert code.y.shape == (B,)
    assert model.generate(classes_of(model), building.normal([B, Z], 1), building.seed(1)).shape == (B, D)
    assert model.reconstruct(x).shape == (B, D)


def test_a_reconstruction_is_what_the_encoding_generates(model):
    x = building.examples(B)
    code = model.encode(x)
    given = {"a": code.a[None, :, None], "y": code.y[None, :, None], "z": code.z[None, :, None]}
    np.testing.assert_allclose(model.reconstruct(x), of(model, "p_x", given)[0][0, :, 0], rtol=1e-5)
    if "a" not in model.row.p_x:
        y = code.y if model.has_classes else None
        np.testing.assert_allclose(model.reconstruct(x), model.generate(y, code.z), rtol=1e-5)


def test_the_encoding_holds_means_given_the_most_probable_class(model):
    x = building.examples(B)
    code = model.encode(x)
    given = {"x": x[None, :, None]}
    if model.row.q_a:
        np.testing.assert_allclose(code.a, of(model, "q_a", given)[0][0, :, 0], rtol=1e-5)
    given |= {"a": code.a[None, :, None], "y": code.y[None, :, None]}
    np.testing.assert_allclose(code.z, of(model, "q_z", given)[0][0, :, 0], rtol=1e-5, atol=1e-6)
    if model.has_classes:
        probs = model.q_y(x, code.a[None, :, None]).probs_parameter()[0]
        np.testing.assert_array_equal(code.y, np.argmax(probs, -1))
    else:
        np.testing.assert_array_equal(code.y, np.zeros(B))


def test_an_encoding_can_be_given_the_class():
    adgm, x = building.model(), building.examples(B)
    codes = [adgm.encode(x, tf.fill([B], c)) for c in (0, 1)]
    assert not np.allclose(codes[0].z, codes[1].z)
    np.testing.assert_array_equal(codes[1].y, np.ones(B))


def test_generation_with_a_seed_draws_a_where_x_depends_on_it():
    for name in FAMILY:
        model = building.model(name, likelihood="bernoulli")
        y, z = classes_of(model), building.normal([B, Z], 1)
        means, first, again, other = (model.generate(y, z, s) for s in (
            None, building.seed(1), building.seed(1), building.seed(2)))
        np.testing.assert_array_equal(first, again)
        assert np.allclose(first, other) is (name != "sdgm")
        assert np.allclose(first, means) is (name != "sdgm")


def test_examples_draw_an_a_of_their_own_from_its_prior(monkeypatch):
    monkeypatch.setitem(FAMILY, "own", Row("x", "ax", "axy", "", "ayz"))
    built = building.model("own")
    y, z = tf.zeros([B], tf.int32), tf.repeat(building.normal([1, Z], 1), B, 0)
    drawn = built.generate(y, z, building.seed(1)).numpy()
    assert len(np.unique(drawn.round(4), axis=0)) == B
    np.testing.assert_allclose(built.generate(y, z), tf.repeat(built.generate(y[:1], z[:1]), B, 0), rtol=1e-5)


def test_the_noise_of_a_is_the_same_for_any_x_of_the_same_shape():
    sdgm = building.model("sdgm")

    def noise(x):
        mean, stddev = of(sdgm, "q_a", {"x": x[None, :, None]})
        return (sdgm.sample_auxiliary(x, K, building.seed(1)).value - mean) / stddev

    np.testing.assert_allclose(noise(building.examples(B)), noise(3 + building.examples(B)), rtol=1e-3, atol=1e-4)


def test_every_sample_and_example_has_its_own_noise():
    sdgm = building.model("sdgm", auxiliary_dim=1)
    x = tf.repeat(building.examples(1), B, 0)
    auxiliary = sdgm.sample_auxiliary(x, K, building.seed(1))
    assert len(np.unique(auxiliary.value)) == K * B
    kl_z = np.broadcast_to(sdgm.terms(x, tf.zeros([1, 1, 1], tf.int32), auxiliary, building.seed(2)).kl_z, [K, B, 1])
    assert len(np.unique(kl_z)) == K * B


def test_every_class_has_its_own_noise_of_z():
    m2, x = building.model("m2"), building.examples(B)
    auxiliary = m2.sample_auxiliary(x, K, building.seed(1))
    terms = m2.terms(x, tf.zeros([1, 1, C], tf.int32), auxiliary, building.seed(2))
    assert len(np.unique(terms.reconstruction)) == K * B * C


def test_q_z_looks_at_what_it_is_shown_and_p_describes_x(model):
    x, seed = building.examples(B), building.seed(2)
    seen = x + building.normal(x.shape, 3)
    auxiliary = model.sample_auxiliary(seen, K, building.seed(1))
    y = classes_of(model)[None, :, None] if model.has_classes else None
    terms = model.terms(x, y, auxiliary, seed, seen=seen)
    given = {"x": x[None, :, None], "a": auxiliary.value, "y": y}
    q_z = model._of("q_z", given | {"x": seen[None, :, None]})
    given["z"] = engine.draw(q_z, K, seed)
    np.testing.assert_array_equal(terms.kl_z, model.terms(seen, y, auxiliary, seed).kl_z)
    np.testing.assert_allclose(terms.reconstruction, model._of("p_x", given).log_prob(given["x"]), rtol=1e-5)
    if model.row.p_a:
        np.testing.assert_allclose(terms.kl_a, auxiliary.log_q - model._of("p_a", given).log_prob(auxiliary.value),
                                   rtol=1e-4, atol=1e-4)


def test_a_deterministic_a_has_no_density_and_no_noise():
    model, x = building.model("adgm_deterministic"), building.examples(B)
    first, other = (model.sample_auxiliary(x, K, building.seed(s)) for s in (1, 2))
    np.testing.assert_array_equal(first.value, other.value)
    np.testing.assert_array_equal(first.log_q, np.zeros([1, B, 1]))
    terms = model.terms(x, building.classes(B)[None, :, None], first, building.seed(1))
    np.testing.assert_array_equal(np.broadcast_to(terms.kl_a, [K, B, 1]), np.zeros([K, B, 1]))


@pytest.mark.parametrize("prior", [(), (0.1, 0.2, 0.3, 0.15, 0.25)])
def test_the_prior_of_the_classes_is_uniform_or_as_given(prior):
    adgm, x = building.model(class_prior=prior), building.examples(B)
    auxiliary = adgm.sample_auxiliary(x, K, building.seed(1))
    log_p_y = adgm.terms(x, tf.range(C)[None, None, :], auxiliary, building.seed(2)).log_p_y
    np.testing.assert_allclose(np.broadcast_to(log_p_y, [K, B, C])[0, 0], np.log(prior or [1 / C] * C), rtol=1e-5)


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_classify_averages_over_samples_of_a(name):
    model, x = building.model(name), building.examples(B)
    a = model.encode(x).a[None, :, None]
    if model.row.p_a is not None:
        noise = tf.random.stateless_normal([K, 1, 1, A], building.seed(1))
        a += of(model, "q_a", {"x": x[None, :, None]})[1] * noise
    expected = np.mean(model.q_y(x, a).probs_parameter(), 0)
    probs = model.classify(x, K, building.seed(1))
    np.testing.assert_allclose(probs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sum(probs, -1), np.ones(B), rtol=1e-5)


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_classify_does_not_depend_on_the_rest_of_the_batch(name):
    model, x = building.model(name), building.examples(B)
    together = model.classify(x, K, building.seed(1))
    alone = [model.classify(x[b: b + 1], K, building.seed(1))[0] for b in range(B)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_classify_of_many_samples_is_the_expectation_of_q_y():
    adgm, x = building.model(scatter=0.5), building.examples(B)
    sampled = adgm.q_y(x, adgm.sample_auxiliary(x, 4000, building.seed(1)).value).probs_parameter().numpy()
    error = sampled.std(0) / np.sqrt(4000)
    averaged = adgm.classify(x, 4000, building.seed(2))
    assert np.all(np.abs(averaged - sampled.mean(0)) < 7 * error + 1e-4)
    assert not np.allclose(averaged, adgm.classify(x, 1, building.seed(2)), atol=0.02)


def test_kl_per_unit_is_the_closed_form_at_the_samples(model):
    x, seed = building.examples(B), building.seed(1)
    auxiliary = model.sample_auxiliary(x, 1, seeds.fold(seed, seeds.Draw.AUXILIARY))
    given = {"x": x[None, :, None], "a": auxiliary.value}
    if model.has_classes:
        given["y"] = tf.argmax(model.q_y(x, auxiliary.value).logits_parameter(), -1, tf.int32)[:, :, None]
    q_z = of(model, "q_z", given)
    noise = tfd.Normal(tf.zeros([1, B, 1, Z]), 1.0).sample(seed=seeds.fold(seed, seeds.Draw.LATENT))
    given["z"] = q_z[0] + q_z[1] * noise
    expected = {"z": normal_kl(q_z, (0, 1)).sum((0, 1, 2))}
    if model.row.p_a is not None:
        p_a = of(model, "p_a", given) if model.row.p_a else (0, 1)
        expected["a"] = normal_kl(of(model, "q_a", given), p_a).sum((0, 1, 2))
    found = model.kl_per_unit(x, seed)
    assert set(found) == set(expected)
    for letter, value in found.items():
        np.testing.assert_allclose(value, expected[letter], rtol=1e-4, atol=1e-4)
        assert np.all(value > 0)


def test_kl_per_unit_is_zero_for_a_posterior_that_is_the_prior():
    adgm = building.model(scatter=0)
    for key in ("q_a", "q_z"):
        adgm.conditionals[key].last.set_weights([0 * w for w in adgm.conditionals[key].last.get_weights()])
    for value in adgm.kl_per_unit(building.examples(B), building.seed(1)).values():
        np.testing.assert_allclose(value, np.zeros_like(value), atol=1e-6)


def test_the_sampled_kl_terms_have_their_closed_form_as_mean(model):
    x, count = building.examples(B), 4000
    auxiliary = model.sample_auxiliary(x, count, building.seed(1))
    y = classes_of(model)[None, :, None] if model.has_classes else None
    terms = model.terms(x, y, auxiliary, building.seed(2))
    given = {"x": x[None, :, None], "a": auxiliary.value, "y": y}
    q_z = of(model, "q_z", given)
    closed_z = normal_kl(q_z, (0, 1)).sum(-1)
    assert_close_in_mean(terms.kl_z[..., 0], np.broadcast_to(closed_z, (count, B, 1))[..., 0])
    if model.row.p_a == "":
        closed_a = normal_kl(of(model, "q_a", given), (0, 1)).sum(-1)[..., 0]
        assert_close_in_mean(terms.kl_a[..., 0], np.broadcast_to(closed_a, (count, B)))


def assert_close_in_mean(samples, expected):
    difference = np.asarray(samples, float) - expected
    assert np.all(np.abs(difference.mean(0)) < 5 * difference.std(0) / np.sqrt(len(difference)) + 1e-5)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_the_density_of_a_sample_is_that_of_q_a(name):
    model, x = building.model(name), building.examples(B)
    auxiliary = model.sample_auxiliary(x, K, building.seed(1))
    mean, stddev = (v.astype(float) for v in of(model, "q_a", {"x": x[None, :, None]}))
    a = auxiliary.value.numpy().astype(float)
    expected = -(np.log(stddev) + 0.5 * np.log(2 * np.pi) + 0.5 * ((a - mean) / stddev) ** 2).sum(-1)
    np.testing.assert_allclose(auxiliary.log_q, expected, rtol=1e-4, atol=1e-4)


def test_the_same_seed_builds_the_same_model():
    first, again = (construction.build(Config(seed=3, **SMALL), building.Spec((4, 4, 1))) for _ in range(2))
    other = construction.build(Config(seed=4, **SMALL), building.Spec((4, 4, 1)))
    for v, same, different in zip(first.variables, again.variables, other.variables, strict=True):
        np.testing.assert_array_equal(v, same)
        assert not np.array_equal(v, different)


@pytest.mark.parametrize(("is_image", "given", "density"), [
    (True, {}, "bernoulli"), (False, {}, "gaussian"), (True, dict(likelihood="gaussian"), "gaussian")])
def test_the_likelihood_follows_the_data_unless_given(is_image, given, density):
    built = construction.build(Config(**SMALL, **given), building.Spec((4, 4, 1) if is_image else (16,)))
    assert built.sizes.likelihood is densities.DENSITIES[density]
    assert built.sizes.x_dim == 16


@pytest.mark.parametrize(("given", "message"), [
    (dict(trunk="convolutional"), "trunk=convolutional: the data have no images; use perceptron"),
    (dict(trunk="convolutionl"), "trunk=convolutionl: did you mean convolutional? known: perceptron, convolutional"),
    (dict(class_prior="0.5,0.5"), "class_prior=0.5,0.5: has 2 numbers, for 5 classes"),
    (dict(likelihood="bernoulli"), "likelihood=bernoulli: the data have real vectors; use gaussian"),
    (dict(likelihood="gausian"), "likelihood=gausian: did you mean gaussian? known: "),
    (dict(model="agdm"), "model=agdm: did you mean adgm? known: "),
])
def test_an_option_that_does_not_fit_the_data_is_named(given, message):
    with pytest.raises(errors.UserError, match=f"^{re.escape(message.partition('?')[0])}"):
        construction.build(Config(dataset="moons", **SMALL, **given), building.Spec((7,)))


@pytest.mark.parametrize("num_labels", ["6", "all"])
def test_top_k_is_below_the_number_of_classes(num_labels):
    config = Config(class_sum="topk", top_k=3, num_labels=num_labels)
    with pytest.raises(errors.UserError, match=r"^top_k=3: must be below the 3 classes of mnist5k; class_sum=exact"):
        plan.make(config, building.split(config))


def test_top_k_does_not_matter_to_models_without_classes():
    config = Config(model="m1", num_labels="0", class_sum="topk", top_k=5, **SMALL)
    splits = building.split(config)
    plan.make(config, splits)
    assert not construction.build(config, splits).has_classes


def test_an_auxiliary_dim_of_zero_leaves_a_out():
    built = construction.build(Config(model="sdgm", **(SMALL | dict(auxiliary_dim=0))), building.Spec((7,)))
    assert set(built.conditionals) == {"q_y", "q_z", "p_x"}
    assert np.isfinite(estimates.unlabelled_bound_of(built, building.examples(B, dim=7), 2, building.seed(1))).all()
