"""VAT and the ladder network against NumPy float64, term by term."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.baselines import ladder, perceptron, vat
from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.model.phase import Phase
from adgm_tf.objectives import loss, regularisers
from adgm_tf.training import plan, step, systems
from adgm_tf.training.systems import CLASSIFIERS

D, C, L, U = 6, 4, 5, 7
SIZES = perceptron.LayerSizes(D, (9, 8), C)
SEED = building.seed(3)
OBJECTIVE = building.objective(classification_weight=1.0, consistency="vat", consistency_radius=0.7, entropy_weight=0.5)
MAKE = {"vat": vat.VirtualAdversarial, "ladder": ladder.Ladder}


@pytest.fixture(params=CLASSIFIERS)
def name(request):
    return request.param


def scattered(name):
    """A classifier whose weights and running statistics lie far from where they start."""
    built = MAKE[name](SIZES, seed=0)
    building.scatter_weights(built, 0.5)
    for i, running in enumerate(built.running):
        running.mean.assign(building.normal(running.mean.shape, 5, i))
        running.variance.assign(tf.exp(building.normal(running.mean.shape, 6, i)))
    return built


def batch(labelled=L, unlabelled=U):
    x = building.examples(labelled + unlabelled, dim=D)
    return x[:labelled], building.classes(labelled, C), x[labelled:]


def terms_of(built, name, labelled=L, unlabelled=U, objective=OBJECTIVE, phase=Phase.TRAIN):
    return building.terms(built, *batch(labelled, unlabelled), objective, SEED, of=systems.of(name).terms, phase=phase)


def values_of(*given, **named):
    return {term.name: term.values for term in terms_of(*given, **named)}


def weighed(terms, values, **sizes):
    """The loss where the values of each term are one number, by name."""
    of_one = [t._replace(values=tf.fill(t.values.shape, float(values[t.name]))) for t in terms]
    return float(building.total(of_one, L, sizes.get("unlabelled", U)))


def wide(tensor):
    return np.asarray(tensor, np.float64)


def by_batch(h):
    return h.mean(0), h.var(0)


def by_running(running):
    return wide(running.mean), wide(running.variance)


def norm(h, moments):
    return (h - moments[0]) / np.sqrt(moments[1] + perceptron.EPSILON)


def softmax(logits):
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def cross_entropy(logits, y):
    return -np.log(softmax(logits)[np.arange(len(y)), y])


def perceptron_logits(built, x, moments=None):
    """VAT's logits; by the statistics of the batch unless others are given."""
    h = wide(x)
    for i, (gamma, beta) in enumerate(zip(built.gammas, built.betas, strict=True)):
        h = np.maximum(h, 0) if i else h
        h = h @ wide(built.kernels[i])
        h = wide(gamma) * norm(h, moments[i] if moments else by_batch(h)) + wide(beta)
    return h


def kl(p, q):
    return (p * (np.log(p) - np.log(q))).sum(-1)


def test_vat_classifies_by_the_running_statistics():
    built, x = scattered("vat"), batch()[0]
    expected = softmax(perceptron_logits(built, x, [by_running(r) for r in built.running]))
    np.testing.assert_allclose(built.classify(x, 1, SEED), expected, rtol=1e-4)


def test_vat_trains_by_the_statistics_of_the_labelled_and_of_the_unlabelled_examples(monkeypatch):
    built, (x, y, x_unlabelled) = scattered("vat"), batch()
    seen, q_y = [], built.q_y
    monkeypatch.setattr(built, "q_y", lambda x, *given, **named: seen.append(x) or q_y(x, *given, **named))
    terms = values_of(built, "vat")
    np.testing.assert_allclose(terms["classification"], cross_entropy(perceptron_logits(built, x), y), rtol=1e-4)
    p = softmax(perceptron_logits(built, x_unlabelled))
    np.testing.assert_allclose(terms["unlabelled/entropy"], -(p * np.log(p)).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(terms["unlabelled/balance"], (p * np.log(p.mean(0) * C)).sum(-1), rtol=1e-4, atol=1e-6)
    consistency = tf.split(terms["consistency"], [L, U])
    for part, found, moved in zip((x, x_unlabelled), consistency, (seen[1], seen[3]), strict=True):
        np.testing.assert_allclose(np.linalg.norm(moved - part, axis=-1), np.full(len(part), 0.7), rtol=1e-4)
        expected = kl(softmax(perceptron_logits(built, part)), softmax(perceptron_logits(built, moved)))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_the_direction_of_vat_is_one_power_iteration():
    """r goes along H d, H the Hessian of the divergence at 0: the gradient at a small step xi d is xi H d."""
    built, x = scattered("vat"), tf.concat([batch()[0], batch()[2]], 0)
    p = softmax(perceptron_logits(built, x, [by_running(r) for r in built.running]))

    def divergence(r):
        return kl(p, softmax(perceptron_logits(built, wide(x) + r, [by_running(m) for m in built.running])))

    d = wide(regularisers._unit(building.normal(x.shape, 8)))
    gradient = np.stack([(divergence(d + 1e-4 * e) - divergence(d - 1e-4 * e)) / 2e-4 for e in np.eye(D)], -1)
    r = 0.7 * gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)
    q_y = built.q_y(x, tf.zeros([1, L + U, 1, 0]))
    direction_seed = seeds.fold(building.seed(), 8)
    found = regularisers.virtual_adversarial(built, x, q_y, regularisers.Noise(1, SEED), direction_seed, radius=0.7)
    np.testing.assert_allclose(found, divergence(r), rtol=1e-2, atol=1e-5)
    assert found.numpy().mean() > np.mean([divergence(0.7 * wide(regularisers._unit(building.normal(x.shape, 9, i))))
                                           for i in range(8)])


def test_vat_keeps_perturbed_examples_out_of_the_running_statistics():
    built = scattered("vat")
    before, h = by_running(built.running[0]), wide(batch()[2]) @ wide(built.kernels[0])
    terms_of(built, "vat")
    for old, now, value in zip(before, by_running(built.running[0]), by_batch(h), strict=True):
        np.testing.assert_allclose(now, perceptron.MOMENTUM * old + (1 - perceptron.MOMENTUM) * value, rtol=1e-4,
                                   atol=1e-6)


def test_vat_weighs_its_terms():
    values = {"classification": 2.0, "consistency": 3.0, "unlabelled/entropy": 5.0, "unlabelled/balance": 17.0}
    objective = building.objective(classification_weight=7.0, consistency="vat", consistency_weight=11.0,
                                   entropy_weight=13.0, balance_weight=19.0)
    built, on_q_y = scattered("vat"), 3 * 11 + 5 * 13 + 17 * 19
    assert weighed(terms_of(built, "vat", objective=objective), values) == 2 * 7 + on_q_y
    cold = vat.terms(built, building.batch_of(*batch(), objective, SEED), objective, SEED,
                     warmth=loss.Warmth(0.125, 0.25))
    assert weighed(cold, values) == 2 * 7 + 0.25 * on_q_y


def encoded(built, x, norms, noise=0):
    """z of every layer of the ladder's encoder, and the logits; `noise` has one entry a layer."""
    noise = noise or [0] * (len(built.encoders) + 1)
    z = [wide(x) + noise[0]]
    h = z[0]
    for i, weights in enumerate(built.encoders):
        z.append(norms(i, h @ wide(weights)) + noise[i + 1])
        h = np.maximum(z[-1] + wide(built.betas[i]), 0)
    return z, wide(built.gamma) * (z[-1] + wide(built.betas[-1]))


def combined(z, u, a):
    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    mu = a[0] * sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
    v = a[5] * sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
    return (z - mu) * v + mu


def ladder_terms(built, x_labelled, y, x_unlabelled):
    """The ladder's terms in NumPy, with the noise that the code draws."""
    x, group = np.concatenate([x_labelled, x_unlabelled]), slice(len(y) if len(x_unlabelled) else 0, None)
    noise = [0.3 * wide(tf.random.stateless_normal([len(x), n], seeds.fold(SEED, seeds.Draw.NOISE, i)))
             for i, n in enumerate(SIZES.layers)]

    def apart(_, h):
        return np.concatenate([norm(part, by_batch(part)) for part in (h[:len(y)], h[len(y):]) if len(part)])

    noisy, logits = encoded(built, x, apart, noise)
    moments = {}
    clean, _ = encoded(built, x[group], lambda i, h: norm(h, moments.setdefault(i, by_batch(h))))
    u, squares = softmax(logits[group]), {}
    for i in (3, 2, 1, 0):
        above = combined(noisy[i][group], norm(u, by_batch(u)), wide(built.combinators[i]))
        target = norm(above, moments[i - 1]) if i else above
        squares[i] = ((clean[i] - target) ** 2).mean(-1)
        u = above @ wide(built.decoders[i - 1]) if i else None
    return cross_entropy(logits[:len(y)], y), squares


@pytest.mark.parametrize("unlabelled", [U, 0])
def test_the_terms_of_the_ladder(unlabelled):
    built, given = scattered("ladder"), batch(unlabelled=unlabelled)
    cost, squares = ladder_terms(built, *(np.asarray(v) for v in given))
    terms = values_of(built, "ladder", unlabelled=unlabelled)
    np.testing.assert_allclose(terms["classification"], cost, rtol=1e-4)
    part = "unlabelled" if unlabelled else "labelled"
    assert set(terms) == {"classification", *(f"{part}/denoising_{i}" for i in range(4))}
    for i, expected in squares.items():
        np.testing.assert_allclose(terms[f"{part}/denoising_{i}"], expected, rtol=2e-3, atol=1e-4)


def test_the_combinator():
    z, u, a = (building.normal([3, 5], i) for i in (1, 2, 3))
    a = building.normal([10, 5], 3)
    np.testing.assert_allclose(ladder.combined(z, u, a), combined(wide(z), wide(u), wide(a)), rtol=1e-4, atol=1e-5)


def test_the_ladder_classifies_without_noise_by_the_running_statistics():
    built, x = scattered("ladder"), batch()[0]
    _, logits = encoded(built, x, lambda i, h: norm(h, by_running(built.running[i])))
    np.testing.assert_allclose(built.classify(x, 1, SEED), softmax(logits), rtol=1e-4, atol=1e-6)


def test_the_running_statistics_of_the_ladder_are_those_of_the_unlabelled_without_noise():
    built, x = scattered("ladder"), batch()[2]
    before, h = by_running(built.running[0]), wide(x) @ wide(built.encoders[0])
    terms_of(built, "ladder")
    for old, now, value in zip(before, by_running(built.running[0]), by_batch(h), strict=True):
        np.testing.assert_allclose(now, perceptron.MOMENTUM * old + (1 - perceptron.MOMENTUM) * value, rtol=1e-4,
                                   atol=1e-6)


@pytest.mark.parametrize("part", ["labelled", "unlabelled"])
def test_the_ladder_weighs_its_terms(part):
    """Of a network of six layers, as the authors'; the warm-ups do not concern it."""
    unlabelled = U if part == "unlabelled" else 0
    built = ladder.Ladder(perceptron.LayerSizes(D, (8, 7, 6, 5, 5), C), seed=0)
    values = [2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0]
    by_name = {f"{part}/denoising_{i}": v for i, v in enumerate(values)} | {"classification": 4.0}
    objective = building.objective(classification_weight=3.0)
    for warmth in (loss.WARM, loss.Warmth(0.5, 0.5)):
        terms = ladder.terms(built, building.batch_of(*batch(unlabelled=unlabelled), objective, SEED), objective, SEED,
                             warmth=warmth)
        expected = 3 * 4 + 1000 * 2 + 10 * 3 + 0.1 * sum(values[2:])
        np.testing.assert_allclose(weighed(terms, by_name, unlabelled=unlabelled), expected, rtol=1e-6)


@pytest.mark.parametrize("unlabelled", [U, 0])
def test_everything_learns(name, unlabelled):
    built = scattered(name)
    with tf.GradientTape() as tape:
        found = building.total(terms_of(built, name, unlabelled=unlabelled), L, unlabelled)
    assert built.trainable_variables
    gradients = tape.gradient(found, built.trainable_variables)
    for gradient, variable in zip(gradients, built.trainable_variables, strict=True):
        assert gradient is not None, variable.name
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, variable.name


@pytest.mark.parametrize("unlabelled", [U, 0])
@pytest.mark.parametrize("consistency", ["none", "vat"])
def test_every_term_has_a_value_for_each_example_that_its_mean_is_over(name, unlabelled, consistency):
    objective = building.objective(consistency=consistency)
    terms = terms_of(scattered(name), name, unlabelled=unlabelled, objective=objective)
    sizes = {"labelled": L, "unlabelled": unlabelled, "all": L + unlabelled}
    of_names = {"classification": "labelled", "labelled": "labelled", "unlabelled": "unlabelled", "consistency": "all"}
    assert len({term.name for term in terms}) == len(terms)
    for term in terms:
        assert term.of == of_names[term.name.split("/")[0]]
        assert term.values.shape == (sizes[term.of],)
    if name == "vat":
        assert ("consistency" in {term.name for term in terms}) is (consistency == "vat")


@pytest.mark.parametrize("phase", Phase)
def test_the_running_statistics_follow_in_training_alone(name, phase):
    built = scattered(name)
    before = [by_running(r) for r in built.running]
    terms_of(built, name, phase=phase)
    for old, running in zip(before, built.running, strict=True):
        moved = [not np.array_equal(a, b) for a, b in zip(old, by_running(running), strict=True)]
        assert moved == [phase is Phase.TRAIN] * 2


def trainer(name, **given):
    config = Config(**(dict(model=name, num_labels="6", labelled_batch_size=6, unlabelled_batch_size=8) | given))
    splits = building.split(config, building.images())
    return step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())


def test_trains_on_grey_values(name, monkeypatch):
    monkeypatch.setattr({"vat": vat, "ladder": ladder}[name], "HIDDEN_UNITS", (9, 8))
    built = trainer(name, learning_rate=0.01, learning_rate_schedule="constant", weight_prior=False)
    assert built.plan.classification_weight == 1
    assert not built.batches.binarize
    first, _ = built.train(1)
    last, _ = built.train(30)
    assert last["classification"] < first["classification"]
    assert all(np.isfinite(v) for v in last.values())


@pytest.mark.slow
def test_compiled_by_xla_it_takes_the_same_steps_but_for_the_noise(name, monkeypatch):
    monkeypatch.setattr({"vat": vat, "ladder": ladder}[name], "HIDDEN_UNITS", (9, 8))
    monkeypatch.setattr(ladder, "NOISE_STDDEV", 0.0)
    quiet = dict(consistency="none") if name == "vat" else {}
    plain, compiled = (trainer(name, xla=xla, **quiet).train(3)[1] for xla in (False, True))
    assert compiled.keys() == plain.keys()
    for term, value in plain.items():
        np.testing.assert_allclose(compiled[term], value, rtol=1e-3, err_msg=term)


def test_without_labels_there_is_nothing_to_learn(name):
    with pytest.raises(errors.UserError, match=rf"^num_labels=0: {name} is a classifier"):
        trainer(name, num_labels="0")


@pytest.mark.parametrize(("given", "line"), [
    (dict(trunk="convolutional"), "trunk=convolutional"),
    (dict(class_prior="0.2,0.3,0.5"), "class_prior=0.2,0.3,0.5"),
    (dict(num_importance_samples=2), "num_importance_samples=2")])
def test_options_of_generative_models_are_refused(name, given, line):
    with pytest.raises(errors.UserError, match=rf"^{line}: does not apply to {name}"):
        trainer(name, **given)


@pytest.mark.parametrize("option", ["consistency_weight", "consistency_radius", "consistency_radius_start",
                                    "consistency_warmup_steps", "entropy_weight", "balance_weight"])
def test_options_of_other_terms_are_refused_by_the_ladder(option):
    with pytest.raises(errors.UserError, match=rf"^{option}=9: does not apply to ladder"):
        trainer("ladder", **{option: 9})
    trainer("vat", **{option: 9})


def test_bfloat16_is_near_float32(name):
    sizes, x = perceptron.LayerSizes(D, (9, 8), C, "bfloat16"), batch()[0]
    near, exact = MAKE[name](sizes, seed=0), MAKE[name](SIZES, seed=0)
    assert near.classify(x, 1, SEED).dtype == tf.float32
    np.testing.assert_allclose(near.classify(x, 1, SEED), exact.classify(x, 1, SEED), atol=0.05)
