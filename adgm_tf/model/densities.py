"""Distribution layers: what each conditional ends in, by the name of its density."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from adgm_tf.host import errors

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


class Mixed(tfd.Distribution):
    """Independent blocks of units side by side, each of a density of its own: the columns of a table.

    Args:
      parts: the distribution of each block, over its last axis: Normal and Bernoulli by unit, or one-hot categories.
      widths: units of each block.
    """

    def __init__(self, parts: Sequence[tfd.Distribution], widths: Sequence[int], name: str = "Mixed"):
        self.parts, self.widths = list(parts), list(widths)
        super().__init__(dtype=tf.float32, reparameterization_type=tfd.NOT_REPARAMETERIZED, validate_args=False,
                         allow_nan_stats=True, parameters={"parts": parts, "widths": widths}, name=name)

    def log_prob_of_units(self, x: tf.Tensor) -> tf.Tensor:
        """log p(x_j) of each unit, [..., D]; that of a category stands at its one-hot unit, 0 at the others."""
        values = tf.split(x, self.widths, -1)
        return tf.concat([_log_prob_of_units(p, v) for p, v in zip(self.parts, values, strict=True)], -1)

    def _log_prob(self, x):
        return tf.reduce_sum(self.log_prob_of_units(x), -1)

    def _mean(self):
        return tf.concat([p.probs_parameter() if isinstance(p, tfd.OneHotCategorical) else p.mean()
                          for p in self.parts], -1)

    def _batch_shape_tensor(self, **_):
        return tf.shape(self._mean())[:-1]

    def _batch_shape(self):
        return self._mean().shape[:-1]

    def _event_shape_tensor(self, **_):
        return tf.constant([sum(self.widths)])

    def _event_shape(self):
        return tf.TensorShape([sum(self.widths)])


def _log_prob_of_units(part: tfd.Distribution, x: tf.Tensor) -> tf.Tensor:
    if isinstance(part, tfd.OneHotCategorical):
        return x * tf.nn.log_softmax(part.logits_parameter())
    return part.log_prob(x)


def mixed(blocks: Sequence[tuple[str, int]]) -> Density:
    """Returns the density of blocks (gaussian, bernoulli or categorical, units) side by side.

    Raises:
      UserError: a block has another name.
    """
    of = {"gaussian": (2, lambda p: gaussian(p).distribution), "bernoulli": (1, lambda p: bernoulli(p).distribution),
          "categorical": (1, lambda p: tfd.OneHotCategorical(logits=p, dtype=tf.float32))}
    chosen = [errors.lookup(of, "density", name) for name, _ in blocks]
    widths = [width for _, width in blocks]
    sizes = [per_unit * width for (per_unit, _), width in zip(chosen, widths, strict=True)]

    def function(parameters: tf.Tensor) -> tfd.Distribution:
        parts = [make(p) for (_, make), p in zip(chosen, tf.split(parameters, sizes, -1), strict=True)]
        return Mixed(parts, widths)

    return Density("mixed", function, initial_stddev=1e-3, parameters=sum(sizes))


@dataclasses.dataclass(frozen=True)
class Density:
    """A distribution layer: its function of the parameters, how many there are, how far its weights start from zero.

    Attributes:
      name: its name.
      function: parameters [..., n] -> the distribution.
      parameters_per_unit: n / D, where every unit has as many.
      initial_stddev: standard deviation of the weights that give the parameters; as a hidden layer's if None.
      parameters: n, where units have different numbers of parameters.
    """

    name: str
    function: Callable[[tf.Tensor], tfd.Distribution]
    parameters_per_unit: int = 1
    initial_stddev: float | None = None
    parameters: int | None = None

    def num_parameters(self, dim: int) -> int:
        """n for a variable of `dim` units."""
        return self.parameters or dim * self.parameters_per_unit


DENSITIES = {density.name: density for density in (
    Density("bernoulli", bernoulli), Density("categorical", categorical), Density("deterministic", deterministic),
    Density("gaussian", gaussian, parameters_per_unit=2, initial_stddev=1e-3))}
BUILT_IN = frozenset(DENSITIES)


def register(density: Density) -> None:
    """Adds a density of x of one's own, for `--likelihood`: its function returns a tfd.Independent over units.

    Raises:
      UserError: the name is taken.
    """
    if density.name in BUILT_IN or density.name in ("auto", "mixed"):
        raise errors.UserError(f"likelihood={density.name}: is taken")
    DENSITIES[density.name] = density


def log_prob(distribution: tfd.Distribution, x: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
    """log p(x) = sum over observed units of log p(x_j), nats; all units are observed unless `observed` [B,D] says."""
    if observed is None:
        return distribution.log_prob(x)
    of_units = (distribution.log_prob_of_units(x) if hasattr(distribution, "log_prob_of_units")
                else distribution.distribution.log_prob(x))
    return tf.reduce_sum(of_units * observed[None, :, None, :], -1)


def standard_normal(dim: int) -> tfd.Distribution:
    """N(0, I) over `dim` units, broadcast against any batch."""
    return tfd.Independent(tfd.Normal(tf.zeros([1, 1, 1, dim]), 1.0), 1)
