"""A Keras model per conditional: first layer split by parent, hidden layers, and a tfp distribution layer at the end.

The first layer is linear, so it splits by parent: W[x,a,y] = W_x x + W_a a + W_y[y]. Each part is computed at the
natural shape of its parent and added with broadcasting; y is a row look-up.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import zlib
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras import layers

from adgm_tf.model import densities, precision, seeds

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
      compute_dtype: type of the matrix products and of the activations between them; parameters of densities and
        weights are float32.
      noise: standard deviation of Gaussian noise after each normalisation, where a call is given a seed for it.
    """

    hidden_units: tuple[int, ...]
    normalization: str = "none"
    filters: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()
    compute_dtype: str = "float32"
    noise: float = 0.0


class BatchNormalization(layers.BatchNormalization):
    """Keras's, of images or of [K,B,S,n]; in training a call adds to the moving averages only where it says so."""

    def call(self, h: tf.Tensor, training: bool = False, update: bool = False) -> tf.Tensor:
        """Returns h normalised by its own moments in training, by the moving averages otherwise."""
        if not training or update:
            return super().call(h, training=training)
        return tf.compat.v1.nn.fused_batch_norm(h, self.gamma, self.beta, epsilon=self.epsilon)[0]


NORMALIZATIONS = {
    "none": layers.Identity,
    "layer": functools.partial(layers.LayerNormalization, epsilon=1e-5),
    "batch": functools.partial(BatchNormalization, momentum=0.95, epsilon=1e-5),
}


class Conditional(tf_keras.Model):
    """p(variable | parents) = density(W_out relu(... relu(sum_p W_p p + b) ...)).

    Args:
      name: such as q_z_given_axy.
      parents: size of each parent: units of a, x and z, number of classes of y.
      variable: the letter on the left of the bar.
      dim: size of that variable.
      density: a key of `densities.DENSITIES`.
      trunk: the layers between.
      seed: seed of the initial weights.
      wide_start: whether the parameters of the density start as wide as the hidden layers, not close to zero.
    """

    def __init__(self, name: str, parents: Mapping[str, int], variable: str, dim: int, density: str, trunk: Trunk,
                 seed: int, wide_start: bool = False):
        super().__init__(name=name)
        make = _Layers(trunk, f"{name}/{seed}")
        spec = densities.DENSITIES[density]
        convolutional = bool(trunk.filters)
        self.pixels = make.encoder() if convolutional and "x" in parents else None
        sizes = dict(parents, x=math.prod(make.coarse_shape)) if self.pixels else dict(parents)
        first = trunk.hidden_units[0]
        stddev = _glorot(sum(sizes.values()), first)
        self.parts = {p: make.part(p, n, first, stddev) for p, n in sizes.items()}
        self.first_bias = self.add_weight("first_bias", (first,), initializer=make.normal(BIAS_STDDEV))
        self.hidden = [make.dense(n, fan_in, f"hidden_{i}") for i, (fan_in, n)
                       in enumerate(itertools.pairwise(trunk.hidden_units), 1)]
        self.noise = trunk.noise
        self.norms = [make.normalization() for _ in trunk.hidden_units]
        self.last = (make.decoder(spec.parameters_per_unit) if convolutional and variable == "x" else
                     make.dense(dim * spec.parameters_per_unit, trunk.hidden_units[-1], "parameters",
                                None if wide_start else spec.initial_stddev))
        self.density = tfp.layers.DistributionLambda(
            spec.function, convert_to_tensor_fn=tfd.Distribution.mean, name=density)

    def call(self, parents: Mapping[str, tf.Tensor], training: bool = False, update: bool = False,
             noise_seed: tf.Tensor | None = None) -> tfd.Distribution:
        """Returns the distribution of the variable given its parents.

        Args:
          parents: x [1,B,1,D], a [K,B,1,A], z [K,B,S,Z] in float32, y [K,B,S] class indices; axes of size 1 broadcast.
          training: whether batch normalisation uses the statistics of this batch.
          update: whether it then adds them to its moving averages, which evaluation uses.
          noise_seed: int32 [2], of the noise between the layers; there is none without it.

        Returns:
          A distribution whose batch shape is the broadcast [K,B,S] of the parents.
        """
        parts = [self._part_of(p, parents[p], training, update) for p in self.parts]
        h = sum(parts, tf.cast(self.first_bias, parts[0].dtype))
        h = tf.nn.relu(self._noisy(_applied(self.norms[0], h, training, update), 0, noise_seed))
        for number, (dense, norm) in enumerate(zip(self.hidden, self.norms[1:], strict=True), 1):
            h = tf.nn.relu(self._noisy(_applied(norm, dense(h), training, update), number, noise_seed))
        return self.density(tf.cast(_applied(self.last, h, training, update), tf.float32))

    def _noisy(self, h: tf.Tensor, layer: int, seed: tf.Tensor | None) -> tf.Tensor:
        if seed is None or not self.noise:
            return h
        return h + self.noise * tf.random.stateless_normal(tf.shape(h), seeds.fold(seed, layer), dtype=h.dtype)

    def _part_of(self, letter: str, value: tf.Tensor, training: bool, update: bool) -> tf.Tensor:
        if letter == "x" and self.pixels:
            value = self.pixels(value, training=training, update=update)
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

    def call(self, x: tf.Tensor, training: bool = False, update: bool = False) -> tf.Tensor:
        """Returns what the layers make of x; `training` and `update` as of a conditional."""
        rows = tf.reshape(x, (-1, *self.shape))
        for layer in self.chain:
            rows = _applied(layer, rows, training, update)
        if self.crop:
            height, width = self.crop
            channels = rows.shape[-1] // self.planes
            rows = tf.reshape(rows[:, :height, :width], (-1, height, width, self.planes, channels))
            rows = tf.transpose(rows, (0, 3, 1, 2, 4))
        size = math.prod(rows.shape[1:])
        result = tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [size]], 0))
        return tf.ensure_shape(result, [*x.shape[:-1], size])


def _applied(layer: layers.Layer, h: tf.Tensor, training: bool, update: bool) -> tf.Tensor:
    if isinstance(layer, BatchNormalization | OverImages):
        return layer(h, training=training, update=update)
    return layer(h, training=training)


class _Layers:
    """Makes the layers of one conditional: each with a seed of its own, in the types of its trunk."""

    def __init__(self, trunk: Trunk, key: str):
        self.trunk = trunk
        self.dtype = "mixed_bfloat16" if trunk.compute_dtype == "bfloat16" else trunk.compute_dtype
        self.seeds = itertools.count(zlib.crc32(key.encode()) % 2**30)
        if trunk.filters:
            stride = 2 ** len(trunk.filters)
            height, width, _ = trunk.image_shape
            self.coarse_shape = (-(-height // stride), -(-width // stride), trunk.filters[-1])

    def normal(self, stddev: float) -> tf_keras.initializers.Initializer:
        return tf_keras.initializers.RandomNormal(stddev=stddev, seed=next(self.seeds))

    def part(self, letter: str, fan_in: int, units: int, stddev: float) -> layers.Layer:
        """W_p of one parent, drawn as a slice of the undivided first layer would be."""
        if letter == "y":
            return layers.Embedding(fan_in, units, embeddings_initializer=self.normal(stddev), dtype=self.dtype,
                                    name="from_y")
        return precision.Dense(units, self.normal(stddev), dtype=self.dtype, name=f"from_{letter}")

    def dense(self, units: int, fan_in: int, name: str, stddev: float | None = None) -> precision.Dense:
        return precision.Dense(units, self.normal(stddev or _glorot(fan_in, units)), self.normal(BIAS_STDDEV),
                               dtype=self.dtype, name=name)

    def normalization(self) -> layers.Layer:
        return NORMALIZATIONS[self.trunk.normalization](dtype=self.dtype)

    def convolution(self, kind: type[layers.Layer], fan_in: int, filters: int) -> layers.Layer:
        return kind(filters, 5, strides=2, padding="same", dtype=self.dtype, bias_initializer=self.normal(BIAS_STDDEV),
                    kernel_initializer=self.normal(_glorot(25 * fan_in, 25 * filters)))

    def encoder(self) -> OverImages:
        """Convolutions of stride 2, normalised, from the pixels to a coarse grid."""
        chain = []
        for fan_in, filters in itertools.pairwise((self.trunk.image_shape[-1], *self.trunk.filters)):
            chain += [self.convolution(layers.Conv2D, fan_in, filters), self.normalization(), layers.ReLU()]
        return OverImages(self.trunk.image_shape, [*chain, layers.Flatten()], name="encoder")

    def decoder(self, planes: int) -> OverImages:
        """The way back: a coarse grid, transposed convolutions, `planes` parameters a pixel."""
        hidden, coarse = self.trunk.hidden_units[-1], self.coarse_shape
        chain = [self.dense(math.prod(coarse), hidden, "grid"), layers.ReLU(), layers.Reshape(coarse)]
        for fan_in, filters in itertools.pairwise((*self.trunk.filters[::-1], planes * self.trunk.image_shape[-1])):
            chain += [self.convolution(layers.Conv2DTranspose, fan_in, filters), self.normalization(), layers.ReLU()]
        return OverImages((hidden,), chain[:-2], crop=self.trunk.image_shape[:2], planes=planes, name="parameters")


def _glorot(fan_in: int, fan_out: int) -> float:
    """Standard deviation of Glorot's normal initialiser with the gain of the ReLU, sqrt(2)."""
    return math.sqrt(4 / (fan_in + fan_out))
