"""Distribution layers: what each conditional ends in, by the name of its density."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

LOG_VARIANCE_BOUND = 10.0


class PixelBernoulli(tfd.Bernoulli):
    """Bernoulli whose log density reads x l - softplus(l), also for grey values of x in [0, 1]."""

    def _log_prob(self, event):
        logits = self._logits_parameter_no_checks()
        return event * logits - tf.nn.softplus(logits)


class PointMass(tfd.Deterministic):
    """Deterministic whose mean keeps what is known of the shape while a function is traced."""

    def _mean(self):
        return tf.identity(self.loc)


def gaussian(parameters: tf.Tensor) -> tfd.Distribution:
    """N(mean, diag(exp(v))) over the last axis; v = bound tanh(raw / bound) keeps the log variance within its bound."""
    mean, raw = tf.split(parameters, 2, axis=-1)
    log_variance = LOG_VARIANCE_BOUND * tf.tanh(raw / LOG_VARIANCE_BOUND)
    return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_variance)), 1)


def bernoulli(parameters: tf.Tensor) -> tfd.Distribution:
    """prod_i Bernoulli(x_i | sigmoid(l_i)) over the last axis."""
    return tfd.Independent(PixelBernoulli(logits=parameters, dtype=parameters.dtype), 1)


def categorical(parameters: tf.Tensor) -> tfd.Distribution:
    """Cat(softmax(l))."""
    return tfd.Categorical(logits=parameters)


def deterministic(parameters: tf.Tensor) -> tfd.Distribution:
    """A point mass over the last axis."""
    return tfd.Independent(PointMass(parameters), 1)


@dataclasses.dataclass(frozen=True)
class Density:
    """A distribution layer's function, how many parameters a unit takes, and how far its weights start from zero."""

    function: Callable[[tf.Tensor], tfd.Distribution]
    parameters_per_unit: int = 1
    initial_stddev: float | None = None


DENSITIES = {
    "bernoulli": Density(bernoulli),
    "categorical": Density(categorical),
    "deterministic": Density(deterministic),
    "gaussian": Density(gaussian, parameters_per_unit=2, initial_stddev=1e-3),
}


def standard_normal(dim: int) -> tfd.Distribution:
    """N(0, I) over `dim` units, broadcast against any batch."""
    return tfd.Independent(tfd.Normal(tf.zeros([1, 1, 1, dim]), 1.0), 1)
