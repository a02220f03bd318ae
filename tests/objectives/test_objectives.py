import dataclasses
import math

import building
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from building import C

from adgm_tf.config import Config
from adgm_tf.model import conditionals, engine, seeds
from adgm_tf.model.contract import Auxiliary, Terms
from adgm_tf.model.family import FAMILY
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import bounds, class_sums, estimates, loss, regularisers

tfd = tfp.distributions

K, B = 3, 4
WITH_CLASSES = [name for name, row in FAMILY.items() if row.q_y]
TOP_K = range(1, C)


@pytest.fixture
def shared_noise(monkeypatch):
    """Every class, and every copy of an example, sees the same noise of z: that of its sample and example."""
    def draw(q, num_samples, seed, **_):
        rows = min(B, q.batch_shape[1])
        noise = tf.random.stateless_normal([num_samples, rows, 1, q.event_shape[-1]], seed)
        return q.mean() + q.stddev() * tf.repeat(noise, q.batch_shape[1] // rows, 1)

    monkeypatch.setattr(engine, "draw", draw)


def force_drawn_class(monkeypatch, rank):
    """topk draws the class of that rank among those that are not taken exactly."""
    monkeypatch.setattr(class_sums, "_draw_class", lambda rest, seed: tf.math.top_k(rest, rank + 1)[1][..., rank:])


def drawn_probability(probs, classes, top_k):
    """q_s / r, the probability with which topk draws its last class."""
    top = tf.sort(probs, direction="DESCENDING")[..., :top_k]
    drawn = tf.gather(probs, classes.y[..., -1:], batch_dims=2)[..., 0]
    return tf.stop_gradient(drawn / (1 - tf.reduce_sum(top, -1)))


def test_aggregate_is_the_mean_of_groups_of_log_mean_exp():
    weights = 3 * building.normal([6, B], 1).numpy().astype(float)
    for i in (1, 2, 3, 6):
        groups = np.exp(weights.reshape(6 // i, i, B))
        np.testing.assert_allclose(bounds.aggregate(tf.constant(weights), i), np.log(groups.mean(1)).mean(0))


def test_aggregate_of_equal_weights_is_that_weight():
    weights = tf.fill([6, B], -123.4)
    for i in (1, 2, 6):
        np.testing.assert_allclose(bounds.aggregate(weights, i), np.full(B, -123.4), rtol=1e-5)


def test_aggregate_survives_weights_whose_exponential_does_not():
    np.testing.assert_allclose(bounds.aggregate(tf.constant([[-2000.0], [-2000.0]]), 2), [-2000.0])
    np.testing.assert_allclose(bounds.aggregate(tf.constant([[2000.0], [-2000.0]]), 2), [2000 - np.log(2)],
                               rtol=1e-6)


def test_a_bigger_group_never_lowers_the_bound():
    weights = 3 * building.normal([16, B], 2)
    found = [bounds.aggregate(weights, i).numpy() for i in (1, 2, 4, 8, 16)]
    assert np.all(np.diff(found, axis=0) > 0)


def test_the_weight_of_the_kl_terms_leaves_the_other_terms_alone():
    terms = Terms(*(building.normal([K, B, C], i) for i in range(4)))
    full, none, half = (terms.log_weight(w).numpy() for w in (1.0, 0.0, 0.5))
    np.testing.assert_allclose(full, terms.reconstruction + terms.log_p_y - terms.kl_z - terms.kl_a, atol=1e-5)
    np.testing.assert_allclose(none, terms.reconstruction + terms.log_p_y)
    np.testing.assert_allclose(half, (full + none) / 2, rtol=1e-5, atol=1e-5)


def test_the_kl_weight_reaches_both_bounds():
    adgm, objective = building.model(), building.objective(num_samples=K)
    given = building.batch(adgm, B, B)
    terms = {w: building.per_example(adgm, *given, objective, building.seed(1), w) for w in (1.0, 0.5, 0.0)}
    for part in ("labelled", "unlabelled"):
        kl = terms[1.0][f"{part}/kl_z"] + terms[1.0][f"{part}/kl_a"]
        for w in (0.5, 0.0):
            np.testing.assert_allclose(terms[w][f"{part}/bound"], terms[1.0][f"{part}/bound"] + (1 - w) * kl,
                                       rtol=1e-4, atol=1e-4)


def test_classification_is_the_cross_entropy_averaged_over_samples():
    logits, y = building.normal([K, B, C], 1), building.classes(B)
    expected = [np.mean([tf.nn.sparse_softmax_cross_entropy_with_logits(y[b], logits[k, b]) for k in range(K)])
                for b in range(B)]
    np.testing.assert_allclose(bounds.classification(tfd.Categorical(logits=logits), y), expected, rtol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("baseline", ["the mean of f", "arbitrary"])
@pytest.mark.parametrize("top_k", TOP_K)
def test_topk_is_unbiased_in_value_and_gradient(monkeypatch, top_k, baseline, shared):
    logits, f = (tf.Variable(tf.cast(2 * building.normal([K, B, C], i), tf.float64)) for i in (1, 2))
    arbitrary = tf.cast(5 * building.normal([K, B], 3), tf.float64)

    def estimate(classes):
        values = tf.gather(tf.broadcast_to(f, [K, B, C]), tf.broadcast_to(classes.y, [K, B, classes.weights.shape[-1]]),
                           batch_dims=2)
        if classes.residual is None or baseline == "the mean of f":
            return class_sums.class_expectation(values, classes)
        return tf.reduce_sum(classes.weights * values, -1) + classes.residual * arbitrary

    with tf.GradientTape() as tape:
        expected = estimate(class_sums.exact(tfd.Categorical(logits=logits), 0, building.seed(0)))
    expected_gradients = tape.gradient(expected, [logits, f])
    value, gradients = 0, [0, 0]
    for rank in range(C - top_k):
        force_drawn_class(monkeypatch, rank)
        with tf.GradientTape() as tape:
            q_y = tfd.Categorical(logits=logits)
            classes = class_sums.topk(q_y, top_k, building.seed(0), shared=shared)
            probs = q_y.probs_parameter()
            probs = tf.reduce_mean(probs, 0, keepdims=True) if shared else probs
            part = drawn_probability(probs, classes, top_k) * estimate(classes)
        value += part
        gradients = [total + tf.convert_to_tensor(g)
                     for total, g in zip(gradients, tape.gradient(part, [logits, f]), strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    for gradient, exact in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("top_k", TOP_K)
def test_the_baseline_leaves_no_gradient_where_all_classes_are_worth_the_same(top_k):
    logits = tf.Variable(2 * building.normal([K, B, C], 1))
    with tf.GradientTape() as tape:
        classes = class_sums.topk(tfd.Categorical(logits=logits), top_k, building.seed(0))
        value = class_sums.class_expectation(tf.fill([K, B, top_k + 1], -100.0), classes)
    np.testing.assert_allclose(value, np.full([K, B], -100.0), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, logits), np.zeros([K, B, C]), atol=1e-4)


@pytest.mark.parametrize("name", WITH_CLASSES)
@pytest.mark.parametrize("top_k", [1, 3])
def test_topk_is_unbiased_for_every_model_and_weight(monkeypatch, shared_noise, name, top_k):
    model, x = building.model(name), building.examples(B)

    def expectation(class_sum):
        auxiliary = model.sample_auxiliary(x, K, building.seed(1))
        q_y = model.q_y(x, auxiliary.value)
        classes = class_sum(q_y, top_k, building.seed(2))
        expected = class_sums.class_expectation(
            model.terms(x, classes.y, auxiliary, building.seed(3)).log_weight(), classes)
        return expected, q_y, classes

    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(expectation(class_sums.exact)[0])
    expected_gradients = tape.gradient(expected, model.trainable_variables)
    with tf.GradientTape() as tape:
        value = 0.0
        for rank in range(C - top_k):
            force_drawn_class(monkeypatch, rank)
            part, q_y, classes = expectation(class_sums.topk)
            value += tf.reduce_sum(drawn_probability(q_y.probs_parameter(), classes, top_k) * part)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for gradient, exact in zip(tape.gradient(value, model.trainable_variables), expected_gradients, strict=True):
        exact = tf.convert_to_tensor(exact)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("top_k", TOP_K)
def test_topk_takes_the_most_probable_classes_and_one_of_the_others(top_k):
    q_y = tfd.Categorical(logits=2 * building.normal([K, B, C], 1))
    classes = class_sums.topk(q_y, top_k, building.seed(1))
    order = np.argsort(-q_y.probs_parameter().numpy(), -1)
    np.testing.assert_array_equal(classes.y[..., :-1], order[..., :top_k])
    assert not np.any(classes.y[..., :-1] == classes.y[..., -1:])
    np.testing.assert_allclose(tf.reduce_sum(classes.weights, -1), np.ones([K, B]), rtol=1e-5)
    np.testing.assert_allclose(classes.residual, np.zeros([K, B]), atol=1e-6)


def test_topk_takes_the_same_classes_for_all_samples_that_share_them():
    probs = tf.nn.softmax(2 * building.normal([K, B, C], 1)).numpy()
    classes = class_sums.topk(tfd.Categorical(probs=probs), 2, building.seed(1), shared=True)
    mean = probs.mean(0)
    np.testing.assert_array_equal(classes.y[0, :, :2], np.argsort(-mean, -1)[:, :2])
    assert classes.y.shape == (1, B, 3)
    np.testing.assert_allclose(classes.weights[..., :2], np.take_along_axis(probs, classes.y.numpy()[..., :2], -1),
                               rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(tf.reduce_sum(classes.weights, -1), 0), np.ones(B), rtol=1e-5)


@pytest.mark.parametrize("class_sum", ["exact", "topk"])
def test_one_sample_shares_its_latent_with_itself(class_sum):
    adgm, given = building.model(), building.batch(building.model(), B, B)
    terms = [building.per_example(adgm, *given, building.objective(class_sum=class_sum, share_latent=shared),
                                    building.seed(1)) for shared in (False, True)]
    for name, value in terms[0].items():
        np.testing.assert_allclose(terms[1][name], value, rtol=1e-5, atol=1e-5)


def test_a_shared_latent_averages_the_bounds_of_each_sample_of_a_with_the_same_latent():
    adgm, given = building.model(), building.batch(building.model(), B, B)
    x, seed = given[2], building.seed(1)
    bound = building.per_example(adgm, *given, building.objective(num_samples=K, share_latent=True), seed)
    auxiliary = adgm.sample_auxiliary(tf.concat([given[0], x], 0), K, seeds.fold(seed, seeds.Draw.AUXILIARY))
    expected = []
    for k in range(K):
        one = Auxiliary(auxiliary.value[k:k + 1, B:], auxiliary.log_q[k:k + 1, B:], 1)
        q_y = adgm.q_y(x, one.value)
        classes = class_sums.exact(q_y, 0, seed)
        latent_seed = seeds.fold(seed, seeds.Draw.LATENT, 1)
        expected.append(bounds.unlabelled_bound(adgm.terms(x, classes.y, one, latent_seed), classes, q_y.entropy()))
    np.testing.assert_allclose(bound["unlabelled/bound"], np.mean(expected, 0), rtol=1e-5)


def test_a_shared_latent_is_decoded_once_for_all_samples(monkeypatch):
    rows, adgm, call = [], building.model(), conditionals.Conditional.call

    def counted(self, parents, *given, **named):
        if self.name.startswith("p_x"):
            rows.append(tuple(parents["z"].shape[:3]))
        return call(self, parents, *given, **named)

    monkeypatch.setattr(conditionals.Conditional, "call", counted)
    objective = building.objective(num_samples=K, share_latent=True, class_sum="topk")
    building.per_example(adgm, *building.batch(adgm, B, B), objective, building.seed(1))
    assert rows == [(1, B, 1), (1, B, 2)]


def normalised(name):
    return building.model(name, trunk=Trunk((9, 8), normalization="batch"))


def moving_averages(built):
    return {key: np.concatenate([v.numpy() for v in conditional.non_trainable_variables])
            for key, conditional in built.conditionals.items()}


@pytest.mark.parametrize(("labelled", "unlabelled", "bound"),
                         [(60, 80, "unlabelled/bound"), (0, 80, "unlabelled/bound"), (60, 0, "labelled/bound")])
@pytest.mark.parametrize("name", ["m2", "sdgm"])
def test_moving_averages_come_to_the_statistics_of_training(name, labelled, unlabelled, bound):
    built, objective = normalised(name), building.objective(consistency="vat")
    x_labelled, y, x_unlabelled = building.batch(built, labelled, unlabelled)
    batch = x_labelled + 2, y, x_unlabelled
    trained = tf.function(lambda: building.per_example(built, *batch, objective, building.seed(1)), autograph=False)
    before = building.per_example(built, *batch, objective, building.seed(1), phase=Phase.EVALUATE)[bound]
    for _ in range(400):
        expected = trained()[bound]
    found = building.per_example(built, *batch, objective, building.seed(1), phase=Phase.EVALUATE)[bound]
    np.testing.assert_allclose(found, expected, rtol=2e-2)
    assert not np.allclose(before, expected, rtol=5e-2)


def test_moving_averages_follow_the_unlabelled_examples_where_the_two_are_apart():
    found = []
    for shift in (0, 5):
        built = normalised("m2")
        x_labelled, y, x_unlabelled = building.batch(built, 6, 8)
        building.per_example(built, x_labelled + shift, y, x_unlabelled, building.objective(), building.seed(1))
        found.append(moving_averages(built))
    for key in ("q_z", "p_x"):
        np.testing.assert_array_equal(found[0][key], found[1][key])
    assert not np.allclose(found[0]["q_y"], found[1]["q_y"], atol=1e-3)


def test_topk_draws_the_other_class_as_often_as_it_is_probable():
    count, top_k = 20000, 2
    logits = building.normal([1, 1, C], 1)
    classes = class_sums.topk(tfd.Categorical(logits=tf.repeat(logits, count, 1)), top_k, building.seed(1))
    frequency = np.bincount(classes.y[0, :, -1], minlength=C) / count
    probs = tf.nn.softmax(logits)[0, 0].numpy()
    probs[np.argsort(-probs)[:top_k]] = 0
    expected = probs / probs.sum()
    assert np.all(np.abs(frequency - expected) <= 5 * np.sqrt(expected * (1 - expected) / count))


def test_topk_survives_a_classifier_without_a_doubt():
    logits = tf.Variable(tf.constant([[[200.0, 0, 0, 0, 0], [0, -300.0, 0, 0, 0]]]))
    with tf.GradientTape() as tape:
        classes = class_sums.topk(tfd.Categorical(logits=logits), 1, building.seed(1))
        value = class_sums.class_expectation(100 * building.normal([1, 2, 2], 2), classes)
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_the_class_sum_is_a_loop_over_classes(shared_noise, name):
    model, x = building.model(name), building.examples(B)
    auxiliary = model.sample_auxiliary(x, K, building.seed(1))
    q_y = model.q_y(x, auxiliary.value)
    classes = class_sums.exact(q_y, 0, building.seed(0))
    together = model.terms(x, classes.y, auxiliary, building.seed(3))
    bound = bounds.unlabelled_bound(together, classes, q_y.entropy())
    probs, of_all = (np.broadcast_to(v, [K, B, C]) for v in (q_y.probs_parameter(), together.log_weight()))
    expected = 0
    for c in range(C):
        alone = model.log_weight(x, tf.fill([1, B, 1], c), auxiliary, building.seed(3))[..., 0]
        np.testing.assert_allclose(of_all[..., c], alone, rtol=1e-4, atol=1e-4)
        expected += probs[..., c] * (alone - np.log(probs[..., c]))
    np.testing.assert_allclose(bound, np.mean(expected, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_the_class_sum_is_that_of_examples_repeated_once_a_class(shared_noise, name):
    model, x = building.model(name), building.examples(B)
    auxiliary = model.sample_auxiliary(x, K, building.seed(1))
    q_y = model.q_y(x, auxiliary.value)
    classes = class_sums.exact(q_y, 0, building.seed(0))
    bound = bounds.unlabelled_bound(model.terms(x, classes.y, auxiliary, building.seed(3)), classes, q_y.entropy())
    repeated = Auxiliary(*(tf.repeat(v, C, 1) for v in auxiliary[:2]), K)
    y = tf.tile(tf.range(C), [B])[None, :, None]
    weights = model.log_weight(tf.repeat(x, C, 0), y, repeated, building.seed(3))
    weights = tf.reshape(weights, [K, B, C])
    probs = q_y.probs_parameter()
    expected = tf.reduce_mean(tf.reduce_sum(probs * (weights - tf.math.log(probs)), -1), 0)
    np.testing.assert_allclose(bound, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("labelled", [0, 2])
@pytest.mark.parametrize("unlabelled", [0, 3])
@pytest.mark.parametrize("consistency", ["none", "vat"])
def test_every_term_has_a_value_for_each_example_that_its_mean_is_over(name, labelled, unlabelled, consistency):
    model, objective = building.model(name), building.objective(consistency=consistency, interpolation_weight=0.5)
    labelled = labelled if model.has_classes else 0
    if not labelled + unlabelled:
        return
    terms = building.terms(model, *building.batch(model, labelled, unlabelled), objective, building.seed(1))
    sizes = {"labelled": labelled, "unlabelled": unlabelled, "all": labelled + unlabelled}
    assert len({term.name for term in terms}) == len(terms)
    for term in terms:
        assert sizes[term.of] > 0
        assert term.values.shape == (sizes[term.of],) or (term.values.shape == (1,) and float(term.values[0]) == 0)
    expected = {f"{of}/{part}" for of in ("labelled", "unlabelled") if sizes[of]
                for part in ("bound", "reconstruction", "kl_z", "kl_a")}
    if model.has_classes:
        expected |= {"interpolation"} | ({"consistency"} if consistency == "vat" else set())
        expected |= {"classification"} if labelled else set()
        expected |= {"unlabelled/entropy", "unlabelled/balance"} if unlabelled else set()
    assert {term.name for term in terms} == expected

def test_the_recorded_terms_add_up_to_the_bounds():
    for class_sum in ("exact", "topk"):
        adgm, objective = building.model(), building.objective(num_samples=K, class_sum=class_sum)
        terms = building.per_example(adgm, *building.batch(adgm, B, B), objective, building.seed(1))
        for part in ("labelled", "unlabelled"):
            total = terms[f"{part}/reconstruction"] - terms[f"{part}/kl_z"] - terms[f"{part}/kl_a"] - np.log(C)
            total += terms.get(f"{part}/entropy", 0)
            np.testing.assert_allclose(terms[f"{part}/bound"], total, rtol=1e-4, atol=1e-4)


def test_the_entropy_is_that_of_every_class_under_both_class_sums():
    adgm = building.model()
    entropies = [building.per_example(adgm, *building.batch(adgm, B, B), building.objective(class_sum=c),
                                        building.seed(1))["unlabelled/entropy"] for c in ("exact", "topk")]
    np.testing.assert_array_equal(*entropies)


PRIOR = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
LOG_PRIOR = [math.log(p) for p in PRIOR]


def share_divergence(logits):
    """KL( mean over K and B of q(y|a,x) || p(y) )."""
    share = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
    return tf.reduce_sum(share * (tf.math.log(share) - np.log(PRIOR)))


def test_the_balance_is_the_divergence_of_the_classes_shares_from_the_prior():
    logits = tf.constant(building.normal([K, B, C], 3).numpy().astype(np.float64))
    found = regularisers.class_balance(tfd.Categorical(logits=tf.cast(logits, tf.float32)), LOG_PRIOR)
    assert found.shape == (B,)
    np.testing.assert_allclose(np.mean(found), share_divergence(logits), rtol=1e-5)


def test_the_balance_pulls_as_that_divergence_does():
    logits = tf.Variable(building.normal([K, B, C], 3))
    with tf.GradientTape(persistent=True) as tape:
        found = tf.reduce_mean(regularisers.class_balance(tfd.Categorical(logits=logits), LOG_PRIOR))
        expected = share_divergence(tf.cast(logits, tf.float64))
    np.testing.assert_allclose(tape.gradient(found, logits), tape.gradient(expected, logits), rtol=1e-4, atol=1e-7)


def test_the_balance_is_least_where_the_shares_are_those_of_the_prior():
    def balance(probs):
        return np.mean(regularisers.class_balance(tfd.Categorical(probs=probs), LOG_PRIOR))

    one_hot = np.eye(C, dtype="f4")[np.repeat(np.arange(C), (PRIOR * 20).round().astype(int))]
    np.testing.assert_allclose(balance(one_hot[None]), 0, atol=1e-6)
    np.testing.assert_allclose(balance(np.eye(C, dtype="f4")[None, [0, 0]]), -np.log(PRIOR[0]), rtol=1e-5)


def test_the_balance_of_a_class_that_nobody_predicts_stays_finite():
    logits = tf.Variable(tf.constant([[[200.0, 0.0], [200.0, 0.0]]]))
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(regularisers.class_balance(tfd.Categorical(logits=logits), [-math.log(2)] * 2))
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    assert np.isfinite(tape.gradient(value, logits)).all()


def test_propagation_is_the_cross_entropy_of_the_mean_answer():
    logits, f = building.normal([K, B, C], 1), tf.nn.softmax(building.normal([B, C], 2)) * 0.9
    found = regularisers.propagation(tfd.Categorical(logits=logits), f)
    q = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True))).mean(0)
    np.testing.assert_allclose(found, -(f.numpy() * np.log(q)).sum(-1), rtol=1e-5)


def test_propagation_is_least_where_the_answer_is_that_of_the_labels():
    f = tf.nn.softmax(building.normal([B, C], 2))
    least = regularisers.propagation(tfd.Categorical(probs=f[None]), f)
    np.testing.assert_allclose(least, tfd.Categorical(probs=f).entropy(), rtol=1e-5)
    for seed in range(3, 8):
        other = regularisers.propagation(tfd.Categorical(logits=building.normal([1, B, C], seed)), f)
        assert np.all(other > least)


def test_propagation_of_an_answer_that_is_sure_and_wrong_stays_finite():
    logits = tf.Variable([[[500.0, -500.0]]])
    with tf.GradientTape() as tape:
        value = regularisers.propagation(tfd.Categorical(logits=logits), tf.constant([[0.0, 1.0]]))
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, logits)).all()


def test_the_loss_weighs_its_terms():
    """Of terms that have one value each, whatever their numbers of examples; what is for the record counts nothing."""
    values = {"labelled/bound": -7, "classification": 3, "unlabelled/bound": -11, "consistency": 5,
              "interpolation": 19, "invariance": 23, "unlabelled/entropy": 13, "unlabelled/balance": 17}
    objective = building.objective(classification_weight=2.0, consistency="vat", consistency_weight=10.0,
                                   interpolation_weight=4.0, invariance_weight=6.0, entropy_weight=0.5,
                                   balance_weight=3.0, labelled_bound_weight=0.25)
    adgm = building.model()
    batch = building.batch_of(*building.batch(adgm, 2, 3), objective, building.seed(1))
    batch = batch._replace(again=batch.seen + 0.1)

    def total(warmth):
        terms = loss.terms(adgm, batch, objective, building.seed(1), warmth=loss.Warmth(1.0, warmth))
        of_one = [t._replace(values=tf.fill(t.values.shape, float(values.get(t.name, 1e6)))) for t in terms]
        assert set(values) <= {t.name for t in terms}
        return loss.total(of_one, {"labelled": 2, "unlabelled": 3, "all": 5})

    on_q_y = 10 * 5 + 4 * 19 + 6 * 23 + 0.5 * 13 + 3 * 17
    of_bounds = 0.25 * 7 + 2 * 3 + 11
    np.testing.assert_allclose(total(1.0)[0], of_bounds + on_q_y, rtol=1e-6)
    np.testing.assert_allclose(total(0.1)[0], of_bounds + 0.1 * on_q_y, rtol=1e-6)
    np.testing.assert_allclose(total(tf.constant(0.1))[0], of_bounds + 0.1 * on_q_y, rtol=1e-6)
    for name, mean in total(1.0)[1].items():
        np.testing.assert_allclose(mean, values.get(name, mean), rtol=1e-6)


def test_a_mean_is_over_the_examples_of_all_replicas():
    """The share of one replica: the sum over its own examples, divided by how many all of them have."""
    terms = [loss.Term("one", tf.constant([1.0, 2.0]), "labelled", 3.0),
             loss.Term("two", tf.constant([4.0]), "unlabelled", -1.0),
             loss.Term("kept", tf.constant([8.0, 8.0]), "all")]
    found, means = loss.total(terms, {"labelled": 4, "unlabelled": 2, "all": 6})
    assert {k: float(v) for k, v in means.items()} == {"one": 0.75, "two": 2.0, "kept": pytest.approx(16 / 6)}
    assert float(found) == 3 * 0.75 - 2
    assert float(loss.total(terms[2:], {"all": 6})[0]) == 0


def test_labelled_and_unlabelled_examples_see_the_a_that_classifies_them():
    adgm, objective = building.model(), building.objective(num_samples=K)
    x, y, x_unlabelled = building.batch(adgm, B, B)
    terms = building.per_example(adgm, x, y, x_unlabelled, objective, building.seed(1))
    everything = tf.concat([x, x_unlabelled], 0)
    auxiliary = adgm.sample_auxiliary(everything, K, seeds.fold(building.seed(1), seeds.Draw.AUXILIARY))
    kl_a = tf.reduce_mean(auxiliary.log_q - tfd.Normal(0.0, 1.0).log_prob(auxiliary.value).numpy().sum(-1), [0, 2])
    np.testing.assert_allclose(tf.concat([terms["labelled/kl_a"], terms["unlabelled/kl_a"]], 0), kl_a,
                               rtol=1e-4, atol=1e-4)
    q_y = adgm.q_y(everything, auxiliary.value)
    np.testing.assert_allclose(terms["classification"], -tf.reduce_mean(q_y[:, :B].log_prob(y[None]), 0), rtol=1e-5)
    np.testing.assert_allclose(terms["unlabelled/entropy"], tf.reduce_mean(q_y[:, B:].entropy(), 0), rtol=1e-5)
    np.testing.assert_allclose(terms["unlabelled/balance"], regularisers.class_balance(q_y[:, B:], adgm.log_prior),
                               rtol=1e-4)


def test_through_noise_q_sees_x_and_p_describes_it():
    adgm, given = building.model(scatter=0.5), building.batch(building.model(), B, B)
    x, y, x_unlabelled = given
    objective, seed = building.objective(num_samples=K, input_noise=0.4, consistency="vat"), building.seed(1)
    terms = building.per_example(adgm, *given, objective, seed)
    everything = tf.concat([x, x_unlabelled], 0)
    noise = 0.4 * tf.random.stateless_normal(everything.shape, seeds.fold(seed, seeds.Draw.NOISE))
    seen = building.per_example(adgm, x + noise[:B], y, x_unlabelled + noise[B:],
                                  dataclasses.replace(objective, input_noise=0.0), seed)
    of_p = {f"{part}/{name}" for part in ("labelled", "unlabelled") for name in ("reconstruction", "bound")}
    for name, value in terms.items():
        assert np.allclose(value, seen[name], rtol=1e-4, atol=1e-4) == (name not in of_p), name
    auxiliary_seed, latent_seed = (seeds.fold(seed, d) for d in (seeds.Draw.AUXILIARY, seeds.Draw.LATENT))
    auxiliary = adgm.sample_auxiliary(everything + noise, K, auxiliary_seed)
    labelled = adgm.terms(x, y[None, :, None], loss._rows(auxiliary, slice(0, B)), seeds.fold(latent_seed, 0),
                          seen=x + noise[:B])
    np.testing.assert_allclose(terms["labelled/bound"], bounds.labelled_bound(labelled), rtol=1e-5)


def test_the_bound_through_noise_stays_below_the_likelihood():
    adgm, objective = building.model(scatter=0.2), building.objective(num_samples=200, input_noise=0.5)
    x = building.examples(B)
    bound = building.per_example(adgm, x[:0], building.classes(0), tf.repeat(x, 20, 0), objective,
                                   building.seed(1))["unlabelled/bound"]
    plain = estimates.unlabelled_bound_of(adgm, x, 4000, building.seed(2))
    log_likelihood = estimates.log_likelihood_of(adgm, x, 4000, building.seed(3))
    noisy = tf.reduce_mean(tf.reshape(bound, [B, 20]), 1)
    assert np.all(noisy < log_likelihood)
    assert not np.allclose(noisy, plain, rtol=1e-3)


@pytest.mark.parametrize("kind", ["exact", "topk"])
def test_different_seeds_draw_different_noise_and_the_same_seed_the_same(kind):
    adgm, objective = building.model(), building.objective(class_sum=kind, consistency="vat")
    given = building.batch(adgm, B, B)
    first, again, other = (building.per_example(adgm, *given, objective, building.seed(s)) for s in (1, 1, 2))
    for term, value in first.items():
        np.testing.assert_array_equal(value, again[term])
        assert not np.allclose(value, other[term], rtol=1e-6)


def test_every_choice_of_the_configuration_is_an_estimator():
    choices = {f: Config.__dataclass_fields__[f].metadata["choices"] for f in ("class_sum", "consistency")}
    assert set(choices["class_sum"]) == set(class_sums.CLASS_SUMS)
    assert set(choices["consistency"]) == {"none", "vat"}
