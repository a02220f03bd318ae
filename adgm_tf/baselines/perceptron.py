"""What the classifiers are made of: matrix products, batch normalisation with explicit statistics, sizes."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf
from jaxtyping import Float

from adgm_tf.model import precision, seeds, statistics
from adgm_tf.model.contract import ExampleSpec
from adgm_tf.options import ModelOptions

MOMENTUM = 0.99
EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class LayerSizes:
    """D, hidden units, C, and the type of the matrix products."""

    x_dim: int
    hidden_units: tuple[int, ...]
    num_classes: int
    compute_dtype: str = "float32"

    @property
    def layers(self) -> tuple[int, ...]:
        """Units of every layer, x and the logits included."""
        return (self.x_dim, *self.hidden_units, self.num_classes)


def layers_of(options: ModelOptions, spec: ExampleSpec, hidden_units: tuple[int, ...]) -> LayerSizes:
    """Returns the sizes of a classifier of its own architecture."""
    return LayerSizes(spec.seen_dim, hidden_units, spec.num_classes, options.compute_dtype)


class Running(tf.Module):
    """Running mean and variance of `units` units, which evaluation uses; each replica's own, averaged when read."""

    def __init__(self, units: int):
        super().__init__()
        options = dict(trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
                       aggregation=tf.VariableAggregation.MEAN)
        self.mean, self.variance = tf.Variable(tf.zeros([units]), **options), tf.Variable(tf.ones([units]), **options)

    def update(self, moments: statistics.Moments) -> None:
        """running += (1 - momentum) (moments - running)."""
        for variable, value in zip((self.mean, self.variance), moments, strict=True):
            variable.assign_add((1 - MOMENTUM) * (value - variable))

    def moments(self) -> statistics.Moments:
        """Returns the values."""
        return statistics.Moments(tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance))


def moments_of(h: Float[tf.Tensor, "B n"]) -> statistics.Moments:
    """Mean and variance over a batch, or that of all replicas."""
    return statistics.moments(h, [0])


def normalized(h: Float[tf.Tensor, "B n"], moments: statistics.Moments) -> Float[tf.Tensor, "B n"]:
    """(h - mean) / sqrt(variance + epsilon)."""
    return (h - moments.mean) * tf.math.rsqrt(moments.variance + EPSILON)


def kernel(fan_in: int, units: int, seed: int, number: int) -> tf.Variable:
    """Returns a weight matrix [fan_in, units], drawn from N(0, 1 / fan_in) by the seed and the matrix's number."""
    noise = tf.random.stateless_normal([fan_in, units], seeds.fold(seeds.of_run(seed), number))
    return tf.Variable(noise / math.sqrt(fan_in))


def product(h: Float[tf.Tensor, "B m"], weights: tf.Variable, dtype: str) -> Float[tf.Tensor, "B n"]:
    """h W, multiplied in `dtype`, returned in float32."""
    return tf.cast(tf.matmul(tf.cast(h, dtype), precision.cast(weights, dtype)), tf.float32)
