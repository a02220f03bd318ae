"""Bounds, class-sum estimators, the classification and the consistency term: pure functions of the contract."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float, Int

from adgm_tf import seeds
from adgm_tf.contract import Auxiliary, Terms
from adgm_tf.model import GenerativeModel

tfd = tfp.distributions

POWER_ITERATION_STEP = 1.0
_RECORDED = ("reconstruction", "kl_z", "kl_a")


@runtime_checkable
class Classifier(Protocol):
    """The part of the contract that classification and consistency see."""

    def sample_auxiliary(self, x: tf.Tensor, num_samples: int, seed: tf.Tensor, training: bool = False) -> Auxiliary:
        """a_k ~ q(a|x)."""

    def q_y(self, x: tf.Tensor, a: tf.Tensor, training: bool = False, *,
            noise_seed: tf.Tensor | None = None) -> tfd.Categorical:
        """q(y|a,x)."""


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


def exact(q_y: tfd.Categorical, top_k: int, seed: tf.Tensor, shared: bool = False) -> ClassSet:
    """Every class: S = C, weights q(y|a,x)."""
    del top_k, seed, shared
    probs = q_y.probs_parameter()
    return ClassSet(tf.range(probs.shape[-1])[None, None, :], probs, None)


def topk(q_y: tfd.Categorical, top_k: int, seed: tf.Tensor, shared: bool = False) -> ClassSet:
    """The k most probable classes under m exactly and one more, s, drawn from the rest: S = k + 1.

    sum_{c in top-k} q_c f_c + stop(t / m_s) q_s (f_s - stop(b)) + r stop(b)
    r = 1 - sum_{c in top-k} q_c,  t = 1 - sum_{c in top-k} m_c

    m is q(y|a,x) itself, or, where the samples of a share their classes, its mean over them; then y is [1,B,S].

    Reference: Liu et al. 2019, arXiv:1810.04777, where m = q.
    """
    log_probs = tf.nn.log_softmax(q_y.logits_parameter())
    log_m = tf.stop_gradient(_log_mean(log_probs) if shared else log_probs)
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


def _log_mean(log_values: tf.Tensor) -> tf.Tensor:
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


def unlabelled_bound(terms: Terms, classes: ClassSet, entropy: Float[tf.Tensor, "#K #B"],
                     num_importance_samples: int = 1, kl_weight: tf.Tensor | float = 1.0) -> Float[tf.Tensor, " B"]:
    """-U(x) = mean_K sum_y q(y|a_k,x) [ log_weight(x, y, a_k) - log q(y|a_k,x) ] [B], nats.

    Args:
      terms: those of the classes of the set.
      classes: what stands for the sum over y.
      entropy: H(q(y|a_k,x)), exact for every estimator of the sum.
      num_importance_samples: I, how many samples stand inside the logarithm.
      kl_weight: weight of the KL terms, for the warm-up.

    Returns:
      The bound of each example.
    """
    expected = class_expectation(terms.log_weight(kl_weight), classes)
    return aggregate(expected + entropy, num_importance_samples)


def classification(q_y: tfd.Categorical, y: Int[tf.Tensor, " B"]) -> Float[tf.Tensor, " B"]:
    """C(x,y) = mean_K -log q(y|a_k,x) [B], nats."""
    return -tf.reduce_mean(q_y.log_prob(y[None, :]), 0)


class Noise(NamedTuple):
    """How q(y|a,x) is asked again: K samples of a and the noise between its layers by the same seeds.

    Attributes:
      num_samples: K.
      auxiliary_seed: the seed that drew a.
      hidden_seed: the seed of the noise between the layers; None where there is none.
      training: whether batch normalisation uses the statistics of this batch.
    """

    num_samples: int
    auxiliary_seed: tf.Tensor
    hidden_seed: tf.Tensor | None = None
    training: bool = False

    def answer(self, model: Classifier, x: Float[tf.Tensor, "B D"]) -> tfd.Categorical:
        """q(y|a,x), batch [K,B], at another x of the same shape."""
        a = model.sample_auxiliary(x, self.num_samples, self.auxiliary_seed, self.training).value
        return model.q_y(x, a, self.training, noise_seed=self.hidden_seed)


def virtual_adversarial(model: Classifier, x: Float[tf.Tensor, "B D"], target: tfd.Categorical, noise: Noise,
                        seed: tf.Tensor, *, radius: float) -> Float[tf.Tensor, " B"]:
    """mean_K KL( stop(target) || q(y|a',x+r) ), |r| = radius the virtual adversarial direction [B], nats.

    r follows the gradient of the same divergence at a small random step: one power iteration.

    Args:
      model: sees x + r with the same noise of a.
      x: examples [B,D].
      target: q(y|a,x) of the same x, batch [K,B].
      noise: what drew a.
      seed: seed of the random step.
      radius: length of r in units of x.

    Reference: Miyato et al. 2015, arXiv:1507.00677.
    """
    fixed = tfd.Categorical(logits=tf.stop_gradient(target.logits_parameter()))

    def divergence(r):
        return tf.reduce_mean(tfd.kl_divergence(fixed, noise.answer(model, x + r)), 0)

    step = POWER_ITERATION_STEP * _unit(tf.random.stateless_normal(tf.shape(x), seed))
    with tf.GradientTape() as tape:
        tape.watch(step)
        distance = tf.reduce_sum(divergence(step))
    return divergence(radius * _unit(tf.stop_gradient(tape.gradient(distance, step))))


def interpolation(model: Classifier, x: Float[tf.Tensor, "B D"], target: tfd.Categorical, noise: Noise,
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
    log qbar is held fixed: its gradient adds up to 0. Each replica has the qbar of its own examples.

    Reference: Krause et al. 2010, *Discriminative Clustering by Regularized Information Maximization*.
    """
    probs = tf.reduce_mean(q_y.probs_parameter(), 0)
    share = tf.maximum(tf.reduce_mean(probs, 0), np.finfo(np.float32).tiny)
    return tf.reduce_sum(probs * tf.stop_gradient(tf.math.log(share) - log_prior), -1)


def _unit(v: tf.Tensor) -> tf.Tensor:
    """Rows of length 1; rows of zeros stay zeros."""
    v = v / (tf.reduce_max(tf.abs(v), -1, keepdims=True) + 1e-30)
    return v * tf.math.rsqrt(tf.reduce_sum(v * v, -1, keepdims=True) + 1e-12)


def unlabelled_bound_of(model: GenerativeModel, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor,
                        shared_noise: bool = False) -> Float[tf.Tensor, " B"]:
    """-U(x) [B] with every class and fresh samples, nats: the bound by which runs are compared.

    Where features stand before the model they are drawn, as in training: at their means the bound would be another's.
    With `shared_noise` the examples share theirs, so that no answer depends on the rest of the batch.
    """
    x = model.observe(x, seeds.fold(seed, seeds.Draw.FEATURES), shared_noise)
    auxiliary = model.sample_auxiliary(x, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY),
                                       shared_noise=shared_noise)
    q_y = model.q_y(x, auxiliary.value) if model.has_classes else None
    classes, entropy = _classes(q_y, exact, 0, seed)
    terms = model.terms(x, classes.y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT), shared_noise=shared_noise)
    return unlabelled_bound(terms, classes, entropy)


def log_likelihood_of(model: GenerativeModel, x: Float[tf.Tensor, "B D"], num_samples: int,
                      seed: tf.Tensor) -> Float[tf.Tensor, " B"]:
    """log p(x) ~ logsumexp_{K,y} log_weight(x, y, a_k) - log K [B], nats: below it in the mean, exact as K grows."""
    x = model.observe(x, seeds.fold(seed, seeds.Draw.FEATURES))
    y = tf.range(model.sizes.num_classes)[None, None, :] if model.has_classes else None
    auxiliary = model.sample_auxiliary(x, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY))
    log_weight = model.log_weight(x, y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT))
    return tf.reduce_logsumexp(log_weight, [0, 2]) - math.log(num_samples)


def classify_by_q_y(model: tf.Module, x: Float[tf.Tensor, "B D"], num_samples: int,
                    seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
    """mean_K q(y|a_k,x): probabilities [B,C]."""
    return model.classify(x, num_samples, seed)


def log_joint_of(model: GenerativeModel, x: Float[tf.Tensor, "B D"], num_samples: int,
                 seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
    """logsumexp_K log_weight(x, y, a_k) - log K, which estimates log p(x,y), [B,C] nats.

    The noise is shared by the examples, so that an answer does not depend on the rest of the batch.
    """
    x, y = model.observe(x), tf.range(model.sizes.num_classes)[None, None, :]
    auxiliary = model.sample_auxiliary(x, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY), shared_noise=True)
    log_weight = model.log_weight(x, y, auxiliary, seeds.fold(seed, seeds.Draw.LATENT), shared_noise=True)
    return tf.reduce_logsumexp(log_weight, 0) - math.log(num_samples)


def classify_by_bound(model: GenerativeModel, x: Float[tf.Tensor, "B D"], num_samples: int,
                      seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
    """softmax_y of the estimate of log p(x,y): probabilities [B,C]."""
    return tf.nn.softmax(log_joint_of(model, x, num_samples, seed))


def mean_of_blocks(probs: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """The mean over all samples of means over blocks of `sizes` samples."""
    return np.average(probs, axis=0, weights=sizes).astype(probs[0].dtype)


def log_mean_of_blocks(log_means: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """log of the mean over all samples, of the logarithms of means over blocks of `sizes` samples."""
    weights = np.log(np.asarray(sizes) / np.sum(sizes)).reshape(-1, *[1] * log_means[0].ndim)
    return np.logaddexp.reduce(np.stack(log_means).astype(np.float64) + weights, 0)


CLASSIFIERS = {"q_y": classify_by_q_y, "bound": classify_by_bound}


@dataclasses.dataclass(frozen=True)
class Objective:
    """What the loss is made of; the fields are those of `Config`, `classification_weight` is alpha."""

    num_samples: int
    num_importance_samples: int
    share_latent: bool
    class_sum: str
    top_k: int
    classification_weight: float
    consistency: str
    consistency_weight: float
    consistency_radius: float
    entropy_weight: float
    balance_weight: float
    input_noise: float
    mix_examples: bool
    consistency_target: str
    interpolation_weight: float

    def loss(self, report: Mapping[str, tf.Tensor], consistency_warmth: tf.Tensor | float = 1.0) -> tf.Tensor:
        """J = mean_labelled(L + alpha C) + mean_unlabelled(U) + warmth (weight mean(consistency) + ...).

        In the place of the dots, interpolation_weight mean(interpolation), entropy_weight
        mean_unlabelled(H(q(y|a,x))) and balance_weight KL( mean_unlabelled(q(y|a,x)) || p(y) ). The means are those in
        `report`.
        """
        weights = {"labelled/bound": -1.0, "classification": self.classification_weight, "unlabelled/bound": -1.0,
                   "consistency": consistency_warmth * self.consistency_weight,
                   "interpolation": consistency_warmth * self.interpolation_weight,
                   "unlabelled/entropy": consistency_warmth * self.entropy_weight,
                   "unlabelled/balance": consistency_warmth * self.balance_weight}
        return tf.add_n([weight * report[k] for k, weight in weights.items() if k in report])


def per_example(model: GenerativeModel, x_labelled: Float[tf.Tensor, "L D"], y: Int[tf.Tensor, " L"],
                x_unlabelled: Float[tf.Tensor, "U D"], objective: Objective, seed: tf.Tensor,
                kl_weight: tf.Tensor | float = 1.0, training: bool = True) -> dict[str, tf.Tensor]:
    """Every term of the loss for every example: {name: [L], [U] or [L+U]}, nats.

    q(a|x) and q(y|a,x) see the labelled and the unlabelled examples in one product; either may be none (L or U = 0).
    With `input_noise`, q(a|x), q(y|a,x) and q(z|.) see x + noise, and p describes x: still a bound, as any q gives one.
    The moving averages of batch normalisation follow that product, and where the two are apart the unlabelled examples,
    or the labelled if there are no others; x + r of the consistency term leaves them alone.
    """
    x, L, U = tf.concat([x_labelled, x_unlabelled], 0), x_labelled.shape[0], x_unlabelled.shape[0]
    auxiliary_seed, latent_seed = (seeds.fold(seed, d) for d in (seeds.Draw.AUXILIARY, seeds.Draw.LATENT))
    seen = _with_noise(x, objective.input_noise, seeds.fold(seed, seeds.Draw.NOISE))
    total = objective.num_samples * objective.num_importance_samples
    auxiliary = model.sample_auxiliary(seen, total, auxiliary_seed, training, update=training)
    if objective.share_latent:
        auxiliary = auxiliary._replace(num_samples=1)
    noise = Noise(total, auxiliary_seed, seeds.fold(seed, seeds.Draw.HIDDEN_NOISE) if training else None, training)
    logits = None
    if model.has_classes:
        logits = model.q_y(seen, auxiliary.value, training, training, noise.hidden_seed).logits_parameter()
    terms = {}
    if L:
        of_labelled = model.terms(x_labelled, y[None, :, None], _rows(auxiliary, slice(0, L)),
                                  seeds.fold(latent_seed, 0), training, update=training and not U, seen=seen[:L])
        terms |= _named("labelled", of_labelled, tf.ones([1, 1, 1]))
        terms["labelled/bound"] = labelled_bound(of_labelled, objective.num_importance_samples, kl_weight)
        terms["classification"] = classification(tfd.Categorical(logits=logits[:, :L]), y)
    if U:
        q_y = tfd.Categorical(logits=logits[:, L:]) if model.has_classes else None
        q_y_of_bound = _averaged(q_y) if objective.mix_examples else q_y
        classes, entropy = _classes(q_y_of_bound, CLASS_SUMS[objective.class_sum], objective.top_k,
                                    seeds.fold(seed, seeds.Draw.CLASS), objective.share_latent)
        of_unlabelled = model.terms(x_unlabelled, classes.y, _rows(auxiliary, slice(L, None)),
                                    seeds.fold(latent_seed, 1), training, update=training, seen=seen[L:])
        terms |= _named("unlabelled", of_unlabelled, classes.weights)
        if objective.mix_examples:
            of_unlabelled = mixed_over_examples(of_unlabelled)
        terms["unlabelled/entropy"] = tf.reduce_mean(entropy, 0)
        terms["unlabelled/bound"] = unlabelled_bound(of_unlabelled, classes, entropy,
                                                     objective.num_importance_samples, kl_weight)
        if q_y is not None:
            terms["unlabelled/balance"] = class_balance(q_y, model.log_prior)
    if model.has_classes:
        terms |= _consistency_terms(model, seen, auxiliary, logits, noise, objective, seed)
    return terms


def _consistency_terms(model: GenerativeModel, seen: tf.Tensor, auxiliary: Auxiliary, logits: tf.Tensor, noise: Noise,
                       objective: Objective, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The terms that hold the answer at a changed x to that at x, [L+U] each."""
    target, terms = tfd.Categorical(logits=logits), {}
    if objective.consistency_target != "same" and (objective.consistency == "vat" or objective.interpolation_weight):
        target = model.q_y(seen, auxiliary.value, noise.training, teacher=objective.consistency_target == "teacher")
    if objective.consistency == "vat":
        terms["consistency"] = virtual_adversarial(model, seen, target, noise, seeds.fold(seed, seeds.Draw.DIRECTION),
                                                   radius=objective.consistency_radius)
    if objective.interpolation_weight:
        terms["interpolation"] = interpolation(model, seen, target, noise, seeds.fold(seed, seeds.Draw.INTERPOLATION))
    return terms


def term_names(model: GenerativeModel, labelled: int, unlabelled: int, objective: Objective) -> tuple[str, ...]:
    """Returns the names that `per_example` reports for batches of those sizes."""
    names = [f"labelled/{n}" for n in ("bound", *_RECORDED)] + ["classification"] if labelled else []
    if unlabelled:
        names += [f"unlabelled/{n}" for n in ("bound", *_RECORDED, "entropy", *(["balance"] * model.has_classes))]
    if objective.consistency == "vat" and model.has_classes:
        names.append("consistency")
    if objective.interpolation_weight and model.has_classes:
        names.append("interpolation")
    return tuple(names)


def _classes(q_y: tfd.Categorical | None, class_sum: Callable, top_k: int, seed: tf.Tensor,
             shared: bool = False) -> tuple[ClassSet, tf.Tensor]:
    """Returns the class set and the entropy of q(y|a,x) [K,B]; without y, one slot and no entropy."""
    if q_y is None:
        return ClassSet(None, tf.ones([1, 1, 1]), None), tf.zeros([1, 1])
    return class_sum(q_y, top_k, seed, shared), q_y.entropy()


def _averaged(q_y: tfd.Categorical) -> tfd.Categorical:
    """mean_K q(y|a_k,x), batch [1,B]."""
    return tfd.Categorical(logits=_log_mean(tf.nn.log_softmax(q_y.logits_parameter())))


def _with_noise(x: tf.Tensor, stddev: float, seed: tf.Tensor) -> tf.Tensor:
    return x + stddev * tf.random.stateless_normal(tf.shape(x), seed) if stddev else x


def _rows(auxiliary: Auxiliary, rows: slice) -> Auxiliary:
    return Auxiliary(auxiliary.value[:, rows], auxiliary.log_q[:, rows], auxiliary.num_samples)


def _named(prefix: str, terms: Terms, weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """The expected terms of each example, for the record only."""
    def expected(term):
        return tf.stop_gradient(tf.reduce_mean(tf.reduce_sum(weights * term, -1), 0))

    return {f"{prefix}/{name}": expected(getattr(terms, name)) for name in _RECORDED}
