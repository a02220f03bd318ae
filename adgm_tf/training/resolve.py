"""What options that depend on the data come to, before a run begins; a run stores what they came to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any

from adgm_tf.config import Config
from adgm_tf.data import prior
from adgm_tf.data.splits import Splits
from adgm_tf.training import systems

RADIUS_SHARE = 0.2


def resolve(config: Config, splits: Splits, given: Collection[str] = ()) -> Config:
    """Returns the options with those not given set by the preset, the labels' p(y) in numbers, and one's own row.

    Args:
      config: options.
      splits: data.
      given: names of options that the user gave; those that differ from their defaults count as given too.

    Raises:
      UserError: p(y) as given is none over these classes.
    """
    config = systems.with_row(config)
    if config.preset == "auto" or (not config.preset and splits.own and systems.of(config.model).row):
        chosen = {k: v for k, v in preset(config, splits).items() if k not in {*given, *config.given()}}
        config = dataclasses.replace(config, **chosen, preset="auto")
    if config.class_prior == prior.UNIFORM:
        return config
    probs = prior.probabilities(config.class_prior, splits.labelled.y, splits.num_classes)
    if config.class_prior != prior.LABELS:
        return config
    return dataclasses.replace(config, class_prior=",".join(f"{p:.9g}" for p in probs))


def preset(config: Config, splits: Splits) -> dict[str, Any]:
    """Returns the defaults for these data: one rule for all of them.

    The radius is a share of the total standard deviation of what q sees. The bound of a labelled example weighs as that
    of any other of the training set, so that the density does not learn the few by heart.
    """
    row = systems.of(config.model).row
    if row is None or row.q_y is None or not len(splits.labelled):
        return {}
    found = {"consistency_radius": RADIUS_SHARE * splits.spec.preprocess.total_stddev, "normalization": "batch",
             "binarization": "none", "learning_rate": 2e-3, "learning_rate_schedule": "linear"}
    if len(splits.unlabelled):
        found |= {"consistency_weight": 8.0, "entropy_weight": 2.0, "balance_weight": 8.0,
                  "labelled_bound_weight": len(splits.labelled) / splits.num_train}
    return found | {"num_steps": _steps(splits)}


def _steps(splits: Splits) -> int:
    """Steps by the size of the data, in hundreds."""
    return 100 * max(6, min(24, math.ceil(splits.num_train / 500)))
