"""Terms on q(y|a,x) that need no label: consistency, interpolation, invariance, balance of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float

from adgm_tf.model import seeds, statistics
from adgm_tf.model.contract import Auxiliary
from adgm_tf.model.phase import Phase

tfd = tfp.distributions


POWER_ITERATION_STEP = 1.0


@runtime_checkable
class HasClasses(Protocol):
    """The part of the contract that classification and consistency see."""

    def sample_auxiliary(self, x: tf.Tensor, num_samples: int, seed: tf.Tensor,
                         phase: Phase = Phase.EVALUATE) -> Auxiliary:
        """a_k ~ q(a|x)."""

    def q_y(self, x: tf.Tensor, a: tf.Tensor, phase: Phase = Phase.EVALUATE, *,
            noise_seed: tf.Tensor | None = None) -> tfd.Categorical:
        """q(y|a,x)."""


class Noise(NamedTuple):
    """How q(y|a,x) is asked again: K samples of a and the noise between its layers by the same seeds.

    Attributes:
      num_samples: K.
      auxiliary_seed: the seed that drew a.
      hidden_seed: the seed of the noise between the layers; None where there is none.
      phase: what batch normalisation does.
    """

    num_samples: int
    auxiliary_seed: tf.Tensor
    hidden_seed: tf.Tensor | None = None
    phase: Phase = Phase.EVALUATE

    def answer(self, model: HasClasses, x: Float[tf.Tensor, "B D"]) -> tfd.Categorical:
        """q(y|a,x), batch [K,B], at another x of the same shape."""
        a = model.sample_auxiliary(x, self.num_samples, self.auxiliary_seed, self.phase).value
        return model.q_y(x, a, self.phase, noise_seed=self.hidden_seed)


def virtual_adversarial(model: HasClasses, x: Float[tf.Tensor, "B D"], target: tfd.Categorical, noise: Noise,
                        seed: tf.Tensor, *, radius: tf.Tensor | float) -> Float[tf.Tensor, " B"]:
    """mean_K KL( stop(target) || q(y|a',x+r) ), |r| = radius the virtual adversarial direction [B], nats.

    r follows the gradient of the same divergence at a random step of length 1, in units of x: one power iteration.

    Args:
      model: sees x + r with the same noise of a.
      x: examples [B,D].
      target: q(y|a,x) of the same x, batch [K,B].
      noise: what drew a.
      seed: seed of the random step.
      radius: length of r in units of x.

    Reference: Miyato et al. 2015, arXiv:1507.00677.
    """
    def divergence(r):
        return invariance(model, x + r, target, noise)

    step = POWER_ITERATION_STEP * _unit(tf.random.stateless_normal(tf.shape(x), seed))
    with tf.GradientTape() as tape:
        tape.watch(step)
        distance = tf.reduce_sum(divergence(step))
    return divergence(radius * _unit(tf.stop_gradient(tape.gradient(distance, step))))


def invariance(model: HasClasses, again: Float[tf.Tensor, "B D"], target: tfd.Categorical,
               noise: Noise) -> Float[tf.Tensor, " B"]:
    """mean_K KL( stop(q(y|a,x)) || q(y|a',x') ) [B], nats; x' the example of x after another draw of its changes.

    Args:
      model: sees x' with the same noise of a.
      again: x' [B,D].
      target: q(y|a,x), batch [K,B].
      noise: what drew a.

    Reference: Sajjadi et al. 2016, arXiv:1606.04586, with the divergence of classes in the place of the squares.
    """
    fixed = tfd.Categorical(logits=tf.stop_gradient(target.logits_parameter()))
    return tf.reduce_mean(tfd.kl_divergence(fixed, noise.answer(model, again)), 0)


def interpolation(model: HasClasses, x: Float[tf.Tensor, "B D"], target: tfd.Categorical, noise: Noise,
                  seed: tf.Tensor) -> Float[tf.Tensor, " B"]:
    """mean_K KL( stop(u t(x) + (1 - u) t(x')) || q(y|a,u x + (1 - u) x') ) [B], nats; u uniform, x' of the same batch.

    Args:
      model: sees what lies between x and x'.
      x: examples [B,D].
      target: t, q(y|a,x) of the same x, batch [K,B].
      noise: what drew a.
      seed: of u and of the pairs.

    Reference: Verma et al. 2019, arXiv:1903.03825, with Beta(1, 1).
    """
    other = tf.argsort(tf.random.stateless_uniform(tf.shape(x)[:1], seeds.fold(seed, 0)))
    u = tf.random.stateless_uniform([tf.shape(x)[0], 1], seeds.fold(seed, 1))
    probs = tf.stop_gradient(target.probs_parameter())
    between = tfd.Categorical(probs=u * probs + (1 - u) * tf.gather(probs, other, axis=1))
    return tf.reduce_mean(tfd.kl_divergence(between, noise.answer(model, u * x + (1 - u) * tf.gather(x, other))), 0)


def class_balance(q_y: tfd.Categorical, log_prior: Sequence[float]) -> Float[tf.Tensor, " B"]:
    """sum_y q(y|x) log( qbar(y) / p(y) ) [B], nats, q and qbar the means of q(y|a,x) over K, and over K and B.

    The mean over the batch is KL( qbar(y) || p(y) ), 0 where the predictions share the classes out as the prior does.
    log qbar is held fixed: its gradient adds up to 0. Within `statistics.of_all_replicas` B is the batch of them all.

    Reference: Krause et al. 2010, *Discriminative Clustering by Regularized Information Maximization*.
    """
    probs = tf.reduce_mean(q_y.probs_parameter(), 0)
    share, = statistics.averaged(tf.reduce_mean(probs, 0))
    share = tf.maximum(share, np.finfo(np.float32).tiny)
    return tf.reduce_sum(probs * tf.stop_gradient(tf.math.log(share) - log_prior), -1)


def propagation(q_y: tfd.Categorical, f: Float[tf.Tensor, "U C"]) -> Float[tf.Tensor, " U"]:
    """-sum_y f(y|x) log q(y|x) [U], nats, q the mean of q(y|a,x) over K.

    Args:
      q_y: q(y|a,x), batch [K,U].
      f: what the labels say of the same examples along their neighbours, times how sure they are of it, by
        `data/neighbours.py: harmonic` and `certain`.

    Reference: Iscen et al. 2019, *Label Propagation for Deep Semi-supervised Learning*.
    """
    log_q = tf.reduce_logsumexp(tf.nn.log_softmax(q_y.logits_parameter()), 0) - np.log(q_y.batch_shape[0])
    return -tf.reduce_sum(f * log_q, -1)


def _unit(v: tf.Tensor) -> tf.Tensor:
    """Rows of length 1; rows of zeros stay zeros."""
    v = v / (tf.reduce_max(tf.abs(v), -1, keepdims=True) + 1e-30)
    return v * tf.math.rsqrt(tf.reduce_sum(v * v, -1, keepdims=True) + 1e-12)
