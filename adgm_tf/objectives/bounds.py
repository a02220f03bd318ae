"""The bounds -L and -U, importance weighted too, and the classification term: pure functions of log-weights."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float, Int

from adgm_tf.model.contract import Terms
from adgm_tf.objectives import class_sums

tfd = tfp.distributions


def aggregate(log_weight: Float[tf.Tensor, "K B"], num_importance_samples: int) -> Float[tf.Tensor, " B"]:
    """mean over K/I groups of (logsumexp over the I of a group - log I); with I = 1 the ELBO, mean_K.

    Reference: Burda et al. 2015, arXiv:1509.00519.
    """
    groups = tf.reshape(log_weight, [-1, num_importance_samples, tf.shape(log_weight)[-1]])
    return tf.reduce_mean(tf.reduce_logsumexp(groups, 1) - math.log(num_importance_samples), 0)


def mixed_over_examples(terms: Terms) -> Terms:
    """In the place of sample i of example j, sample m mod K of example m // K, m = i B + j: [K,B,S] of [K,B,S].

    So the mean over K, by which q(y|a,x) of example j learns, is one over K other examples of the batch; with one
    sample nothing changes. An ablation: the reshape of the unlabelled bound in the authors' code of 2015.
    """
    shape = tf.shape(terms.log_weight())

    def mixed(term):
        return tf.reshape(tf.transpose(tf.broadcast_to(term, shape), [1, 0, 2]), shape)

    return Terms(*map(mixed, terms))


def labelled_bound(terms: Terms, num_importance_samples: int = 1,
                   kl_weight: tf.Tensor | float = 1.0) -> Float[tf.Tensor, " B"]:
    """-L(x,y) = mean_K log_weight(x, y, a_k) [B], nats; `terms` are those of S = 1, the true class."""
    return aggregate(terms.log_weight(kl_weight)[..., 0], num_importance_samples)


def unlabelled_bound(terms: Terms, classes: class_sums.ClassSet, entropy: Float[tf.Tensor, "#K #B"],
                     num_importance_samples: int = 1, kl_weight: tf.Tensor | float = 1.0) -> Float[tf.Tensor, " B"]:
    """-U(x) = mean_K sum_y q(y|a_k,x) [ log_weight(x, y, a_k) - log q(y|a_k,x) ] [B], nats.

    Args:
      terms: those of the classes of the set.
      classes: what stands for the sum over y.
      entropy: H(q(y|a_k,x)), class_sums.exact for every estimator of the sum.
      num_importance_samples: I, how many samples stand inside the logarithm.
      kl_weight: weight of the KL terms, for the warm-up.

    Returns:
      The bound of each example.
    """
    expected = class_sums.class_expectation(terms.log_weight(kl_weight), classes)
    return aggregate(expected + entropy, num_importance_samples)


def classification(q_y: tfd.Categorical, y: Int[tf.Tensor, " B"]) -> Float[tf.Tensor, " B"]:
    """C(x,y) = mean_K -log q(y|a_k,x) [B], nats."""
    return -tf.reduce_mean(q_y.log_prob(y[None, :]), 0)
