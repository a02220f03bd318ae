"""A Keras model per conditional: first layer split by parent, hidden layers, and a tfp distribution layer at the end.

The first layer is linear, so it splits by parent: W[x,a,y] = W_x x + W_a a + W_y[y]. Each part is computed at the
natural shape of its parent and added with broadcasting; y is a row look-up.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from adgm_tf.model import densities, seeds, trunks
from adgm_tf.model.phase import Phase

tfd = tfp.distributions


class Conditional(tf_keras.Model):
    """p(variable | parents) = density(W_out relu(... relu(sum_p W_p p + b) ...)).

    Args:
      name: such as q_z_given_axy.
      parents: size of each parent: units of a, x and z, number of classes of y.
      variable: the letter on the left of the bar.
      dim: size of that variable.
      density: a density, or a key of `densities.DENSITIES`.
      trunk: the layers between.
      seed: seed of the initial weights.
      wide_start: whether the parameters of the density start as wide as the hidden layers, not close to zero.
    """

    def __init__(self, name: str, parents: Mapping[str, int], variable: str, dim: int,
                 density: str | densities.Density, *, trunk: trunks.Trunk, seed: int, wide_start: bool = False):
        super().__init__(name=name)
        make = trunks.Layers(trunk, f"{name}/{seed}")
        spec = densities.DENSITIES[density] if isinstance(density, str) else density
        ends = trunks.TRUNKS[trunk.kind](make)
        self.pixels = ends.encoder() if ends and "x" in parents else None
        sizes = dict(parents, x=ends.encoded_dim) if self.pixels else dict(parents)
        first = trunk.hidden_units[0]
        stddev = trunks.glorot(sum(sizes.values()), first)
        self.parts = {p: make.part(p, n, first, stddev) for p, n in sizes.items()}
        self.first_bias = self.add_weight("first_bias", (first,), initializer=make.normal(trunks.BIAS_STDDEV))
        self.hidden = [make.dense(n, fan_in, f"hidden_{i}") for i, (fan_in, n)
                       in enumerate(itertools.pairwise(trunk.hidden_units), 1)]
        self.noise = trunk.noise
        self.norms = [make.normalization() for _ in trunk.hidden_units]
        self.last = (ends.decoder(spec.parameters_per_unit) if ends and variable == "x" else
                     make.dense(spec.num_parameters(dim), trunk.hidden_units[-1], "parameters",
                                None if wide_start else spec.initial_stddev))
        self.density = tfp.layers.DistributionLambda(
            spec.function, convert_to_tensor_fn=tfd.Distribution.mean, name=spec.name)

    def call(self, parents: Mapping[str, tf.Tensor], phase: Phase = Phase.EVALUATE,
             noise_seed: tf.Tensor | None = None) -> tfd.Distribution:
        """Returns the distribution of the variable given its parents.

        Args:
          parents: x [1,B,1,D], a [K,B,1,A], z [K,B,S,Z] in float32, y [K,B,S] class indices; axes of size 1 broadcast.
          phase: what batch normalisation does.
          noise_seed: int32 [2], of the noise between the layers; there is none without it.

        Returns:
          A distribution whose batch shape is the broadcast [K,B,S] of the parents.
        """
        parts = [self._part_of(p, parents[p], phase) for p in self.parts]
        h = sum(parts, tf.cast(self.first_bias, parts[0].dtype))
        leading, rows = tf.shape(h)[:-1], tf.reshape(h, [-1, h.shape[-1]])
        rows = tf.nn.relu(self._noisy(trunks.applied(self.norms[0], rows, phase), 0, noise_seed))
        for number, (dense, norm) in enumerate(zip(self.hidden, self.norms[1:], strict=True), 1):
            rows = tf.nn.relu(self._noisy(trunks.applied(norm, dense(rows), phase), number, noise_seed))
        parameters = tf.cast(trunks.applied(self.last, rows, phase), tf.float32)
        return self.density(tf.reshape(parameters, tf.concat([leading, parameters.shape[-1:]], 0)))

    def _noisy(self, h: tf.Tensor, layer: int, seed: tf.Tensor | None) -> tf.Tensor:
        if seed is None or not self.noise:
            return h
        return h + self.noise * tf.random.stateless_normal(tf.shape(h), seeds.fold(seed, layer), dtype=h.dtype)

    def _part_of(self, letter: str, value: tf.Tensor, phase: Phase) -> tf.Tensor:
        if letter == "x" and self.pixels:
            value = self.pixels(value, phase=phase)
        return self.parts[letter](value)
