"""Every `--model` as a table: how it is built, the terms of its loss for each example, and how they add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from adgm_tf.baselines import ladder, vat
from adgm_tf.model import engine
from adgm_tf.model.family import FAMILY
from adgm_tf.objectives import loss
from adgm_tf.objectives.loss import Objective

Model = engine.GenerativeModel | vat.Classifier | ladder.Ladder


@dataclasses.dataclass(frozen=True)
class System:
    """What the one training loop asks of a model; `objectives` says what the arguments are.

    Attributes:
      build: (config, x_shape, is_image, num_classes) -> the model.
      per_example: (model, x_labelled, y, x_unlabelled, objective, seed, kl_weight) -> {term: a value an example}; the
        part of the name before the slash says which examples.
      term_names: (model, labelled, unlabelled, objective) -> the names of those terms.
      loss: (objective, {term: mean}, consistency_warmth) -> the loss.
    """

    build: Callable[..., Model]
    per_example: Callable[..., dict]
    term_names: Callable[..., tuple[str, ...]]
    loss: Callable[..., object]


GENERATIVE = System(engine.build, loss.per_example, loss.term_names, Objective.loss)
SYSTEMS = dict.fromkeys(FAMILY, GENERATIVE) | {
    "vat": System(vat.build, vat.per_example, vat.term_names, Objective.loss),
    "ladder": System(ladder.build, ladder.per_example, ladder.term_names, ladder.loss),
}
