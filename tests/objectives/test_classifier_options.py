"""What is the classifier's own: its layers, noise between them, what its answer is held to, and interpolation."""

import building
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import rel_entr

from adgm_tf.config import Config
from adgm_tf.model import construction, densities, engine, seeds
from adgm_tf.model.family import FAMILY
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import regularisers
from adgm_tf.training import plan, step

tfd = tfp.distributions

B, K = 5, 2
SEED = building.seed(1)


def noisy(name="adgm", noise=0.3, normalization="none", has_teacher=False):
    row = FAMILY[name]
    sizes = engine.Sizes(building.D, building.A, building.Z, building.C, densities.DENSITIES["gaussian"],
                         Trunk((9, 8), normalization=normalization),
                         classifier_trunk=Trunk((7, 6, 5), normalization=normalization, noise=noise),
                         has_teacher=has_teacher)
    built = engine.GenerativeModel(row, sizes, seed=0)
    building.scatter_weights(built, 0.3)
    return built


def trainer(**given):
    config = Config(**(dict(num_labels="6", labelled_batch_size=4, unlabelled_batch_size=6, hidden_units=(9,),
                            auxiliary_dim=3, latent_dim=4, learning_rate_schedule="constant") | given))
    splits = building.split(config)
    return step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())


def logits(built, x, **given):
    a = built.sample_auxiliary(x, K, SEED).value
    return built.q_y(x, a, **given).logits_parameter().numpy()


@pytest.mark.parametrize("name", [name for name, row in FAMILY.items() if row.q_y])
def test_the_classifier_has_layers_of_its_own(name):
    config = Config(model=name, num_labels="6", hidden_units=(9, 8), classifier_units=(7, 6, 5), auxiliary_dim=3)
    built = construction.build(config, building.Spec())
    widths = {key: [h.shape[-1] for h in (c.first_bias, *(d.kernel for d in c.hidden))]
              for key, c in built.conditionals.items()}
    assert widths.pop("q_y") == [7, 6, 5]
    assert all(found == [9, 8] for found in widths.values())


def test_without_layers_of_its_own_it_has_those_of_the_others():
    built = construction.build(Config(hidden_units=(9, 8)), building.Spec())
    assert [d.kernel.shape for d in built.conditionals["q_y"].hidden] == [(9, 8)]


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_noise_is_that_of_its_seed_after_each_normalisation(normalization):
    """W relu(n(W relu(n(h) + noise)) + noise), in NumPy."""
    built, x = noisy("m2", 0.3, normalization), building.examples(B)
    q_y = built.conditionals["q_y"]
    h = x.numpy() @ q_y.parts["x"].kernel.numpy() + q_y.first_bias.numpy()
    for layer in range(3):
        if layer:
            h = h @ q_y.hidden[layer - 1].kernel.numpy() + q_y.hidden[layer - 1].bias.numpy()
        if normalization == "batch":
            norm = q_y.norms[layer]
            h = (h - h.mean(0)) / np.sqrt(h.var(0) + norm.epsilon) * norm.gamma.numpy() + norm.beta.numpy()
        drawn = tf.random.stateless_normal([1, B, 1, h.shape[-1]], seeds.fold(SEED, layer)).numpy()[0, :, 0]
        h = np.maximum(h + 0.3 * drawn, 0)
    expected = h @ q_y.last.kernel.numpy() + q_y.last.bias.numpy()
    a = built.sample_auxiliary(x, K, SEED).value
    found = built.q_y(x, a, Phase.PROBE, noise_seed=SEED).logits_parameter()[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_there_is_noise_in_training_and_in_the_classifier_alone(monkeypatch):
    built, asked = noisy(), []
    call = type(built.conditionals["q_y"]).call

    def spy(self, parents, phase=Phase.EVALUATE, noise_seed=None):
        asked.append((self.name, noise_seed is not None))
        return call(self, parents, phase, noise_seed)

    monkeypatch.setattr(type(built.conditionals["q_y"]), "call", spy)
    objective = building.objective(consistency="vat")
    for phase in (Phase.TRAIN, Phase.EVALUATE):
        asked.clear()
        building.per_example(built, *building.batch(built, 3, 4), objective, SEED, phase=phase)
        assert {name for name, given in asked if given} == ({"q_y_given_ax"} if phase.training else set())
    np.testing.assert_array_equal(logits(built, building.examples(B)), logits(built, building.examples(B)))


def test_both_sides_of_the_consistency_term_have_the_same_noise():
    built = noisy()
    for radius, target, is_zero in ((0.0, "same", True), (0.0, "clean", False)):
        objective = building.objective(consistency="vat", consistency_radius=radius, consistency_target=target)
        terms = building.per_example(built, *building.batch(built, 3, 4), objective, SEED)
        assert np.allclose(terms["consistency"], 0, atol=1e-6) is is_zero


@pytest.mark.parametrize("target", ["same", "clean", "teacher"])
def test_the_answer_is_held_to_its_target(target):
    """KL( target || q ) of every example, in NumPy, for the virtual adversarial and the interpolated x."""
    built = noisy(has_teacher=True)
    objective = building.objective(num_samples=K, consistency="vat", consistency_target=target,
                                   interpolation_weight=1.0)
    x_labelled, y, x_unlabelled = building.batch(built, 3, 4)
    building.scatter_weights(built.teacher, 0.4, seed=5)
    seen = []
    answer = regularisers.Noise.answer

    def spy(noise, model, x):
        found = answer(noise, model, x)
        seen.append((x, found.probs_parameter().numpy()))
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(regularisers.Noise, "answer", spy)
        terms = building.per_example(built, x_labelled, y, x_unlabelled, objective, SEED)
    x = tf.concat([x_labelled, x_unlabelled], 0)
    a = built.sample_auxiliary(x, K, seeds.fold(SEED, seeds.Draw.AUXILIARY), Phase.PROBE).value
    hidden = seeds.fold(SEED, seeds.Draw.HIDDEN_NOISE) if target == "same" else None
    p = built.q_y(x, a, Phase.PROBE, noise_seed=hidden, teacher=target == "teacher").probs_parameter().numpy()
    (_, adversarial), (between, interpolated) = seen[-2:]
    np.testing.assert_allclose(terms["consistency"], rel_entr(p, adversarial).sum(-1).mean(0), rtol=1e-3, atol=1e-6)
    seed = seeds.fold(SEED, seeds.Draw.INTERPOLATION)
    other = np.argsort(tf.random.stateless_uniform([7], seeds.fold(seed, 0)))
    u = tf.random.stateless_uniform([7, 1], seeds.fold(seed, 1)).numpy()
    np.testing.assert_allclose(between, u * x + (1 - u) * x.numpy()[other], rtol=1e-5)
    mixture = u * p + (1 - u) * p[:, other]
    np.testing.assert_allclose(terms["interpolation"], rel_entr(mixture, interpolated).sum(-1).mean(0), rtol=1e-3,
                               atol=1e-6)


def test_no_gradient_reaches_the_target_of_an_interpolation():
    built, probs = noisy(), tf.Variable(building.normal([K, B, building.C], 3))
    with tf.GradientTape() as tape:
        value = regularisers.interpolation(built, building.examples(B), tfd.Categorical(logits=probs),
                                         regularisers.Noise(K, SEED), building.seed(2))
    assert value.shape == (B,)
    assert tape.gradient(value, probs) is None


def test_a_teacher_starts_as_the_classifier_follows_it_and_is_not_trained():
    built = trainer(consistency_target="teacher", teacher_decay=0.9, classifier_units=(6, 5))
    pairs = built.model.teacher_pairs
    assert len(pairs) == len(built.model.conditionals["q_y"].trainable_variables)
    trained = {v.ref() for v in built.model.trainable_variables}
    assert not {average.ref() for average, _ in pairs} & trained
    expected = [average.numpy() for average, _ in pairs]
    for (_, weight), value in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(weight, value)
    for number in range(3):
        built.train(1)
        rate = 1 - min(0.9, (1 + number) / (10 + number))
        expected = [e + rate * (w.numpy() - e) for e, (_, w) in zip(expected, pairs, strict=True)]
    for (average, _), value in zip(pairs, expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-4, atol=1e-6)


def test_the_interpolation_counts_with_its_weight():
    built = trainer(interpolation_weight=3.0, consistency="none", weight_prior=False)
    _, last = built.train(1)
    expected = (-last["labelled/bound"] + built.plan.classification_weight * last["classification"]
                - last["unlabelled/bound"] + 3.0 * last["interpolation"])
    np.testing.assert_allclose(last["loss"], expected, rtol=1e-5)
