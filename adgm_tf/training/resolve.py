"""What options that depend on the data come to, before a run begins; a run stores what they came to."""

from __future__ import annotations

import dataclasses

from adgm_tf.config import Config
from adgm_tf.data import prior
from adgm_tf.data.splits import Splits


def resolve(config: Config, splits: Splits) -> Config:
    """Returns the options with p(y) in numbers.

    Raises:
      UserError: p(y) as given is none over these classes.
    """
    if config.class_prior == prior.UNIFORM:
        return config
    probs = prior.probabilities(config.class_prior, splits.labelled.y, splits.num_classes)
    return dataclasses.replace(config, class_prior=",".join(f"{p:.9g}" for p in probs))
