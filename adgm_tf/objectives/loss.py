"""The loss: every term for every example, and what they add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float, Int

from adgm_tf.model import seeds
from adgm_tf.model.contract import Auxiliary, Terms
from adgm_tf.model.engine import GenerativeModel
from adgm_tf.objectives import bounds, class_sums, regularisers

tfd = tfp.distributions


_RECORDED = ("reconstruction", "kl_z", "kl_a")


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

        In the place of the dots, interpolation_weight mean(regularisers.interpolation), entropy_weight
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
    hidden_seed = seeds.fold(seed, seeds.Draw.HIDDEN_NOISE) if training else None
    noise = regularisers.Noise(total, auxiliary_seed, hidden_seed, training)
    logits = None
    if model.has_classes:
        logits = model.q_y(seen, auxiliary.value, training, training, noise.hidden_seed).logits_parameter()
    terms = {}
    if L:
        of_labelled = model.terms(x_labelled, y[None, :, None], _rows(auxiliary, slice(0, L)),
                                  seeds.fold(latent_seed, 0), training, update=training and not U, seen=seen[:L])
        terms |= _named("labelled", of_labelled, tf.ones([1, 1, 1]))
        terms["labelled/bound"] = bounds.labelled_bound(of_labelled, objective.num_importance_samples, kl_weight)
        terms["classification"] = bounds.classification(tfd.Categorical(logits=logits[:, :L]), y)
    if U:
        q_y = tfd.Categorical(logits=logits[:, L:]) if model.has_classes else None
        q_y_of_bound = class_sums.averaged(q_y) if objective.mix_examples else q_y
        class_sum = class_sums.CLASS_SUMS[objective.class_sum]
        classes, entropy = class_sums.class_set(q_y_of_bound, class_sum, objective.top_k,
                                                seeds.fold(seed, seeds.Draw.CLASS), objective.share_latent)
        of_unlabelled = model.terms(x_unlabelled, classes.y, _rows(auxiliary, slice(L, None)),
                                    seeds.fold(latent_seed, 1), training, update=training, seen=seen[L:])
        terms |= _named("unlabelled", of_unlabelled, classes.weights)
        if objective.mix_examples:
            of_unlabelled = bounds.mixed_over_examples(of_unlabelled)
        terms["unlabelled/entropy"] = tf.reduce_mean(entropy, 0)
        terms["unlabelled/bound"] = bounds.unlabelled_bound(of_unlabelled, classes, entropy,
                                                     objective.num_importance_samples, kl_weight)
        if q_y is not None:
            terms["unlabelled/balance"] = regularisers.class_balance(q_y, model.log_prior)
    if model.has_classes:
        terms |= _consistency_terms(model, seen, auxiliary, logits, noise, objective, seed)
    return terms


def _consistency_terms(model: GenerativeModel, seen: tf.Tensor, auxiliary: Auxiliary, logits: tf.Tensor,
                       noise: regularisers.Noise, objective: Objective, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The terms that hold the answer at a changed x to that at x, [L+U] each."""
    target, terms = tfd.Categorical(logits=logits), {}
    if objective.consistency_target != "same" and (objective.consistency == "vat" or objective.interpolation_weight):
        target = model.q_y(seen, auxiliary.value, noise.training, teacher=objective.consistency_target == "teacher")
    if objective.consistency == "vat":
        terms["consistency"] = regularisers.virtual_adversarial(
            model, seen, target, noise, seeds.fold(seed, seeds.Draw.DIRECTION), radius=objective.consistency_radius)
    if objective.interpolation_weight:
        terms["interpolation"] = regularisers.interpolation(model, seen, target, noise,
                                                            seeds.fold(seed, seeds.Draw.INTERPOLATION))
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


def _with_noise(x: tf.Tensor, stddev: float, seed: tf.Tensor) -> tf.Tensor:
    return x + stddev * tf.random.stateless_normal(tf.shape(x), seed) if stddev else x


def _rows(auxiliary: Auxiliary, rows: slice) -> Auxiliary:
    return Auxiliary(auxiliary.value[:, rows], auxiliary.log_q[:, rows], auxiliary.num_samples)


def _named(prefix: str, terms: Terms, weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """The expected terms of each example, for the record only."""
    def expected(term):
        return tf.stop_gradient(tf.reduce_mean(tf.reduce_sum(weights * term, -1), 0))

    return {f"{prefix}/{name}": expected(getattr(terms, name)) for name in _RECORDED}
