"""The loss: its terms, each with its values, whose examples its mean is over, and its weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.model.contract import Auxiliary, Batch, Terms
from adgm_tf.model.engine import GenerativeModel
from adgm_tf.model.phase import Phase
from adgm_tf.objectives import bounds, class_sums, regularisers
from adgm_tf.options import ObjectiveOptions

tfd = tfp.distributions

_RECORDED = ("reconstruction", "kl_z", "kl_a")


class Term(NamedTuple):
    """A term of the loss: weight x the mean of `values` over examples of a batch; without a weight, for the record.

    Attributes:
      name: its name in the record.
      values: one an example [n], nats.
      of: whose examples the mean is over: labelled, unlabelled or all.
      weight: what multiplies the mean.
    """

    name: str
    values: tf.Tensor
    of: str
    weight: tf.Tensor | float = 0.0


class Warmth(NamedTuple):
    """How far the warm-ups of the KL terms and of those on q(y|a,x) have come, from 0 to 1; what falls: the radius as a
    factor of its own, and the weight of propagation.
    """

    kl: tf.Tensor | float = 1.0
    classifier: tf.Tensor | float = 1.0
    radius: tf.Tensor | float = 1.0
    propagation: tf.Tensor | float = 1.0


WARM = Warmth()


@dataclasses.dataclass(frozen=True)
class Forward:
    """One pass over a batch, from which the terms are made.

    Attributes:
      model: the model.
      batch: labelled examples first.
      options: what the loss is made of, with alpha as `classification_weight`.
      seed: of the step.
      warmth: of the step.
      phase: of the model.
      auxiliary: a of all examples.
      logits: of q(y|a,x) of all examples [K,B,C]; None where the model has no y.
      noise: what drew them.
      unlabelled_q_y: q(y|a,x) of the unlabelled examples, batch [K,U]; None where the model has no y.
      classes: the classes that stand for the sum over y of the unlabelled examples; None where there are none.
      entropy: of q(y|a,x) of the unlabelled examples [K,U]; zeros where the model has no y.
    """

    model: GenerativeModel
    batch: Batch
    options: ObjectiveOptions
    seed: tf.Tensor
    warmth: Warmth
    phase: Phase
    auxiliary: Auxiliary
    logits: tf.Tensor | None
    noise: regularisers.Noise
    unlabelled_q_y: tfd.Categorical | None = None
    classes: class_sums.ClassSet | None = None
    entropy: tf.Tensor | None = None

    @property
    def num_labelled(self) -> int:
        """L."""
        return self.batch.y.shape[0]

    @property
    def num_unlabelled(self) -> int:
        """U."""
        return self.batch.seen.shape[0] - self.num_labelled


def forward(model: GenerativeModel, batch: Batch, options: ObjectiveOptions, seed: tf.Tensor, *,
            warmth: Warmth = WARM, phase: Phase = Phase.TRAIN) -> Forward:
    """Draws a and asks q(y|a,x) for the labelled and the unlabelled examples in one product."""
    auxiliary_seed = seeds.fold(seed, seeds.Draw.AUXILIARY)
    total = options.num_samples * options.num_importance_samples
    auxiliary = model.sample_auxiliary(batch.seen, total, auxiliary_seed, phase)
    if options.share_latent:
        auxiliary = auxiliary._replace(num_samples=1)
    hidden_seed = seeds.fold(seed, seeds.Draw.HIDDEN_NOISE) if phase.training else None
    noise = regularisers.Noise(total, auxiliary_seed, hidden_seed, phase.aside)
    logits = None
    if model.has_classes:
        logits = model.q_y(batch.seen, auxiliary.value, phase, noise_seed=hidden_seed).logits_parameter()
    found = Forward(model, batch, options, seed, warmth, phase, auxiliary, logits, noise)
    if not found.num_unlabelled:
        return found
    q_y = None if logits is None else tfd.Categorical(logits=logits[:, found.num_labelled:])
    of_bound = class_sums.averaged(q_y) if options.mix_examples else q_y
    classes, entropy = class_sums.class_set(of_bound, class_sums.CLASS_SUMS[options.class_sum], options.top_k,
                                            seeds.fold(seed, seeds.Draw.CLASS), shared=options.share_latent)
    return dataclasses.replace(found, unlabelled_q_y=q_y, classes=classes, entropy=entropy)


def terms(model: GenerativeModel, batch: Batch, options: ObjectiveOptions, seed: tf.Tensor, *,
          warmth: Warmth = WARM, phase: Phase = Phase.TRAIN) -> list[Term]:
    """J = mean_labelled(L + alpha C) + mean_unlabelled(U) + warmth (the terms on q(y|a,x)), term by term.

    Either the labelled or the unlabelled examples may be none. q(a|x), q(y|a,x) and q(z|.) see `batch.seen`, p
    describes `batch.x`: a bound whatever q sees. The moving averages of batch normalisation follow the pass over all
    examples, and where the two are apart the unlabelled examples, or the labelled if there are no others.
    """
    of = forward(model, batch, options, seed, warmth=warmth, phase=phase)
    found = [*labelled_terms(of), *unlabelled_terms(of)]
    if model.has_classes:
        found += classifier_terms(of)
    return found + [_extra(of, name, weight) for name, weight in extra_weights(options).items()]


def labelled_terms(of: Forward) -> list[Term]:
    """-L(x,y), what it is made of, and C(x,y)."""
    L, options = of.num_labelled, of.options
    if not L:
        return []
    batch = of.batch.part(slice(0, L))
    phase = of.phase.aside if of.num_unlabelled else of.phase
    parts = of.model.terms(batch.x, of.batch.y[None, :, None], _rows(of.auxiliary, slice(0, L)),
                           seeds.fold(of.seed, seeds.Draw.LATENT, 0), phase, seen=batch.seen, observed=batch.observed)
    bound = bounds.labelled_bound(parts, options.num_importance_samples, of.warmth.kl)
    q_y = tfd.Categorical(logits=of.logits[:, :L])
    return [Term("labelled/bound", bound, "labelled", -options.labelled_bound_weight),
            Term("classification", bounds.classification(q_y, of.batch.y), "labelled", options.classification_weight),
            *_recorded("labelled", parts, tf.ones([1, 1, 1]))]


def unlabelled_terms(of: Forward) -> list[Term]:
    """-U(x) and what it is made of."""
    L, options = of.num_labelled, of.options
    if not of.num_unlabelled:
        return []
    batch = of.batch.part(slice(L, None))
    parts = of.model.terms(batch.x, of.classes.y, _rows(of.auxiliary, slice(L, None)),
                           seeds.fold(of.seed, seeds.Draw.LATENT, 1), of.phase, seen=batch.seen,
                           observed=batch.observed)
    weighed = bounds.mixed_over_examples(parts) if options.mix_examples else parts
    bound = bounds.unlabelled_bound(weighed, of.classes, of.entropy, options.num_importance_samples, of.warmth.kl)
    return [Term("unlabelled/bound", bound, "unlabelled", -1.0), *_recorded("unlabelled", parts, of.classes.weights)]


def classifier_terms(of: Forward) -> list[Term]:
    """The terms on q(y|a,x) beside classification: consistency, interpolation, invariance, entropy, balance,
    propagation.
    """
    options, seen, warmth = of.options, of.batch.seen, of.warmth.classifier
    target, found = _target(of), []
    if options.consistency == "vat":
        values = regularisers.virtual_adversarial(of.model, seen, target, of.noise,
                                                  seeds.fold(of.seed, seeds.Draw.DIRECTION),
                                                  radius=of.warmth.radius * options.consistency_radius)
        found.append(Term("consistency", values, "all", warmth * options.consistency_weight))
    if options.interpolation_weight:
        values = regularisers.interpolation(of.model, seen, target, of.noise,
                                            seeds.fold(of.seed, seeds.Draw.INTERPOLATION))
        found.append(Term("interpolation", values, "all", warmth * options.interpolation_weight))
    if of.batch.again is not None:
        values = regularisers.invariance(of.model, of.batch.again, target, of.noise)
        found.append(Term("invariance", values, "all", warmth * options.invariance_weight))
    if of.num_unlabelled:
        balance = regularisers.class_balance(of.unlabelled_q_y, of.model.log_prior)
        found += [Term("unlabelled/entropy", tf.reduce_mean(of.entropy, 0), "unlabelled",
                       warmth * options.entropy_weight),
                  Term("unlabelled/balance", balance, "unlabelled", warmth * options.balance_weight)]
    if of.batch.propagated is not None:
        found.append(Term("unlabelled/propagation", regularisers.propagation(of.unlabelled_q_y, of.batch.propagated),
                          "unlabelled", of.warmth.propagation * options.propagation_weight))
    return found


def _target(of: Forward) -> tfd.Categorical:
    """What the answer at a changed x is held to."""
    options = of.options
    kind = options.consistency_target
    needed = options.consistency == "vat" or options.interpolation_weight or options.invariance_weight
    if kind == "same" or not needed:
        return tfd.Categorical(logits=of.logits)
    return of.model.q_y(of.batch.seen, of.auxiliary.value, of.phase.aside, teacher=kind == "teacher")


def total(found: Sequence[Term], sizes: Mapping[str, int]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """sum of weight x mean [], nats, and the means by name; `sizes` are those of labelled, unlabelled and all."""
    means = {term.name: tf.reduce_sum(term.values) / sizes[term.of] for term in found}
    weighted = [term.weight * means[term.name] for term in found
                if not isinstance(term.weight, float | int) or term.weight]
    return tf.add_n(weighted) if weighted else tf.zeros([]), means


EXTRA: dict[str, Callable[[Forward], tf.Tensor]] = {}


def register(name: str, values: Callable[[Forward], tf.Tensor]) -> None:
    """Adds a term of one's own: a function from a pass to one value an example of the batch [B], nats.

    `--extra_terms=NAME=WEIGHT` puts it into the loss.
    """
    EXTRA[name] = values


def extra_weights(options: ObjectiveOptions) -> dict[str, float]:
    """Returns the weights of the registered terms that are asked for.

    Raises:
      UserError: one of them is not registered or stands twice, or its weight is no number.
    """
    found = {}
    for text in options.extra_terms:
        name, _, weight = text.partition("=")
        errors.lookup(EXTRA, "extra_terms", name)
        if name in found:
            raise errors.UserError(f"extra_terms={text}: {name} stands there twice")
        try:
            found[name] = float(weight)
        except ValueError:
            raise errors.UserError(f"extra_terms={text}: must be NAME=WEIGHT with a number as weight") from None
    return found


def _extra(of: Forward, name: str, weight: float) -> Term:
    return Term(name, EXTRA[name](of), "all", weight)


def _rows(auxiliary: Auxiliary, rows: slice) -> Auxiliary:
    return Auxiliary(auxiliary.value[:, rows], auxiliary.log_q[:, rows], auxiliary.num_samples)


def _recorded(of: str, parts: Terms, weights: tf.Tensor) -> list[Term]:
    """The expected terms of the bound of each example, for the record only."""
    def expected(values):
        return tf.stop_gradient(tf.reduce_mean(tf.reduce_sum(weights * values, -1), 0))

    return [Term(f"{of}/{name}", expected(getattr(parts, name)), of) for name in _RECORDED]
