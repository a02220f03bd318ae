"""What a configuration comes to on its data: batch sizes, epochs, steps and the weight of the classification term."""

from __future__ import annotations

import dataclasses
import math

from adgm_tf import config as config_lib
from adgm_tf.config import Config
from adgm_tf.data import neighbours
from adgm_tf.data.splits import Splits
from adgm_tf.host import errors
from adgm_tf.model.family import Row
from adgm_tf.training import systems


@dataclasses.dataclass(frozen=True)
class Plan:
    """Numbers that follow from a configuration and the sizes of its splits.

    Attributes:
      labelled_batch_size: labelled examples a step; 0 where the model sees no labels.
      unlabelled_batch_size: unlabelled examples a step; 0 in the supervised setting.
      steps_per_epoch: steps of one pass over the unlabelled examples, or over the labelled ones if there are no others.
      num_steps: steps of the run.
      num_train: N.
      classification_weight: alpha.
      propagates: whether a step has the term of propagation.
      sees_twice: whether q sees each example of a step by two draws of its changes.
      notes: lines that say what this comes to.
    """

    labelled_batch_size: int
    unlabelled_batch_size: int
    steps_per_epoch: float
    num_steps: int
    num_train: int
    classification_weight: float
    propagates: bool
    sees_twice: bool
    notes: tuple[str, ...]


def make(config: Config, splits: Splits) -> Plan:
    """Works out the plan.

    Raises:
      UserError: the model would have nothing to learn from, or its bound would be none.
    """
    unused = systems.check(config)
    row = systems.of(config.model).row
    has_classes = row is None or row.q_y is not None
    if row is None and not len(splits.labelled):
        raise errors.UserError(f"num_labels={config.num_labels}: {config.model} is a classifier and learns nothing "
                               "without labels")
    if not has_classes and not len(splits.unlabelled):
        name, use = ("num_unlabelled", "all") if not config.unlabelled_count(1) else ("num_labels", "0")
        raise errors.UserError(f"{name}={getattr(config, name)}: {config.model} has no y and learns from unlabelled "
                               f"examples only; use --{name}={use}")
    if not len(splits.labelled) and not len(splits.unlabelled):
        raise errors.UserError(f"num_labels={config.num_labels}, num_unlabelled={config.num_unlabelled}: leave "
                               "nothing to learn from")
    if row is not None:
        _check_class_sum(config, row, splits)
    _check_changes(config, splits)
    labelled = config.labelled_batch_size if has_classes and len(splits.labelled) else 0
    unlabelled = config.unlabelled_batch_size if len(splits.unlabelled) else 0
    examples, batch = (len(splits.unlabelled), unlabelled) if unlabelled else (len(splits.labelled), labelled)
    steps_per_epoch = examples / batch
    num_steps = math.ceil(config.num_epochs * steps_per_epoch) if config.num_epochs else config.num_steps
    alpha, how = _alpha(config, splits) if labelled else (0.0, "no labels")
    notes = [f"an epoch is {steps_per_epoch:g} steps: {examples:,} examples in batches of {batch}",
             f"alpha, the weight of a labelled example's classification term, is {alpha:g} ({how})"]
    notes += remarks(config)
    propagates = _propagates(config, row, splits)
    if propagates:
        notes.append(f"propagation first looks for the neighbours of {len(splits.unlabelled):,} examples")
    if unused:
        notes.append(f"{config.model} does not use {', '.join(unused)}")
    if not has_classes:
        notes[1] = f"{config.model} has no y: labels, classification and consistency terms are not used"
    return Plan(labelled, unlabelled, steps_per_epoch, num_steps, splits.num_train, alpha,
                propagates, bool(config.invariance_weight and row and row.q_y), tuple(notes))


def check_divides(planned: Plan, replicas: int) -> None:
    """Makes sure that every replica has as many examples of a batch as the others.

    Raises:
      UserError: a batch does not divide.
    """
    for name in ("labelled_batch_size", "unlabelled_batch_size"):
        if (size := getattr(planned, name)) % replicas:
            raise errors.UserError(f"{name}={size}: must divide by the {replicas} replicas")


def _check_changes(config: Config, splits: Splits) -> None:
    if config.features_run and splits.spec.is_table:
        raise errors.UserError(f"features_run={config.features_run}: needs images or vectors, and {config.dataset} is "
                               "a table, whose columns p(x|.) describes one by one")
    if config.shift and (config.features_run or not splits.is_image):
        what = "the features of an m1" if config.features_run else f"the examples of {config.dataset}"
        raise errors.UserError(f"shift={config.shift}: needs images, and {what} are none; 0 leaves it out")
    if config.invariance_weight and not (config.shift or config.input_noise):
        raise errors.UserError(f"invariance_weight={config.invariance_weight:g}: needs a shift or an input_noise above "
                               "0, or an example is the same twice")


def _check_class_sum(config: Config, row: Row, splits: Splits) -> None:
    sums = row.q_y is not None and len(splits.unlabelled) > 0
    importance = config.num_importance_samples
    if row.q_y and splits.num_classes < 2:
        raise errors.UserError(f"model={config.model}: needs two classes, and {config.dataset} has "
                               f"{splits.num_classes}; m1 and avae have no y")
    if row.q_y and config.class_sum == "topk" and config.top_k >= splits.num_classes:
        raise errors.UserError(f"top_k={config.top_k}: must be below the {splits.num_classes} classes of "
                               f"{config.dataset}; class_sum=exact takes all")
    if sums and config.class_sum == "topk" and importance > 1:
        raise errors.UserError(f"num_importance_samples={importance}: not with class_sum=topk, whose estimate of the "
                               "sum over y is unbiased outside the logarithm alone; use --class_sum=exact")
    if config.mix_examples and (not sums or config.class_sum != "exact" or importance > 1):
        raise errors.UserError("mix_examples=true: needs the sum over y of unlabelled examples, class_sum=exact and "
                               "num_importance_samples=1")
    if config.share_latent and not (row.can_share_latent and config.auxiliary_dim):
        raise errors.UserError(f"share_latent=true: needs draws of a that q(z|.) does not look at; {config.model} with "
                               f"auxiliary_dim={config.auxiliary_dim} has none")
    if config.share_latent and importance > 1:
        raise errors.UserError(f"share_latent=true: not with num_importance_samples={importance}, each of which draws "
                               "a z of its own")


def _propagates(config: Config, row: Row | None, splits: Splits) -> bool:
    """Whether propagation is asked for and there is something to propagate, to no more rows than it may be."""
    count = len(splits.unlabelled)
    if not (config.propagation_weight and row and row.q_y and len(splits.labelled) and count):
        return False
    if count > neighbours.MOST_ROWS:
        raise errors.UserError(f"propagation_weight={config.propagation_weight:g}: needs the neighbours of each of the "
                               f"{count:,} unlabelled examples, and looks at {neighbours.MOST_ROWS:,} at most; 0 "
                               "leaves it out")
    return True


def remarks(config: Config) -> list[str]:
    """Returns lines that a reader of the result has to know."""
    lines = []
    if config.unlabelled_order == "class_sorted":
        lines.append("warning: class_sorted uses hidden labels: the unlabelled examples come class by class, an order "
                     "that only their labels can give; the error of this ablation is no result of semi-supervised "
                     "learning")
    if config.mix_examples:
        lines.append("mix_examples: the evidence by which q(y|a,x) of an unlabelled example is trained is the mean "
                     "over other examples of its batch; an ablation"
                     + (". As they come class by class, nearly all of these are of its own hidden class"
                        if config.unlabelled_order == "class_sorted" else ""))
    if config.features_run and config.num_valid:
        m1 = config_lib.read(config.features_run)
        if (m1.num_valid, m1.split_seed) != (config.num_valid, config.split_seed):
            lines.append(f"the m1 of features_run has other examples held out (num_valid={m1.num_valid}, split_seed="
                         f"{m1.split_seed}): it saw some of those held out here, without their labels")
    return lines


def _alpha(config: Config, splits: Splits) -> tuple[float, str]:
    if config.classification_weight is not None:
        return config.classification_weight, "as given"
    if systems.of(config.model).row is None:
        return 1.0, "a classifier's own"
    alpha = config.classification_beta * splits.num_train / len(splits.labelled)
    return alpha, f"beta N / N_labelled = {config.classification_beta:g} x {splits.num_train} / {len(splits.labelled)}"
