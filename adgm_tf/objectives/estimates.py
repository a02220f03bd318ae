"""What a trained model is measured by: bound, log-likelihood, and classes by q(y|a,x) or by the bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float

from adgm_tf.model import seeds
from adgm_tf.model.engine import GenerativeModel
from adgm_tf.objectives import bounds, class_sums

tfd = tfp.distributions


class Described(NamedTuple):
    """What p(x|.) describes [B,D], where it is not what q sees, and 1 where a unit of it is known [B,D]."""

    x: tf.Tensor | None = None
    observed: tf.Tensor | None = None


AS_SEEN = Described()


def unlabelled_bound_of(model: GenerativeModel, seen: Float[tf.Tensor, "B S"], num_samples: int, seed: tf.Tensor, *,
                        described: Described = AS_SEEN, shared_noise: bool = False) -> Float[tf.Tensor, " B"]:
    """-U(x) [B] with every class and fresh samples, nats: the bound by which runs are compared.

    Where features stand before the model they are drawn, as in training: at their means the bound would be another's.
    With `shared_noise` the examples share theirs, so that no answer depends on the rest of the batch.
    """
    seen, x = _observed(model, seen, described, seeds.fold(seed, seeds.Draw.FEATURES), shared_noise=shared_noise)
    auxiliary = model.sample_auxiliary(seen, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY),
                                       shared_noise=shared_noise)
    q_y = model.q_y(seen, auxiliary.value) if model.has_classes else None
    classes, entropy = class_sums.class_set(q_y, class_sums.exact, 0, seed)
    terms = model.terms(x, classes.y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT), shared_noise=shared_noise,
                        seen=seen, observed=described.observed)
    return bounds.unlabelled_bound(terms, classes, entropy)


def _observed(model: GenerativeModel, seen: tf.Tensor, described: Described, seed: tf.Tensor | None = None, *,
              shared_noise: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """What q sees and what p describes: features of the examples, or the examples."""
    seen = model.observe(seen, seed, shared_noise=shared_noise)
    return seen, seen if described.x is None else described.x


def log_likelihood_of(model: GenerativeModel, seen: Float[tf.Tensor, "B S"], num_samples: int, seed: tf.Tensor, *,
                      described: Described = AS_SEEN) -> Float[tf.Tensor, " B"]:
    """log p(x) ~ logsumexp_{K,y} log_weight(x, y, a_k) - log K [B], nats: below it in the mean, exact as K grows."""
    seen, x = _observed(model, seen, described, seeds.fold(seed, seeds.Draw.FEATURES))
    y = tf.range(model.sizes.num_classes)[None, None, :] if model.has_classes else None
    auxiliary = model.sample_auxiliary(seen, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY))
    log_weight = model.log_weight(x, y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT), seen=seen,
                                  observed=described.observed)
    return tf.reduce_logsumexp(log_weight, [0, 2]) - math.log(num_samples)


def classify_by_q_y(model: tf.Module, seen: Float[tf.Tensor, "B S"], num_samples: int, seed: tf.Tensor, *,
                    described: Described = AS_SEEN) -> Float[tf.Tensor, "B C"]:
    """mean_K q(y|a_k,x): probabilities [B,C]."""
    del described
    return model.classify(seen, num_samples, seed)


def log_joint_of(model: GenerativeModel, seen: Float[tf.Tensor, "B S"], num_samples: int, seed: tf.Tensor, *,
                 described: Described = AS_SEEN) -> Float[tf.Tensor, "B C"]:
    """logsumexp_K log_weight(x, y, a_k) - log K, which estimates log p(x,y), [B,C] nats.

    The noise is shared by the examples, so that an answer does not depend on the rest of the batch.
    """
    seen, x = _observed(model, seen, described)
    y = tf.range(model.sizes.num_classes)[None, None, :]
    auxiliary = model.sample_auxiliary(seen, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY), shared_noise=True)
    log_weight = model.log_weight(x, y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT), shared_noise=True, seen=seen,
                                  observed=described.observed)
    return tf.reduce_logsumexp(log_weight, 0) - math.log(num_samples)


def classify_by_bound(model: GenerativeModel, seen: Float[tf.Tensor, "B S"], num_samples: int, seed: tf.Tensor, *,
                      described: Described = AS_SEEN) -> Float[tf.Tensor, "B C"]:
    """softmax_y of the estimate of log p(x,y): probabilities [B,C]."""
    return tf.nn.softmax(log_joint_of(model, seen, num_samples, seed, described=described))


def mean_of_blocks(probs: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """The mean over all samples of means over blocks of `sizes` samples."""
    return np.average(probs, axis=0, weights=sizes).astype(probs[0].dtype)


def log_mean_of_blocks(log_means: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """log of the mean over all samples, of the logarithms of means over blocks of `sizes` samples."""
    weights = np.log(np.asarray(sizes) / np.sum(sizes)).reshape(-1, *[1] * log_means[0].ndim)
    return np.logaddexp.reduce(np.stack(log_means).astype(np.float64) + weights, 0)


CLASSIFY_BY = {"q_y": classify_by_q_y, "bound": classify_by_bound}
