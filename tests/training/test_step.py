"""One training step: shares of the loss, the update, the averages."""

import contextlib
import dataclasses

import building
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from adgm_tf.baselines import ladder, vat
from adgm_tf.config import Config
from adgm_tf.data import neighbours
from adgm_tf.host import errors
from adgm_tf.model import construction, engine, seeds
from adgm_tf.model.contract import Batch
from adgm_tf.model.family import FAMILY
from adgm_tf.model.features import FeaturesOfM1
from adgm_tf.objectives import loss
from adgm_tf.training import feed, plan, step, systems

SMALL = dict(num_labels="6", labelled_batch_size=4, unlabelled_batch_size=6, hidden_units=(9,), auxiliary_dim=3,
             latent_dim=4, weight_prior=True, clip_norm=5.0)


def trainer(src=None, **given):
    config = Config(**(dict(model="m2", consistency="none", class_sum="exact") | SMALL | given))
    splits = building.split(config, src)
    built = step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
    building.scatter_weights(built.model, 0.3)
    return built


def whole_batch(built):
    return built.batches.take(built.arrays, building.rows(built.batches, 0), tf.constant(0), built.seed)


@contextlib.contextmanager
def noise_of_the_row_alone(monkeypatch):
    """Draws depend on what is drawn from alone, so that a row sees the same noise in any batch."""
    def draw(q, num_samples, seed, **_):
        z = tf.sin(37 * q.mean() + tf.range(num_samples, dtype=tf.float32)[:, None, None, None])
        return q.mean() + q.stddev() * z

    with monkeypatch.context() as patched:
        patched.setattr(engine, "draw", draw)
        patched.setattr(tf.random, "stateless_normal", lambda shape, seed: tf.ones(shape))
        yield


def additive(built, terms):
    """All terms but the balance, which sees the shares of the classes among the examples of its own replica."""
    return [v for name, v in zip(built.term_names, terms.numpy(), strict=True) if name != "unlabelled/balance"]


def some_of(batch, labelled, unlabelled):
    """Some of the labelled and some of the unlabelled examples."""
    count = len(batch.y)
    parts = batch.part(slice(0, count)).part(labelled), batch.part(slice(count, None)).part(unlabelled)
    return Batch(*(tf.concat([getattr(p, name) for p in parts], 0) for name in ("seen", "x")), None, batch.y[labelled])


def test_the_shares_of_replicas_add_up_to_the_whole(monkeypatch):
    built = trainer(model="sdgm", num_samples=2, consistency="vat", consistency_radius=0.5)
    batch = whole_batch(built)
    halves = [some_of(batch, slice(2 * i, 2 * i + 2), slice(3 * i, 3 * i + 3)) for i in range(2)]
    with noise_of_the_row_alone(monkeypatch):
        terms, gradients = built.loss_and_gradients(batch, built.seed, loss.WARM)
        shares = [built.loss_and_gradients(half, built.seed, loss.WARM) for half in halves]
    np.testing.assert_allclose(additive(built, shares[0][0] + shares[1][0]), additive(built, terms), rtol=1e-4)
    for first, second, whole in zip(shares[0][1], shares[1][1], gradients, strict=True):
        np.testing.assert_allclose(first + second, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


def test_uneven_shares_add_up_as_well(monkeypatch):
    built = trainer(model="sdgm")
    batch = whole_batch(built)
    parts = [some_of(batch, slice(1), slice(4)), some_of(batch, slice(1, None), slice(4, None))]
    with noise_of_the_row_alone(monkeypatch):
        terms, _ = built.loss_and_gradients(batch, built.seed, loss.WARM)
        shares = [built.loss_and_gradients(part, built.seed, loss.WARM)[0] for part in parts]
    np.testing.assert_allclose(additive(built, shares[0] + shares[1]), additive(built, terms), rtol=1e-4)


def test_terms_are_means_over_the_examples_that_they_are_of():
    built = trainer(model="sdgm", consistency="vat", consistency_weight=0.7)
    terms, _ = built.loss_and_gradients(whole_batch(built), built.seed, loss.WARM)
    report = dict(zip(built.term_names, terms.numpy(), strict=True))
    expected = (-report["labelled/bound"] + built.plan.classification_weight * report["classification"]
                - report["unlabelled/bound"] + built.config.consistency_weight * report["consistency"])
    np.testing.assert_allclose(report["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(report["labelled/bound"], report["labelled/reconstruction"] - report["labelled/kl_z"]
                               - report["labelled/kl_a"] - np.log(3), rtol=1e-4)


@pytest.mark.parametrize(("clip", "weight_prior"), [(0.5, True), (0.0, False)])
def test_the_update_follows_the_clipped_gradient_of_the_loss_and_the_weight_prior(clip, weight_prior, eagerly):
    built = trainer(clip_norm=clip, weight_prior=weight_prior)
    built.optimizer = tf_keras.optimizers.legacy.SGD(1.0)
    before = [v.numpy() for v in built.model.trainable_variables]
    seed = seeds.fold(built.seed, tf.constant(0, tf.int64), tf.constant(0))
    batch = built.batches.take(built.arrays, building.rows(built.batches, 0), tf.constant(0), seed)
    _, gradients = built.loss_and_gradients(batch, seed, loss.WARM)
    if weight_prior:
        gradients = [g + v / 60 for g, v in zip(gradients, before, strict=True)]
    norm = float(tf.linalg.global_norm(gradients))
    assert norm > 1
    _, last = built.train(1)
    np.testing.assert_allclose(last["gradient_norm"], norm, rtol=1e-4)
    assert ("weight_prior" in last) is weight_prior
    for old, gradient, variable in zip(before, gradients, built.model.trainable_variables, strict=True):
        expected = gradient * (clip / norm if clip else 1)
        np.testing.assert_allclose(old - variable.numpy(), expected, rtol=1e-3, atol=1e-5)


def test_the_optimiser_is_adam_with_the_rate_of_the_schedule(eagerly):
    built = trainer(learning_rate=0.01, learning_rate_schedule="constant", clip_norm=0.0, weight_prior=False)
    before = [v.numpy() for v in built.model.trainable_variables]
    _, last = built.train(1)
    assert last["learning_rate"] == pytest.approx(0.01)
    for old, variable in zip(before, built.model.trainable_variables, strict=True):
        size = np.abs(old - variable.numpy())
        assert np.all(size < 0.01 * 1.001)
        np.testing.assert_allclose(size.max(), 0.01, rtol=1e-2)


def test_steps_of_one_call_are_those_of_many_calls():
    together, apart = trainer(), trainer()
    mean, last = together.train(4)
    parts = [apart.train(n) for n in (1, 3)]
    assert last == parts[1][1]
    for name, value in mean.items():
        np.testing.assert_allclose(value, (parts[0][0][name] + 3 * parts[1][0][name]) / 4, rtol=1e-4, atol=1e-6)
    for one, other in zip(together.model.variables, apart.model.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert together.step == apart.step == 4


def test_a_call_stops_after_the_first_step_that_is_not_finite():
    built = trainer()
    built.model.trainable_variables[0].assign(np.nan * built.model.trainable_variables[0])
    _, last = built.train(5)
    assert built.step == 1
    assert np.isnan(last["loss"])


def test_averages_follow_the_weights_with_a_decay_that_rises_and_serve_evaluation(eagerly):
    built = trainer(ema_decay=0.9, learning_rate=0.05, learning_rate_schedule="constant")
    averages = [v.numpy() for v in built.averages]
    for taken in range(3):
        built.train(1)
        decay = min(0.9, (1 + taken) / (10 + taken))
        averages = [decay * a + (1 - decay) * v.numpy()
                    for a, v in zip(averages, built.model.trainable_variables, strict=True)]
        for average, expected in zip(built.averages, averages, strict=True):
            np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-5)
    assert_evaluation_sees_the_averages(built)


def assert_evaluation_sees_the_averages(built):
    weights = [v.numpy() for v in built.model.trainable_variables]
    with built.evaluation_weights():
        for variable, average in zip(built.model.trainable_variables, built.averages, strict=True):
            np.testing.assert_array_equal(variable, average)
    for variable, value in zip(built.model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("name", [
    name if name in ("adgm", "sdgm", "m2", "m1") else pytest.param(name, marks=pytest.mark.slow) for name in FAMILY])
def test_every_row_trains(name):
    built = trainer(model=name, learning_rate=0.02, learning_rate_schedule="constant")
    first, _ = built.train(10)
    built.train(70)
    last, _ = built.train(10)
    assert last["loss"] < first["loss"]
    assert all(np.isfinite(v) for v in last.values())


@pytest.mark.parametrize(("num_labels", "there", "gone"), [
    ("all", "labelled/bound", "unlabelled/bound"), ("0", "unlabelled/bound", "labelled/bound")])
def test_images_train_with_all_labels_and_with_none(num_labels, there, gone, eagerly):
    built = trainer(building.images(), num_labels=num_labels)
    _, last = built.train(2)
    assert np.isfinite(last["loss"])
    assert there in last
    assert gone not in last


def test_the_kl_warm_up_reaches_the_loss(eagerly):
    cold, warm = (trainer(kl_warmup_steps=n, model="adgm") for n in (1000, 0))
    first, usual = cold.train(1)[1], warm.train(1)[1]
    for part in ("labelled", "unlabelled"):
        kl = usual[f"{part}/kl_z"] + usual[f"{part}/kl_a"]
        np.testing.assert_allclose(first[f"{part}/bound"] - usual[f"{part}/bound"], 0.999 * kl, rtol=1e-3)


def test_the_consistency_warm_up_reaches_the_loss_and_the_gradient(eagerly):
    weights = dict(consistency="vat", consistency_weight=7.0, entropy_weight=5.0, balance_weight=3.0,
                   weight_prior=False)
    cold, warm, bare = (trainer(model="sdgm", **given) for given in (
        weights | dict(consistency_warmup_steps=4), weights,
        weights | dict(consistency_weight=0.0, entropy_weight=0.0, balance_weight=0.0)))
    first, usual, without = (t.train(1)[1] for t in (cold, warm, bare))
    on_q_y = 7 * usual["consistency"] + 5 * usual["unlabelled/entropy"] + 3 * usual["unlabelled/balance"]
    np.testing.assert_allclose(usual["loss"] - without["loss"], on_q_y, rtol=1e-4)
    np.testing.assert_allclose(first["loss"] - without["loss"], on_q_y / 4, rtol=1e-4)
    assert first["gradient_norm"] != pytest.approx(usual["gradient_norm"], rel=1e-4)


@pytest.mark.parametrize("name", ["sdgm", "vat"])
def test_the_factor_of_the_radius_reaches_the_loss_and_falls_to_one(name, eagerly):
    shrinks, wide, narrow = (trainer(model=name, consistency="vat", num_steps=3, **given) for given in (
        dict(consistency_radius=0.5, consistency_radius_start=2.0), dict(consistency_radius=1.0),
        dict(consistency_radius=0.5)))
    steps = [[t.train(1)[1] for _ in range(2)] for t in (shrinks, wide, narrow)]
    assert steps[0][0] == steps[1][0] != steps[2][0]
    factors = [float(shrinks._warmth(tf.constant(step, tf.int64)).radius) for step in range(4)]
    np.testing.assert_allclose(factors, [2, 1.5, 1, 1], rtol=1e-6)


def test_propagation_reaches_the_loss_and_falls_to_nothing(eagerly):
    weights = dict(model="sdgm", num_steps=8, weight_prior=False)
    with_it, without = (trainer(propagation_weight=w, **weights) for w in (7.0, 0.0))
    first, usual = with_it.train(1)[1], without.train(1)[1]
    assert "unlabelled/propagation" not in usual
    np.testing.assert_allclose(first["loss"] - usual["loss"], 7 * first["unlabelled/propagation"], rtol=1e-3)
    factors = [float(with_it._warmth(tf.constant(step, tf.int64)).propagation) for step in range(6)]
    np.testing.assert_allclose(factors, [1, 0.75, 0.5, 0.25, 0, 0], rtol=1e-6)


def test_a_batch_has_what_the_labels_say_of_its_own_rows():
    built = trainer(model="sdgm", propagation_weight=1.0)
    rows = building.rows(built.batches, 0)
    batch = built.batches.take(built.arrays, rows, tf.constant(0), built.seed)
    of_labels = feed.propagated(building.split(built.config))
    np.testing.assert_array_equal(batch.propagated, of_labels[rows.unlabelled.numpy()])


@pytest.mark.parametrize("given", [dict(num_labels="all"), dict(num_unlabelled="0"), dict(num_labels="0"),
                                   dict(model="m1", num_labels="0")], ids=str)
def test_without_labels_or_unlabelled_rows_there_is_no_propagation(given, eagerly):
    built = trainer(**(dict(model="m2", propagation_weight=1.0) | given))
    assert "unlabelled/propagation" not in built.train(1)[1]


def test_more_rows_than_have_neighbours_looked_for_are_one_line(monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_ROWS", 10)
    with pytest.raises(errors.UserError, match=r"^propagation_weight=1: needs the neighbours of each of the \d+ unlab"):
        trainer(model="sdgm", propagation_weight=1.0)


@pytest.mark.parametrize(("given", "is_image", "expected"), [
    ({}, True, True), ({}, False, False), (dict(binarization="none"), True, False),
    (dict(likelihood="gaussian"), True, False), (dict(likelihood="gaussian", binarization="bernoulli"), True, True)])
def test_pixels_are_binarised_for_the_bernoulli_likelihood_unless_told_otherwise(given, is_image, expected):
    config = Config(**SMALL, **given)
    splits = building.split(config, building.images() if is_image else building.vectors())
    assert step.binarizes(config, splits) is expected


@pytest.mark.parametrize("binarization", ["auto", "none"])
def test_the_second_stage_draws_pixels_as_the_first_did(binarization):
    first = Config(**SMALL, model="m1", binarization=binarization)
    splits = building.split(first, building.images())
    features = FeaturesOfM1(construction.build(first, splits), binarizes=step.binarizes(first, splits))
    for binary, expected in (("auto", binarization == "auto"), ("none", False), ("bernoulli", True)):
        second = Config(**SMALL, model="m2", features_run="there", binarization=binary)
        assert step.binarizes(second, splits, features) is expected


def test_real_vectors_cannot_be_binarised():
    config = Config(**SMALL, binarization="bernoulli", dataset="moons")
    with pytest.raises(errors.UserError, match=r"^binarization=bernoulli: moons has real vectors; use none"):
        step.binarizes(config, building.split(config))


def test_the_trainer_draws_what_the_configuration_says():
    built = trainer(num_samples=3, num_importance_samples=2, top_k=2, consistency_radius=0.25, consistency_weight=4.0)
    assert built.config.classification_weight is None
    alpha = built.plan.classification_weight
    assert built.options == dataclasses.replace(built.config, classification_weight=alpha)


@pytest.mark.parametrize("name", [*FAMILY, *systems.CLASSIFIERS])
@pytest.mark.parametrize("num_labels", ["6", "all", "0"])
def test_the_names_of_the_terms_are_known_beforehand(name, num_labels, monkeypatch):
    """The names of the one trace are those of the terms, and each value has the size that its `of` says."""
    monkeypatch.setattr(vat, "HIDDEN_UNITS", (9,))
    monkeypatch.setattr(ladder, "HIDDEN_UNITS", (9,))
    if (name in systems.CLASSIFIERS and num_labels == "0") or (FAMILY.get(name) and FAMILY[name].q_y is None
                                                               and num_labels == "all"):
        pytest.skip("there is nothing to learn from")
    built = trainer(model=name, num_labels=num_labels, consistency="vat")
    found = built.system.terms(built.model, whole_batch(built), built.options, built.seed)
    assert built.term_names == (*(term.name for term in found), "loss")
    assert built.names == (*built.term_names, "weight_prior", "gradient_norm", "learning_rate")
    for term in found:
        assert built.sizes[term.of] > 0
        assert term.values.shape == (built.sizes[term.of],) or (term.values.shape == (1,) and not float(term.values[0]))


def test_the_trace_of_the_names_moves_nothing():
    built = trainer(normalization="batch")
    averages = [v for c in built.model.conditionals.values() for v in c.non_trainable_variables]
    assert averages
    for variable in averages:
        np.testing.assert_array_equal(variable, np.full(variable.shape, "variance" in variable.name))


@pytest.mark.usefixtures("eagerly")
def test_a_frozen_auxiliary_stays_where_it_started_and_all_else_learns():
    built = trainer(model="adgm", freeze_auxiliary=True)
    frozen = {v.ref() for v in built.model.conditionals["q_a"].variables}
    before = {v.ref(): v.numpy() for v in built.model.variables}
    assert len(built.model.trainable_variables) == len(built.model.variables) - len(frozen)
    built.train(1)
    for variable in built.model.variables:
        assert np.array_equal(variable.numpy(), before[variable.ref()]) == (variable.ref() in frozen)


def test_what_has_no_auxiliary_cannot_freeze_it():
    with pytest.raises(errors.UserError, match="freeze_auxiliary=true: m2 has no q"):
        trainer(model="m2", freeze_auxiliary=True)


@pytest.mark.parametrize("given", [dict(model="sdgm"), dict(model="m2"), dict(model="adgm", auxiliary_dim=0)])
def test_a_latent_is_shared_only_where_it_does_not_depend_on_the_auxiliary_variable(given):
    with pytest.raises(errors.UserError, match=f"share_latent=true: needs draws of a .*{given['model']} with"):
        trainer(share_latent=True, **given)
    with pytest.raises(errors.UserError, match="share_latent=true: not with num_importance_samples=5"):
        trainer(model="adgm", share_latent=True, num_importance_samples=5)


def test_an_order_that_gives_labels_away_is_remarked_on():
    assert plan.remarks(Config()) == []
    assert "class_sorted uses hidden labels" in plan.remarks(Config(unlabelled_order="class_sorted"))[0]


def test_what_a_classifier_leaves_aside_is_remarked_on():
    given = dict(num_labels="6", hidden_units=(7,), num_samples=3, consistency_weight=2.0)
    configs = {name: Config(model=name, **given) for name in ("vat", "sdgm")}
    notes = {name: plan.make(config, building.split(config)).notes for name, config in configs.items()}
    assert notes["vat"][-1] == "vat does not use hidden_units, num_samples"
    assert not any("does not use" in line for line in notes["sdgm"])


def test_a_wide_start_of_the_auxiliary_says_something_of_x_and_a_narrow_one_nothing():
    kl = {}
    for start in ("narrow", "wide"):
        config = Config(model="adgm", auxiliary_start=start, consistency="none", class_sum="exact", **SMALL)
        built = construction.build(config, building.Spec((4,), 3))
        kl[start] = built.kl_per_unit(building.examples(50, dim=4), building.seed(1))["a"].numpy() / 50
    assert kl["narrow"].max() < 1e-3
    assert kl["wide"].min() > 0.01
