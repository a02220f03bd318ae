"""Trunks: the layers between the parents of a conditional and its distribution layer, by name."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tf_keras
from tf_keras import layers

from adgm_tf.host import errors
from adgm_tf.model import precision, statistics
from adgm_tf.model.phase import Phase

BIAS_STDDEV = 1e-3


@dataclasses.dataclass(frozen=True)
class Trunk:
    """What lies between the parents and the distribution layer.

    Attributes:
      kind: a key of TRUNKS.
      hidden_units: units of each hidden layer.
      normalization: none, layer or batch.
      filters: convolutions between the pixels of x and the hidden layers of a convolutional trunk.
      image_shape: [H, W, channels] of x, where x are images.
      compute_dtype: type of the matrix products and of the activations between them; parameters of densities and
        weights are float32.
      noise: standard deviation of Gaussian noise after each normalisation, where a call is given a seed for it.
    """

    hidden_units: tuple[int, ...]
    kind: str = "perceptron"
    normalization: str = "none"
    filters: tuple[int, ...] = ()
    image_shape: tuple[int, ...] = ()
    compute_dtype: str = "float32"
    noise: float = 0.0


class Ends(NamedTuple):
    """What a trunk has at the two ends where x is, besides the hidden layers.

    Attributes:
      encoder: makes a layer from x [..., D] to [..., encoded_dim] before the first hidden layer.
      encoded_dim: units that it gives.
      decoder: n -> a layer from the last hidden layer to n D parameters of p(x|.), parameter by parameter.
    """

    encoder: Callable[[], layers.Layer]
    encoded_dim: int
    decoder: Callable[[int], layers.Layer]


class BatchNormalization(layers.BatchNormalization):
    """Keras's, of images or of rows [R,n], with a phase in which the moving averages stay as they are.

    Its statistics are those of all replicas within `statistics.of_all_replicas`. Of rows, where the fused kernel of
    images takes three times as long on a CPU, they are made of plain operations.
    """

    def call(self, h: tf.Tensor, phase: Phase = Phase.EVALUATE) -> tf.Tensor:
        """Returns h normalised by its own moments in training, by the moving averages otherwise."""
        if phase.training and (h.shape.rank == 2 or statistics.num_parts() > 1):
            return self._by_moments(h, phase)
        if phase is not Phase.PROBE:
            return super().call(h, training=phase.training)
        return tf.compat.v1.nn.fused_batch_norm(h, self.gamma, self.beta, epsilon=self.epsilon)[0]

    def _by_moments(self, h: tf.Tensor, phase: Phase) -> tf.Tensor:
        wide = tf.cast(h, tf.float32)
        mean, variance = statistics.moments(wide, list(range(h.shape.rank - 1)), tf.convert_to_tensor(self.moving_mean))
        if phase.moves_averages:
            # As in Keras's kernel: the moving variance is the unbiased one.
            count = tf.cast(tf.size(h) // h.shape[-1] * statistics.num_parts(), tf.float32)
            unbiased = variance * count / tf.maximum(count - 1, 1)
            for average, value in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
                average.assign_add((1 - self.momentum) * (tf.stop_gradient(value) - average))
        normalised = tf.nn.batch_normalization(wide, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(normalised, h.dtype)


NORMALIZATIONS = {
    "none": layers.Identity,
    "layer": functools.partial(layers.LayerNormalization, epsilon=1e-5),
    "batch": functools.partial(BatchNormalization, momentum=0.95, epsilon=1e-5),
}


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

    def call(self, x: tf.Tensor, phase: Phase = Phase.EVALUATE) -> tf.Tensor:
        """Returns what the layers make of x."""
        rows = tf.reshape(x, (-1, *self.shape))
        for layer in self.chain:
            rows = applied(layer, rows, phase)
        if self.crop:
            height, width = self.crop
            channels = rows.shape[-1] // self.planes
            rows = tf.reshape(rows[:, :height, :width], (-1, height, width, self.planes, channels))
            rows = tf.transpose(rows, (0, 3, 1, 2, 4))
        size = math.prod(rows.shape[1:])
        result = tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [size]], 0))
        return tf.ensure_shape(result, [*x.shape[:-1], size])


def applied(layer: layers.Layer, h: tf.Tensor, phase: Phase) -> tf.Tensor:
    """Calls a layer that knows phases, or one of Keras that knows training."""
    if isinstance(layer, BatchNormalization | OverImages):
        return layer(h, phase=phase)
    return layer(h, training=phase.training)


class Layers:
    """Makes the layers of one conditional: each with a seed of its own, in the types of its trunk."""

    def __init__(self, trunk: Trunk, key: str):
        self.trunk = trunk
        self.dtype = "mixed_bfloat16" if trunk.compute_dtype == "bfloat16" else trunk.compute_dtype
        self.seeds = itertools.count(zlib.crc32(key.encode()) % 2**30)

    def normal(self, stddev: float) -> tf_keras.initializers.Initializer:
        """An initialiser N(0, stddev^2) with the next seed."""
        return tf_keras.initializers.RandomNormal(stddev=stddev, seed=next(self.seeds))

    def part(self, letter: str, fan_in: int, units: int, stddev: float) -> layers.Layer:
        """W_p of one parent, drawn as a slice of the undivided first layer would be."""
        if letter == "y":
            return layers.Embedding(fan_in, units, embeddings_initializer=self.normal(stddev), dtype=self.dtype,
                                    name="from_y")
        return precision.Dense(units, self.normal(stddev), dtype=self.dtype, name=f"from_{letter}")

    def dense(self, units: int, fan_in: int, name: str, stddev: float | None = None) -> precision.Dense:
        """h W + b."""
        return precision.Dense(units, self.normal(stddev or glorot(fan_in, units)), self.normal(BIAS_STDDEV),
                               dtype=self.dtype, name=name)

    def normalization(self) -> layers.Layer:
        """The normalisation of the trunk."""
        return NORMALIZATIONS[self.trunk.normalization](dtype=self.dtype)

    def convolution(self, kind: type[layers.Layer], fan_in: int, filters: int) -> layers.Layer:
        """A convolution 5 x 5 of stride 2, or a transposed one."""
        return kind(filters, 5, strides=2, padding="same", dtype=self.dtype, bias_initializer=self.normal(BIAS_STDDEV),
                    kernel_initializer=self.normal(glorot(25 * fan_in, 25 * filters)))


def glorot(fan_in: int, fan_out: int) -> float:
    """Standard deviation of Glorot's normal initialiser with the gain of the ReLU, sqrt(2)."""
    return math.sqrt(4 / (fan_in + fan_out))


def perceptron(make: Layers) -> None:
    """Hidden layers alone."""
    del make


def convolutional(make: Layers) -> Ends:
    """Convolutions of stride 2, normalised, from the pixels to a coarse grid; transposed ones back to the pixels."""
    trunk = make.trunk
    height, width, channels = trunk.image_shape
    stride = 2 ** len(trunk.filters)
    coarse = (-(-height // stride), -(-width // stride), trunk.filters[-1])

    def encoder() -> OverImages:
        chain = []
        for fan_in, filters in itertools.pairwise((channels, *trunk.filters)):
            chain += [make.convolution(layers.Conv2D, fan_in, filters), make.normalization(), layers.ReLU()]
        return OverImages(trunk.image_shape, [*chain, layers.Flatten()], name="encoder")

    def decoder(planes: int) -> OverImages:
        hidden = trunk.hidden_units[-1]
        chain = [make.dense(math.prod(coarse), hidden, "grid"), layers.ReLU(), layers.Reshape(coarse)]
        for fan_in, filters in itertools.pairwise((*trunk.filters[::-1], planes * channels)):
            chain += [make.convolution(layers.Conv2DTranspose, fan_in, filters), make.normalization(), layers.ReLU()]
        return OverImages((hidden,), chain[:-2], crop=(height, width), planes=planes, name="parameters")

    return Ends(encoder, math.prod(coarse), decoder)


TRUNKS: dict[str, Callable[[Layers], Ends | None]] = {"perceptron": perceptron, "convolutional": convolutional}
BUILT_IN = frozenset(TRUNKS)


def register(name: str, ends: Callable[[Layers], Ends | None]) -> None:
    """Adds a trunk of one's own: a function of `Layers` that returns its ends.

    Raises:
      UserError: the name is taken.
    """
    if TRUNKS.get(name, ends) is not ends and name in BUILT_IN:
        raise errors.UserError(f"trunk={name}: is taken")
    TRUNKS[name] = ends
