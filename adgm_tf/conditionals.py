"""A Keras model per conditional: first layer split by parent, hidden layers, and a tfp distribution layer at the end.

The first layer is linear, so it splits by parent: W[x,a,y] = W_x x + W_a a + W_y[y]. Each part is computed at the
natural shape of its parent and added with broadcasting; y is a row look-up.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Iterator, Mapping

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras import layers

from adgm_tf import distributions

tfd = tfp.distributions

BIAS_STDDEV = 1e-3


@dataclasses.dataclass(frozen=True)
class Trunk:
    """What lies between the parents and the distribution layer.

    Attributes:
      hidden_units: units of each hidden layer.
      normalization: none, layer or batch.
      filters: convolutions between the pixels of x and the hidden layers; none in a perceptron.
      image_shape: [H, W, channels] of x, where there are filters.
    """

    hidden_units: tuple[int, ...]
    normalization: str = "none"
    filters: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()


NORMALIZATIONS = {
    "none": layers.Identity,
    "layer": lambda: layers.LayerNormalization(epsilon=1e-5),
    "batch": lambda: layers.BatchNormalization(momentum=0.95, epsilon=1e-5),
}


class Conditional(tf_keras.Model):
    """p(variable | parents) = density(W_out relu(... relu(sum_p W_p p + b) ...)).

    Args:
      name: such as q_z_given_axy.
      parents: size of each parent: units of a, x and z, number of classes of y.
      variable: the letter on the left of the bar.
      dim: size of that variable.
      density: a key of `distributions.DENSITIES`.
      trunk: the layers between.
      seed: seed of the initial weights.
    """

    def __init__(self, name: str, parents: Mapping[str, int], variable: str, dim: int, density: str, trunk: Trunk,
                 seed: int):
        super().__init__(name=name)
        seeds = itertools.count(zlib.crc32(f"{name}/{seed}".encode()) % 2**30)
        spec = distributions.DENSITIES[density]
        convolutional = bool(trunk.filters)
        self.pixels = _encoder(trunk, seeds) if convolutional and "x" in parents else None
        sizes = dict(parents, x=math.prod(_coarse_shape(trunk))) if self.pixels else dict(parents)
        first = trunk.hidden_units[0]
        stddev = _glorot(sum(sizes.values()), first)
        self.parts = {p: _part(p, n, first, stddev, seeds) for p, n in sizes.items()}
        self.first_bias = self.add_weight("first_bias", (first,), initializer=_normal(BIAS_STDDEV, seeds))
        self.hidden = [_dense(n, fan_in, seeds, f"hidden_{i}") for i, (fan_in, n)
                       in enumerate(itertools.pairwise(trunk.hidden_units), 1)]
        self.norms = [NORMALIZATIONS[trunk.normalization]() for _ in trunk.hidden_units]
        self.last = (_decoder(trunk, spec.parameters_per_unit, seeds) if convolutional and variable == "x" else
                     _dense(dim * spec.parameters_per_unit, trunk.hidden_units[-1], seeds, "parameters",
                            spec.initial_stddev))
        self.density = tfp.layers.DistributionLambda(
            spec.function, convert_to_tensor_fn=tfd.Distribution.mean, name=density)

    def call(self, parents: Mapping[str, tf.Tensor], training: bool = False) -> tfd.Distribution:
        """Returns the distribution of the variable given its parents.

        Args:
          parents: x [1,B,1,D], a [K,B,1,A], z [K,B,S,Z] in float32, y [K,B,S] class indices; axes of size 1 broadcast.
          training: whether batch normalisation uses and updates the statistics of this batch.

        Returns:
          A distribution whose batch shape is the broadcast [K,B,S] of the parents.
        """
        h = sum((self._part_of(p, parents[p], training) for p in self.parts), self.first_bias)
        h = tf.nn.relu(self.norms[0](h, training=training))
        for dense, norm in zip(self.hidden, self.norms[1:], strict=True):
            h = tf.nn.relu(norm(dense(h), training=training))
        return self.density(self.last(h, training=training))

    def _part_of(self, letter: str, value: tf.Tensor, training: bool) -> tf.Tensor:
        if letter == "x" and self.pixels:
            value = self.pixels(value, training=training)
        return self.parts[letter](value)


class OverImages(layers.Layer):
    """Applies layers of images under any leading axes: [..., D] -> [..., E].

    Args:
      shape: shape that one row of D has before the first layer.
      chain: the layers, one after another.
      crop: height and width to cut the result to, where strides do not divide them.
      planes: channels of the result that belong to different parameters; they become the slowest axis of E.
    """

    def __init__(self, shape: tuple[int, ...], chain: list[layers.Layer], crop: tuple[int, ...] = (), planes: int = 1,
                 **kwargs):
        super().__init__(**kwargs)
        self.shape, self.chain, self.crop, self.planes = shape, chain, crop, planes

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns what the layers make of x."""
        rows = tf.reshape(x, (-1, *self.shape))
        for layer in self.chain:
            rows = layer(rows, training=training)
        if self.crop:
            height, width = self.crop
            channels = rows.shape[-1] // self.planes
            rows = tf.reshape(rows[:, :height, :width], (-1, height, width, self.planes, channels))
            rows = tf.transpose(rows, (0, 3, 1, 2, 4))
        size = math.prod(rows.shape[1:])
        result = tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [size]], 0))
        return tf.ensure_shape(result, [*x.shape[:-1], size])


def _coarse_shape(trunk: Trunk) -> tuple[int, int, int]:
    """Returns [H, W, filters] after the strides."""
    stride = 2 ** len(trunk.filters)
    return (-(-trunk.image_shape[0] // stride), -(-trunk.image_shape[1] // stride), trunk.filters[-1])


def _encoder(trunk: Trunk, seeds: Iterator[int]) -> OverImages:
    chain = []
    for fan_in, filters in itertools.pairwise((trunk.image_shape[-1], *trunk.filters)):
        chain += [_convolution(layers.Conv2D, fan_in, filters, seeds), NORMALIZATIONS[trunk.normalization](),
                  layers.ReLU()]
    return OverImages(trunk.image_shape, [*chain, layers.Flatten()], name="encoder")


def _decoder(trunk: Trunk, planes: int, seeds: Iterator[int]) -> OverImages:
    coarse, hidden = _coarse_shape(trunk), trunk.hidden_units[-1]
    chain = [_dense(math.prod(coarse), hidden, seeds, "grid"), layers.ReLU(), layers.Reshape(coarse)]
    for fan_in, filters in itertools.pairwise((*trunk.filters[::-1], planes * trunk.image_shape[-1])):
        chain += [_convolution(layers.Conv2DTranspose, fan_in, filters, seeds),
                  NORMALIZATIONS[trunk.normalization](), layers.ReLU()]
    return OverImages((hidden,), chain[:-2], crop=trunk.image_shape[:2], planes=planes, name="parameters")


def _part(letter: str, fan_in: int, units: int, stddev: float, seeds: Iterator[int]) -> layers.Layer:
    """W_p of one parent, drawn as a slice of the undivided first layer would be."""
    weights = _normal(stddev, seeds)
    if letter == "y":
        return layers.Embedding(fan_in, units, embeddings_initializer=weights, name="from_y")
    return layers.Dense(units, use_bias=False, kernel_initializer=weights, name=f"from_{letter}")


def _dense(units: int, fan_in: int, seeds: Iterator[int], name: str, stddev: float | None = None) -> layers.Dense:
    weights = _normal(stddev or _glorot(fan_in, units), seeds)
    return layers.Dense(units, kernel_initializer=weights, bias_initializer=_normal(BIAS_STDDEV, seeds), name=name)


def _convolution(kind: type[layers.Layer], fan_in: int, filters: int, seeds: Iterator[int]) -> layers.Layer:
    return kind(filters, 5, strides=2, padding="same", bias_initializer=_normal(BIAS_STDDEV, seeds),
                kernel_initializer=_normal(_glorot(25 * fan_in, 25 * filters), seeds))


def _glorot(fan_in: int, fan_out: int) -> float:
    """Standard deviation of Glorot's normal initialiser with the gain of the ReLU, sqrt(2)."""
    return math.sqrt(4 / (fan_in + fan_out))


def _normal(stddev: float, seeds: Iterator[int]) -> tf_keras.initializers.Initializer:
    return tf_keras.initializers.RandomNormal(stddev=stddev, seed=next(seeds))
