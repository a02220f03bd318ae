"""The ladder network: a classifier with noise at every layer, and a decoder that takes the noise away again.

z_l = norm(W_l h_(l-1)) + noise,   h_l = relu(z_l + beta_l),   logits = gamma (z_L + beta_L)
u_l = norm(V_l zhat_(l+1)), u_L = norm(q(y|x)),   zhat_l = g(z_l, u_l)
loss = mean_labelled( C ) + sum_l weight_l mean_unlabelled( |clean z_l - norm(zhat_l)|^2 / n_l )

C is that of the noisy logits; clean z_l come from the same encoder without noise, and norm(zhat_l) uses its statistics.

Reference: Rasmus et al. 2015, arXiv:1507.02672.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float

from adgm_tf.baselines import perceptron
from adgm_tf.model import seeds
from adgm_tf.model.contract import Batch, ExampleSpec
from adgm_tf.model.phase import Phase
from adgm_tf.model.statistics import Moments
from adgm_tf.objectives import bounds, loss
from adgm_tf.objectives.loss import Term
from adgm_tf.options import ModelOptions, ObjectiveOptions

tfd = tfp.distributions

HIDDEN_UNITS = (1000, 500, 250, 250, 250)
NOISE_STDDEV = 0.3
DENOISING_WEIGHTS = (1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1)
# a_1 .. a_10 of the combinator: mu and v are zero at the start.
COMBINATOR_START = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Ladder(tf.Module):
    """Encoder, decoder and combinators, layers 0 (x) to L (classes).

    Args:
      sizes: its dimensions.
      seed: seed of the initial weights.
    """

    has_classes, is_generative = True, False

    def __init__(self, sizes: perceptron.LayerSizes, seed: int):
        super().__init__(name="ladder")
        self.sizes, self.input_dim = sizes, sizes.x_dim
        steps = list(itertools.pairwise(sizes.layers))
        self.encoders = [perceptron.kernel(below, above, seed, i) for i, (below, above) in enumerate(steps)]
        self.decoders = [perceptron.kernel(above, below, seed, len(steps) + i)
                         for i, (below, above) in enumerate(steps)]
        self.betas = [tf.Variable(tf.zeros([above])) for _, above in steps]
        self.gamma = tf.Variable(tf.ones([sizes.num_classes]))
        self.combinators = [tf.Variable(tf.repeat(tf.constant(COMBINATOR_START)[:, None], n, 1)) for n in sizes.layers]
        self.running = [perceptron.Running(above) for _, above in steps]

    def encode(self, x: Float[tf.Tensor, "B D"], norm: Callable[[int, tf.Tensor], tf.Tensor],
               noise: Callable[[int, tf.Tensor], tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """z_0 .. z_L and the logits.

        Args:
          x: examples [B,D].
          norm: normalises the product that enters layer l.
          noise: adds noise to z_l.
        """
        h = noise(0, x)
        z = [h]
        for layer, (weights, beta) in enumerate(zip(self.encoders, self.betas, strict=True), 1):
            z.append(noise(layer, norm(layer, perceptron.product(h, weights, self.sizes.compute_dtype))))
            h = tf.nn.relu(z[-1] + beta)
        return z, self.gamma * (z[-1] + self.betas[-1])

    def decode(self, z: list[tf.Tensor], logits: Float[tf.Tensor, "B C"]) -> list[tf.Tensor]:
        """zhat_0 .. zhat_L of noisy z_0 .. z_L."""
        above, found = tf.nn.softmax(logits), []
        for layer in reversed(range(len(z))):
            u = above if layer == len(z) - 1 else perceptron.product(above, self.decoders[layer],
                                                                     self.sizes.compute_dtype)
            above = combined(z[layer], perceptron.normalized(u, perceptron.moments_of(u)), self.combinators[layer])
            found.append(above)
        return found[::-1]

    def classify(self, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
        """q(y|x) of the path without noise, by the running statistics: probabilities [B,C]."""
        del num_samples, seed

        def norm(layer: int, h: tf.Tensor) -> tf.Tensor:
            return perceptron.normalized(h, self.running[layer - 1].moments())

        return tf.nn.softmax(self.encode(x, norm, _no_noise)[1])


def combined(z: Float[tf.Tensor, "B n"], u: Float[tf.Tensor, "B n"],
             a: Float[tf.Tensor, "10 n"] | tf.Variable) -> Float[tf.Tensor, "B n"]:
    """g(z, u) = (z - mu(u)) v(u) + mu(u), of each unit by itself.

    mu(u) = a_1 sigmoid(a_2 u + a_3) + a_4 u + a_5,  v(u) = a_6 sigmoid(a_7 u + a_8) + a_9 u + a_10
    """
    a = tf.unstack(a)
    mu, v = (s * tf.sigmoid(t * u + b) + c * u + d for s, t, b, c, d in (a[:5], a[5:]))
    return (z - mu) * v + mu


def build(options: ModelOptions, spec: ExampleSpec) -> Ladder:
    """Builds the network for examples of `spec`."""
    return Ladder(perceptron.layers_of(options, spec, HIDDEN_UNITS), options.seed)


def terms(model: Ladder, batch: Batch, options: ObjectiveOptions, seed: tf.Tensor, *,
          warmth: loss.Warmth = loss.WARM, phase: Phase = Phase.TRAIN) -> list[Term]:
    """The terms of the loss.

    Labelled and unlabelled examples are normalised apart. The decoder sees the unlabelled, or the labelled if there are
    no others; the statistics of their path without noise are those that the running ones follow.
    """
    del warmth
    L = batch.y.shape[0]
    of = "unlabelled" if batch.seen.shape[0] > L else "labelled"
    group = slice(L, None) if of == "unlabelled" else slice(0, L)
    noisy_z, noisy_logits = model.encode(batch.seen, lambda _, h: _normalized_apart(h, L), _noise(seed))
    moments = [Moments(tf.zeros([]), tf.ones([]))]

    def norm(layer: int, h: tf.Tensor) -> tf.Tensor:
        moments.append(perceptron.moments_of(h))
        if phase.moves_averages:
            model.running[layer - 1].update(moments[-1])
        return perceptron.normalized(h, moments[-1])

    clean_z, _ = model.encode(batch.seen[group], norm, _no_noise)
    decoded = model.decode([z[group] for z in noisy_z], noisy_logits[group])
    q_y = tfd.Categorical(logits=noisy_logits[None, :L])
    found = [Term("classification", bounds.classification(q_y, batch.y), "labelled", options.classification_weight)]
    for layer, (z, estimate, m) in enumerate(zip(clean_z, decoded, moments, strict=True)):
        distance = tf.math.squared_difference(z, perceptron.normalized(estimate, m))
        found.append(Term(f"{of}/denoising_{layer}", tf.reduce_mean(distance, -1), of, DENOISING_WEIGHTS[layer]))
    return found


def _noise(seed: tf.Tensor) -> Callable[[int, tf.Tensor], tf.Tensor]:
    def added(layer: int, z: tf.Tensor) -> tf.Tensor:
        return z + NOISE_STDDEV * tf.random.stateless_normal(tf.shape(z), seeds.fold(seed, seeds.Draw.NOISE, layer))

    return added


def _no_noise(layer: int, z: tf.Tensor) -> tf.Tensor:
    del layer
    return z


def _normalized_apart(h: tf.Tensor, count: int) -> tf.Tensor:
    """Normalises the first `count` rows and the others, each by their own statistics."""
    parts = [part for part in (h[:count], h[count:]) if part.shape[0]]
    return tf.concat([perceptron.normalized(part, perceptron.moments_of(part)) for part in parts], 0)
