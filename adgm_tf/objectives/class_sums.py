"""Estimators of the sum over y: the classes that stand for it, and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float

tfd = tfp.distributions


class ClassSet(NamedTuple):
    """The classes that stand for the sum over y, and how: sum_y q_y f_y ~ sum_S weights f + residual stop(b).

    Attributes:
      y: class indices, broadcastable to [K,B,S]; None where the model has no y.
      weights: [K,B,S].
      residual: [K,B], zero on average, so that any b that does not depend on the drawn class leaves value and gradient
        unbiased; one near f lowers the variance, of the gradient alone where its value is zero too. None where nothing
        is drawn.
    """

    y: tf.Tensor | None
    weights: tf.Tensor
    residual: tf.Tensor | None


def exact(q_y: tfd.Categorical, top_k: int, seed: tf.Tensor, *, shared: bool = False) -> ClassSet:
    """Every class: S = C, weights q(y|a,x)."""
    del top_k, seed, shared
    probs = q_y.probs_parameter()
    return ClassSet(tf.range(probs.shape[-1])[None, None, :], probs, None)


def topk(q_y: tfd.Categorical, top_k: int, seed: tf.Tensor, *, shared: bool = False) -> ClassSet:
    """The k most probable classes under m exactly and one more, s, drawn from the rest: S = k + 1.

    sum_{c in top-k} q_c f_c + stop(t / m_s) q_s (f_s - stop(b)) + r stop(b)
    r = 1 - sum_{c in top-k} q_c,  t = 1 - sum_{c in top-k} m_c

    m is q(y|a,x) itself, or, where the samples of a share their classes, its mean over them; then y is [1,B,S].

    Reference: Liu et al. 2019, arXiv:1810.04777, where m = q.
    """
    log_probs = tf.nn.log_softmax(q_y.logits_parameter())
    log_m = tf.stop_gradient(log_mean(log_probs) if shared else log_probs)
    _, top = tf.math.top_k(log_m, top_k)
    is_top = tf.reduce_any(top[..., None] == tf.range(log_m.shape[-1]), -2)
    drawn = _draw_class(tf.where(is_top, -math.inf, log_m), seed)

    def outside(log_p):
        return tf.reduce_sum(tf.where(is_top, 0.0, tf.exp(log_p)), -1)

    y = tf.concat([top, drawn], -1)
    log_q = tf.gather(log_probs, tf.broadcast_to(y, [*tf.unstack(tf.shape(log_probs))[:2], top_k + 1]), batch_dims=2)
    log_m_drawn = tf.gather(log_m, drawn, batch_dims=2)
    drawn_weight = outside(log_m)[..., None] * tf.exp(log_q[..., -1:] - log_m_drawn)
    weights = tf.concat([tf.exp(log_q[..., :-1]), drawn_weight], -1)
    return ClassSet(y, weights, outside(log_probs) - drawn_weight[..., 0])


CLASS_SUMS = {"exact": exact, "topk": topk}


def log_mean(log_values: tf.Tensor) -> tf.Tensor:
    """log mean_K exp(v): [K,...] -> [1,...]."""
    return tf.reduce_logsumexp(log_values, 0, keepdims=True) - math.log(log_values.shape[0])


def _draw_class(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One class a row by the Gumbel-max rule: [K,B,C] -> [K,B,1]."""
    uniform = tf.random.stateless_uniform(tf.shape(logits), seed, minval=1e-20, maxval=1.0)
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), -1, output_type=tf.int32)[..., None]


def class_expectation(f: Float[tf.Tensor, "K B S"], classes: ClassSet) -> Float[tf.Tensor, "K B"]:
    """sum_y q(y|a,x) f(y), estimated over the classes of the set, b = the mean of f over all but the drawn class."""
    expected = tf.reduce_sum(classes.weights * f, -1)
    if classes.residual is None:
        return expected
    return expected + classes.residual * tf.stop_gradient(tf.reduce_mean(f[..., :-1], -1))


def class_set(q_y: tfd.Categorical | None, class_sum: Callable, top_k: int, seed: tf.Tensor,
             *, shared: bool = False) -> tuple[ClassSet, tf.Tensor]:
    """Returns the class set and the entropy of q(y|a,x) [K,B]; without y, one slot and no entropy."""
    if q_y is None:
        return ClassSet(None, tf.ones([1, 1, 1]), None), tf.zeros([1, 1])
    return class_sum(q_y, top_k, seed, shared=shared), q_y.entropy()


def averaged(q_y: tfd.Categorical) -> tfd.Categorical:
    """mean_K q(y|a_k,x), batch [1,B]."""
    return tfd.Categorical(logits=log_mean(tf.nn.log_softmax(q_y.logits_parameter())))
