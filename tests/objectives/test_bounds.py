"""The bounds of linear-Gaussian models, whose log p(x) and posteriors are known in closed form."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import bounds, class_sums, estimates

D, A, Z, C = 3, 2, 2, 3
W = np.array([[1.0, 0.5], [-0.8, 1.0], [0.6, 0.5]])
assert abs(W[:, 0] @ W[:, 1]) < 1e-12
MU = np.array([[1.0, -1.0, 0.5], [0.0, 1.2, -0.7], [-1.0, 0.3, 0.9]])
PI = np.array([0.2, 0.5, 0.3])
NOISE_VARIANCE = 0.4
X = np.array([[0.3, -0.2, 1.0], [1.5, 0.4, -0.9], [-0.7, 0.8, 0.1], [2.0, -2.0, 1.0]])
X32 = tf.constant(X, tf.float32)

MARGINAL = W @ W.T + NOISE_VARIANCE * np.eye(D)
Z_VARIANCE = 1 / (1 + (W**2).sum(0) / NOISE_VARIANCE)
TO_Z = W / NOISE_VARIANCE * Z_VARIANCE
TO_A, A_FROM_Z, A_VARIANCE = np.array([[0.3, -0.2], [0.1, 0.4], [-0.5, 0.2]]), np.array([0.9, -0.6]), 0.5
INVERSE = np.linalg.inv(MARGINAL)
TO_Y, FROM_Y = INVERSE @ MU.T, np.log(PI) - 0.5 * np.sum(MU @ INVERSE * MU, 1)

LOG_P_XY = np.log(PI) - 0.5 * (np.linalg.slogdet(2 * np.pi * MARGINAL)[1] + np.einsum(
    "bci,ij,bcj->bc", X[:, None] - MU, INVERSE, X[:, None] - MU))
LOG_P_X = np.logaddexp.reduce(LOG_P_XY, 1)
LOG_P_Y_GIVEN_X = LOG_P_XY - LOG_P_X[:, None]
LOG_P_X_ONE_CLASS = LOG_P_XY[:, 0] - np.log(PI[0])

WRONG = dict(a_weights=np.array([[0.4, 0.0], [0.0, -0.3], [0.2, 0.1]]), a_variance=np.array([0.8, 1.4]), z_shift=0.35,
             z_factor=1.5, y_from_a=np.array([[0.5, -0.4, 0.0], [0.0, 0.6, -0.3]]))


def build(name):
    return building.model(name, x_dim=D, auxiliary_dim=A, latent_dim=Z, num_classes=C, trunk=Trunk((2 * D,)),
                          class_prior=tuple(PI), scatter=0)


def set_linear(conditional, weights, bias, variance=None):
    """Sets output = sum_p value_p weights_p + bias, by way of relu(h) - relu(-h)."""
    dim, units = len(bias), conditional.first_bias.shape[0]

    def both_signs(value):
        value = np.atleast_2d(value)
        return np.concatenate([value, -value, np.zeros((len(value), units - 2 * dim))], 1)

    for letter, part in conditional.parts.items():
        part.set_weights([both_signs(weights.get(letter, np.zeros((part.weights[0].shape[0], dim))))])
    conditional.first_bias.assign(both_signs(bias)[0])
    kernel = np.zeros((units, dim))
    kernel[:dim], kernel[dim: 2 * dim] = np.eye(dim), -np.eye(dim)
    raw = [] if variance is None else 10 * np.arctanh(np.log(np.broadcast_to(variance, dim)) / 10)
    conditional.last.set_weights([np.concatenate([kernel, np.zeros((units, len(raw)))], 1),
                                  np.concatenate([np.zeros(dim), raw])])


def mixture(a_weights=None, a_variance=1.0, z_shift=0.0, z_factor=1.0, y_from_a=None):
    """`adgm` with p(x|y,z) = N(W z + mu_y, s^2 I) and its exact posterior, or one that the arguments make wrong."""
    model = build("adgm")
    a_weights, y_from_a = (np.zeros(s) if v is None else v for v, s in ((a_weights, (D, A)), (y_from_a, (A, C))))
    set_linear(model.conditionals["p_x"], {"y": MU, "z": W.T}, np.zeros(D), NOISE_VARIANCE)
    set_linear(model.conditionals["q_a"], {"x": a_weights}, np.zeros(A), a_variance)
    set_linear(model.conditionals["q_y"], {"x": TO_Y, "a": y_from_a}, FROM_Y)
    set_linear(model.conditionals["q_z"], {"x": TO_Z, "y": -MU @ TO_Z}, np.full(Z, z_shift), Z_VARIANCE * z_factor)
    return model


def one_class(z_shift=0.0, z_factor=1.0):
    """`m1` with p(x|z) = N(W z + mu_0, s^2 I)."""
    model = build("m1")
    set_linear(model.conditionals["p_x"], {"z": W.T}, MU[0], NOISE_VARIANCE)
    set_linear(model.conditionals["q_z"], {"x": TO_Z}, -MU[0] @ TO_Z + z_shift, Z_VARIANCE * z_factor)
    return model


def with_auxiliary():
    """`avae` with p(a|x,z) = N(G x + H z, t^2 I), and its exact posterior q(a|x) q(z|a,x)."""
    model = build("avae")
    mean_z = {"x": TO_Z, "bias": -MU[0] @ TO_Z}
    set_linear(model.conditionals["p_x"], {"z": W.T}, MU[0], NOISE_VARIANCE)
    set_linear(model.conditionals["p_a"], {"x": TO_A, "z": np.diag(A_FROM_Z)}, np.zeros(A), A_VARIANCE)
    set_linear(model.conditionals["q_a"], {"x": TO_A + mean_z["x"] * A_FROM_Z}, mean_z["bias"] * A_FROM_Z,
               A_VARIANCE + A_FROM_Z**2 * Z_VARIANCE)
    variance = 1 / (1 / Z_VARIANCE + A_FROM_Z**2 / A_VARIANCE)
    gain = variance * A_FROM_Z / A_VARIANCE
    set_linear(model.conditionals["q_z"], {"a": np.diag(gain), "x": mean_z["x"] * variance / Z_VARIANCE - TO_A * gain},
               mean_z["bias"] * variance / Z_VARIANCE, variance)
    return model


def log_weights(model, num_samples, y):
    """[K,B,S] of y, and log q(y|a_k,x) [K,B,C]."""
    auxiliary = model.sample_auxiliary(X32, num_samples, building.seed(1))
    weights = model.log_weight(X32, tf.constant(y, tf.int32), auxiliary, building.seed(2))
    return weights.numpy().astype(float), tf.nn.log_softmax(model.q_y(X32, auxiliary.value).logits).numpy()


def aggregated(weights, num_importance_samples):
    """The bound of every group, [groups, B]."""
    groups = weights.reshape(-1, num_importance_samples, weights.shape[-1])
    return np.logaddexp.reduce(groups, 1) - np.log(num_importance_samples)


def assert_mean(samples, expected):
    """The mean over samples lies within five standard errors of what is expected."""
    error = samples.std(0) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(0) - expected) < 5 * error + 1e-4)


def normal_kl(mean, variance, mean_p, variance_p):
    return 0.5 * np.sum(np.log(variance_p / variance) + (variance + (mean - mean_p) ** 2) / variance_p - 1, -1)


def test_log_weight_is_constant_under_the_exact_posterior():
    weights, log_q_y = log_weights(mixture(), 50, [[[0, 1, 2]]])
    np.testing.assert_allclose(weights, np.broadcast_to(LOG_P_XY, weights.shape), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_q_y, np.broadcast_to(LOG_P_Y_GIVEN_X, log_q_y.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_importance_samples", [1, 4])
def test_the_bounds_are_tight_under_the_exact_posterior(num_importance_samples):
    objective = building.objective(num_samples=2, num_importance_samples=num_importance_samples)
    y = tf.constant([0, 1, 2, 1])
    terms = building.per_example(mixture(), X32, y, X32, objective, building.seed(3))
    np.testing.assert_allclose(terms["labelled/bound"], LOG_P_XY[range(4), y], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(terms["unlabelled/bound"], LOG_P_X, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(terms["classification"], -LOG_P_Y_GIVEN_X[range(4), y], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build_model", [one_class, with_auxiliary])
@pytest.mark.parametrize("quantity", [estimates.unlabelled_bound_of, estimates.log_likelihood_of])
def test_the_bounds_of_models_without_classes_are_tight_under_the_exact_posterior(build_model, quantity):
    bound = quantity(build_model(), X32, 3, building.seed(3))
    np.testing.assert_allclose(bound, LOG_P_X_ONE_CLASS, rtol=1e-4, atol=1e-4)


def test_what_the_labelled_bound_misses_is_the_divergence_from_the_posterior():
    weights, _ = log_weights(mixture(**WRONG), 8000, [[[0, 1, 2]]])
    gap = normal_kl(X @ WRONG["a_weights"], WRONG["a_variance"], 0, 1)[:, None] + normal_kl(
        np.full(Z, WRONG["z_shift"]), Z_VARIANCE * WRONG["z_factor"], 0, Z_VARIANCE)
    assert np.all(gap > 0.1)
    assert_mean(weights, LOG_P_XY - gap)


def test_what_the_unlabelled_bound_misses_is_the_divergence_from_the_posterior():
    model = mixture(**WRONG)
    weights, log_q_y = log_weights(model, 8000, [[[0, 1, 2]]])
    bound = np.sum(np.exp(log_q_y) * (weights - log_q_y), -1)
    gap = normal_kl(X @ WRONG["a_weights"], WRONG["a_variance"], 0, 1) + normal_kl(
        np.full(Z, WRONG["z_shift"]), Z_VARIANCE * WRONG["z_factor"], 0, Z_VARIANCE) + np.sum(
            np.exp(log_q_y) * (log_q_y - LOG_P_Y_GIVEN_X), -1)
    assert_mean(bound + gap, LOG_P_X)


@pytest.mark.parametrize("class_sum", class_sums.CLASS_SUMS)
def test_the_unlabelled_bound_of_both_class_sums_stays_below_log_p(class_sum):
    model = mixture(**WRONG)
    objective = building.objective(num_samples=8000, class_sum=class_sum)
    given = (X32[:0], tf.zeros([0], tf.int32), X32)
    bound = building.per_example(model, *given, objective, building.seed(3))["unlabelled/bound"]
    weights, log_q_y = log_weights(model, 8000, [[[0, 1, 2]]])
    expected = np.sum(np.exp(log_q_y) * (weights - log_q_y), -1).mean(0)
    np.testing.assert_allclose(bound, expected, atol=0.1)
    assert np.all(bound < LOG_P_X - 0.1)


def test_a_drawn_class_inside_the_logarithm_lifts_it_above_log_p():
    given = (X32[:0], tf.zeros([0], tf.int32), X32)
    bounds = {}
    for class_sum in class_sums.CLASS_SUMS:
        objective = building.objective(num_samples=2000, num_importance_samples=4, class_sum=class_sum)
        bounds[class_sum] = building.per_example(mixture(), *given, objective, building.seed(3))["unlabelled/bound"]
    np.testing.assert_allclose(bounds["exact"], LOG_P_X, rtol=1e-4, atol=1e-4)
    assert np.all(bounds["topk"] > LOG_P_X - 0.005)
    assert np.any(bounds["topk"] > LOG_P_X + 0.01)


def test_more_importance_samples_tighten_the_labelled_bound_up_to_log_p():
    model = mixture(**WRONG)
    y = np.array([0, 1, 2, 1])
    weights, _ = log_weights(model, 8192, y[None, :, None])
    log_p = LOG_P_XY[range(4), y]
    bounds = [aggregated(weights[..., 0], i) for i in (1, 2, 8, 64, 1024)]
    means = np.array([b.mean(0) for b in bounds])
    assert np.all(np.diff(means, axis=0) > 0)
    for bound in bounds:
        assert np.all(bound.mean(0) < log_p + 5 * bound.std(0) / np.sqrt(len(bound)) + 1e-4)
    np.testing.assert_allclose(means[-1], log_p, atol=0.05)
    assert np.all(means[0] < log_p - 0.1)


def test_the_code_groups_importance_samples_the_same_way():
    weights, _ = log_weights(mixture(**WRONG), 64, np.zeros((1, 1, 1)))
    for i in (1, 2, 8, 64):
        bound = bounds.aggregate(tf.constant(weights[..., 0]), i)
        np.testing.assert_allclose(bound, aggregated(weights[..., 0], i).mean(0), rtol=1e-9)


def test_more_importance_samples_tighten_the_unlabelled_bound_below_log_p():
    weights, log_q_y = log_weights(mixture(**WRONG), 8192, [[[0, 1, 2]]])
    inside = np.sum(np.exp(log_q_y) * (weights - log_q_y), -1)
    means = np.array([aggregated(inside, i).mean(0) for i in (1, 4, 64, 1024)])
    assert np.all(np.diff(means, axis=0) > 0)
    assert np.all(means < LOG_P_X + 0.01)


@pytest.mark.parametrize(("build_model", "log_p"), [
    (lambda: mixture(**WRONG), LOG_P_X), (lambda: one_class(z_shift=0.3, z_factor=1.4), LOG_P_X_ONE_CLASS)])
def test_more_samples_take_the_log_likelihood_from_the_bound_to_log_p(build_model, log_p):
    model = build_model()
    bound = estimates.unlabelled_bound_of(model, X32, 4096, building.seed(5)).numpy()
    assert np.all(bound < log_p - 0.05)
    few = np.mean([estimates.log_likelihood_of(model, X32, 64, building.seed(5, i)) for i in range(64)], 0)
    assert np.all((few > bound) & (few < log_p + 0.03))
    np.testing.assert_allclose(estimates.log_likelihood_of(model, X32, 4096, building.seed(5)), log_p, atol=0.06)
