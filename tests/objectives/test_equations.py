"""The poster's equations in NumPy float64, term by term, against the code."""

import building
import numpy as np
import pytest
import tensorflow as tf
from building import A, C, Z
from reference import drawn, float64, log_normal, mean_and_variance, noise_of, perceptron

from adgm_tf.config import Config
from adgm_tf.model import seeds
from adgm_tf.model.family import FAMILY
from adgm_tf.objectives import estimates
from adgm_tf.training import plan, step

K, L, U = 3, 2, 4
ALPHA = 1.5
PRIOR = (0.1, 0.3, 0.2, 0.25, 0.15)
CLOSE = dict(rtol=1e-4, atol=1e-4)


class Poster:
    """p(a) p(y) p(z) p(x|y,z) and q(a|x) q(y|a,x) q(z|x,y), with the weights of a model."""

    def __init__(self, model, prior=PRIOR):
        self.model, self.prior = model, prior

    def one_hot(self, y):
        return np.eye(len(self.prior))[y]

    def log_p_a(self, a):
        return log_normal(a, 0, 1)

    def log_p_y(self, y):
        return np.log(self.prior[y])

    def log_p_z(self, z):
        return log_normal(z, 0, 1)

    def log_p_x_given_yz(self, x, y, z):
        parameters = perceptron(self.model.conditionals["p_x"], y=self.one_hot(y), z=z)
        if self.model.sizes.likelihood.name == "bernoulli":
            p = 1 / (1 + np.exp(-parameters))
            return np.sum(x * np.log(p) + (1 - x) * np.log(1 - p))
        return log_normal(x, *mean_and_variance(parameters))

    def q_a_given_x(self, x):
        return mean_and_variance(perceptron(self.model.conditionals["q_a"], x=x))

    def q_y_given_ax(self, a, x):
        logits = perceptron(self.model.conditionals["q_y"], a=a, x=x)
        return np.exp(logits) / np.exp(logits).sum()

    def q_z_given_xy(self, x, y):
        return mean_and_variance(perceptron(self.model.conditionals["q_z"], x=x, y=self.one_hot(y)))

    def a(self, x, noise):
        return drawn(*self.q_a_given_x(x), noise)

    def z(self, x, y, noise):
        return drawn(*self.q_z_given_xy(x, y), noise)

    def log_q_a_given_x(self, a, x):
        return log_normal(a, *self.q_a_given_x(x))

    def log_q_z_given_xy(self, z, x, y):
        return log_normal(z, *self.q_z_given_xy(x, y))

    def log_p(self, x, y, z, a):
        return self.log_p_a(a) + self.log_p_y(y) + self.log_p_z(z) + self.log_p_x_given_yz(x, y, z)

    def log_weight(self, x, y, a, z):
        return self.log_p(x, y, z, a) - self.log_q_a_given_x(a, x) - self.log_q_z_given_xy(z, x, y)

    def L(self, x, y, a_noise, z_noise):
        a = [self.a(x, n) for n in a_noise]
        z = [self.z(x, y, n) for n in z_noise]
        return -np.mean([self.log_weight(x, y, a[k], z[k]) for k in range(len(a))])

    def U(self, x, a_noise, z_noise):
        a = [self.a(x, n) for n in a_noise]
        q = [self.q_y_given_ax(a_k, x) for a_k in a]
        z = [[self.z(x, y, noise) for y, noise in enumerate(of_k)] for of_k in z_noise]
        return -np.mean([sum(q[k][y] * (self.log_weight(x, y, a[k], z[k][y]) - np.log(q[k][y]))
                             for y in range(len(self.prior))) for k in range(len(a))])

    def classification(self, x, y, a_noise):
        return np.mean([-np.log(self.q_y_given_ax(self.a(x, n), x)[y]) for n in a_noise])

    def J(self, labelled, unlabelled, alpha):
        """`labelled` are (x, y, noise of a, noise of z), `unlabelled` (x, noise of a, noise of z)."""
        return (np.mean([self.L(x, y, e, n) + alpha * self.classification(x, y, e) for x, y, e, n in labelled])
                + np.mean([self.U(x, e, n) for x, e, n in unlabelled]))


def noise_of_step(seed, labelled=L, unlabelled=U, num_samples=K, num_classes=C, auxiliary_dim=A, latent_dim=Z):
    """Noise of a and of z for the labelled and the unlabelled examples: each [K, examples, ...]."""
    latent = seeds.fold(seed, seeds.Draw.LATENT)
    a = noise_of([num_samples, labelled + unlabelled, auxiliary_dim], seeds.fold(seed, seeds.Draw.AUXILIARY))
    return (a[:, :labelled], noise_of([num_samples, labelled, latent_dim], seeds.fold(latent, 0)),
            a[:, labelled:], noise_of([num_samples, unlabelled, num_classes, latent_dim], seeds.fold(latent, 1)))


@pytest.fixture(scope="module", params=["bernoulli", "gaussian"])
def adgm(request):
    return building.model("adgm", likelihood=request.param, class_prior=PRIOR)


@pytest.fixture(scope="module")
def batch(adgm):
    return building.batch(adgm, L, U)


@pytest.fixture(scope="module")
def terms(adgm, batch):
    objective = building.objective(num_samples=K, classification_weight=ALPHA)
    return building.terms(adgm, *batch, objective, building.seed(2))


@pytest.fixture(scope="module")
def values(terms):
    return {term.name: term.values for term in terms}


@pytest.fixture(scope="module")
def noise():
    return noise_of_step(building.seed(2))


def test_a_is_its_mean_plus_noise_and_log_q_its_density(adgm, batch):
    x = batch[2]
    a, log_q, _ = adgm.sample_auxiliary(x, K, building.seed(9))
    noise, poster = noise_of([K, U, A], building.seed(9)), Poster(adgm)
    for k in range(K):
        for b in range(U):
            expected = poster.a(float64(x[b]), noise[k, b])
            np.testing.assert_allclose(a[k, b, 0], expected, **CLOSE)
            np.testing.assert_allclose(log_q[k, b, 0], poster.log_q_a_given_x(expected, float64(x[b])), **CLOSE)


def test_q_y_is_the_posters(adgm, batch):
    x = batch[2]
    a = adgm.sample_auxiliary(x, K, building.seed(9)).value
    probs = adgm.q_y(x, a).probs_parameter()
    expected = [[Poster(adgm).q_y_given_ax(float64(a[k, b, 0]), float64(x[b])) for b in range(U)] for k in range(K)]
    np.testing.assert_allclose(probs, expected, **CLOSE)


def test_log_weight_is_log_p_minus_log_q_term_by_term(adgm, batch):
    x, poster = batch[2], Poster(adgm)
    auxiliary = adgm.sample_auxiliary(x, K, building.seed(9))
    y = tf.range(C)[None, None, :]
    terms = adgm.terms(x, y, auxiliary, building.seed(4))
    weights = adgm.log_weight(x, y, auxiliary, building.seed(4))
    noise = noise_of([K, U, C, Z], building.seed(4))
    reconstruction, kl_z, kl_a, log_p_y = (np.broadcast_to(t, (K, U, C)) for t in terms)
    for k, b, c in np.ndindex(K, U, C):
        xb, a = float64(x[b]), float64(auxiliary.value[k, b, 0])
        z = poster.z(xb, c, noise[k, b, c])
        np.testing.assert_allclose(reconstruction[k, b, c], poster.log_p_x_given_yz(xb, c, z), **CLOSE)
        np.testing.assert_allclose(kl_z[k, b, c], poster.log_q_z_given_xy(z, xb, c) - poster.log_p_z(z), **CLOSE)
        np.testing.assert_allclose(kl_a[k, b, c], poster.log_q_a_given_x(a, xb) - poster.log_p_a(a), **CLOSE)
        np.testing.assert_allclose(log_p_y[k, b, c], poster.log_p_y(c), **CLOSE)
        np.testing.assert_allclose(weights[k, b, c], poster.log_weight(xb, c, a, z), **CLOSE)


def test_the_labelled_bound_is_minus_L(adgm, batch, values, noise):
    x, y, _ = batch
    a_noise, z_noise, _, _ = noise
    expected = [-Poster(adgm).L(float64(x[b]), int(y[b]), a_noise[:, b], z_noise[:, b]) for b in range(L)]
    np.testing.assert_allclose(values["labelled/bound"], expected, **CLOSE)


def test_the_unlabelled_bound_is_minus_U(adgm, batch, values, noise):
    _, _, a_noise, z_noise = noise
    expected = [-Poster(adgm).U(float64(batch[2][b]), a_noise[:, b], z_noise[:, b]) for b in range(U)]
    np.testing.assert_allclose(values["unlabelled/bound"], expected, **CLOSE)


def test_the_classification_term_is_C(adgm, batch, values, noise):
    x, y, _ = batch
    expected = [Poster(adgm).classification(float64(x[b]), int(y[b]), noise[0][:, b]) for b in range(L)]
    np.testing.assert_allclose(values["classification"], expected, **CLOSE)


def test_the_loss_is_J(adgm, batch, terms, noise):
    (x, y, x_unlabelled), (e, n, e_unlabelled, n_unlabelled) = batch, noise
    labelled = [(float64(x[b]), int(y[b]), e[:, b], n[:, b]) for b in range(L)]
    unlabelled = [(float64(x_unlabelled[b]), e_unlabelled[:, b], n_unlabelled[:, b]) for b in range(U)]
    np.testing.assert_allclose(building.total(terms, L, U), Poster(adgm).J(labelled, unlabelled, ALPHA), **CLOSE)


def test_a_bound_of_examples_without_labels_is_minus_U(adgm, batch):
    x, seed = batch[2], building.seed(6)
    a = noise_of([K, U, A], seeds.fold(seed, seeds.Draw.AUXILIARY))
    z = noise_of([K, U, C, Z], seeds.fold(seed, seeds.Draw.LATENT))
    expected = [-Poster(adgm).U(float64(x[b]), a[:, b], z[:, b]) for b in range(U)]
    np.testing.assert_allclose(estimates.unlabelled_bound_of(adgm, x, K, seed), expected, **CLOSE)


@pytest.mark.parametrize("name", FAMILY)
def test_log_weight_of_every_row_is_its_factorisation(name):
    model = building.model(name, likelihood="bernoulli")
    x, row, classes = building.examples(U, "bernoulli"), model.row, range(C if model.has_classes else 1)
    auxiliary = model.sample_auxiliary(x, K, building.seed(9))
    y = tf.range(C)[None, None, :] if model.has_classes else None
    weights = model.log_weight(x, y, auxiliary, building.seed(4))
    noise = noise_of([K, U, len(classes), Z], building.seed(4))

    def parameters(key, given):
        return perceptron(model.conditionals[key], **{p: given[p] for p in getattr(row, key)})

    for k, b, c in np.ndindex(K, U, len(classes)):
        given = {"x": float64(x[b]), "y": np.eye(C)[c], "a": float64(auxiliary.value[k % len(auxiliary.value), b, 0])}
        q_z = mean_and_variance(parameters("q_z", given))
        given["z"] = drawn(*q_z, noise[k, b, c])
        logits = parameters("p_x", given)
        expected = log_normal(given["z"], 0, 1) - log_normal(given["z"], *q_z)
        expected += np.sum(given["x"] * logits - np.logaddexp(0, logits))
        if model.has_classes:
            expected += np.log(1 / C)
        if row.p_a is not None:
            p_a = mean_and_variance(parameters("p_a", given)) if row.p_a else (0, 1)
            expected += log_normal(given["a"], *p_a)
            expected -= log_normal(given["a"], *mean_and_variance(parameters("q_a", given)))
        np.testing.assert_allclose(weights[k, b, c], expected, **CLOSE)


def test_the_loss_of_a_training_step_is_J_and_the_weight_prior():
    prior, beta = (0.1, 0.3, 0.6), 0.25
    config = Config(model="adgm", num_labels="6", labelled_batch_size=3, unlabelled_batch_size=4, hidden_units=(9, 8),
                    auxiliary_dim=A, latent_dim=Z, num_samples=2, class_sum="exact", consistency="none",
                    class_prior=",".join(map(str, prior)), classification_beta=beta, weight_prior=True)
    splits = building.split(config)
    trainer = step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
    building.scatter_weights(trainer.model, 0.3)
    poster, weights = Poster(trainer.model, prior), [float64(w) for w in trainer.model.trainable_variables]
    first, replica = tf.constant(0, tf.int64), tf.constant(0)
    seed = seeds.fold(seeds.of_run(config.seed), first, replica)
    batch = trainer.batches.take(trainer.arrays, building.rows(trainer.batches, 0), replica, seed)
    x, y, x_unlabelled = map(float64, (batch.x[:3], batch.y, batch.x[3:]))
    e, n, e_unlabelled, n_unlabelled = noise_of_step(seed, 3, 4, num_samples=2, num_classes=3)
    labelled = [(x[b], int(y[b]), e[:, b], n[:, b]) for b in range(3)]
    unlabelled = [(x_unlabelled[b], e_unlabelled[:, b], n_unlabelled[:, b]) for b in range(4)]
    N, N_labelled = 60, 6
    weight_prior = sum(np.sum(w ** 2) / 2 for w in weights) / N
    J = poster.J(labelled, unlabelled, alpha=beta * N / N_labelled)
    mean, last = trainer.train(1)
    np.testing.assert_allclose(last["weight_prior"], weight_prior, rtol=1e-5)
    np.testing.assert_allclose(last["loss"], J + weight_prior, **CLOSE)
    assert mean == last
