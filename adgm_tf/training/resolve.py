"""What options that depend on the data come to, before a run begins; a run stores what they came to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any

from adgm_tf import options
from adgm_tf.config import Config
from adgm_tf.data import prior
from adgm_tf.data.splits import Splits
from adgm_tf.training import systems

# Chosen on validation rows of the ten sets of launch/few_labels, with choices of the labels from seed 10 on; see there.
RADIUS_SHARE, LARGEST_RADIUS = 0.2, 1.2
RADIUS_START = 2.0
UNITS, PARTS = (200, 200), 50
# More columns than these are many words or the like, and learn at half the rate, with one radius throughout.
WIDE = 500
# Images of more pixels than these are drawn anew as binary ones: their noise averages out over so many.
FEW_PIXELS = 100
# Neighbours of so many rows are found in seconds; the time grows as their square.
FEW_ROWS = 20_000


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
    if config.preset == "auto" or (not config.preset and splits.own and _has_preset(config.model)):
        given = {*given, *config.given()}
        units = config.hidden_units if "hidden_units" in given else UNITS
        chosen = {k: v for k, v in preset(config.model, splits, units).items() if k not in given}
        config = dataclasses.replace(config, **chosen, preset="auto")
    if config.class_prior == options.UNIFORM:
        return config
    probs = prior.probabilities(config.class_prior, splits.labelled.y, splits.num_classes)
    if config.class_prior != options.LABELS:
        return config
    return dataclasses.replace(config, class_prior=",".join(f"{p:.9g}" for p in probs))


def preset(model: str, splits: Splits, units: tuple[int, ...]) -> dict[str, Any]:
    """Returns the defaults for these data: one rule for all of them, by the kind and the size of the data alone.

    The radius is a share of the total standard deviation of what q sees, at most so large where x are no images. The
    classifier has one hidden layer where x are rows of a table, whose columns say something each, and two where they
    are pixels or a signal; there the bound of a labelled example weighs a tenth as well, so that the density does not
    learn the few by heart. A small radius starts up to twice as large, so that classes are told apart by their
    widest gaps first, and the labels are carried along the neighbours of the rows for half of the steps, if these are
    no more than 20,000 and have no categories. Steps and batches follow the size of the data. No labels but those
    given are looked at.

    Args:
      model: a row of the family; vat, which has the same but for what it does not use; or another, which has none.
      splits: data.
      units: hidden units, which those of the classifier follow.
    """
    system = systems.of(model)
    if not _has_preset(model) or (system.row and system.row.q_y is None) or not len(splits.labelled):
        return {}
    found = {"normalization": "batch", "hidden_units": units, "auxiliary_dim": PARTS, "latent_dim": PARTS,
             "classifier_units": units[:1] if splits.spec.is_table else (), **_radius(splits),
             "binarization": "auto" if splits.is_image and splits.x_dim > FEW_PIXELS else "none",
             "num_steps": _steps(splits), "learning_rate": 1e-3 if splits.seen_dim > WIDE else 2e-3,
             "learning_rate_schedule": "linear"}
    if system.row is None:
        # A row's follows from classification_beta.
        found["classification_weight"] = splits.num_train / len(splits.labelled)
    if len(splits.unlabelled):
        found |= _of_unlabelled(splits)
    return {name: value for name, value in found.items() if system.kind in Config.used_by(name)}


def _has_preset(model: str) -> bool:
    return systems.of(model).kind in Config.used_by("preset")


def _of_unlabelled(splits: Splits) -> dict[str, Any]:
    return {"labelled_batch_size": 20 * math.ceil(min(100, len(splits.labelled)) / 20),
            "unlabelled_batch_size": 200, "consistency_weight": 8.0, "entropy_weight": 2.0,
            "balance_weight": 1.0, "labelled_bound_weight": 1.0 if splits.spec.is_table else 0.1,
            "propagation_weight": 4.0 if _has_neighbours(splits) else 0.0}


def _has_neighbours(splits: Splits) -> bool:
    """Whether the rows are few enough to look for neighbours, and have no categories, which are all as far apart."""
    has_categories = splits.spec.is_table and len(splits.spec.preprocess.categories) > 0
    return len(splits.unlabelled) <= FEW_ROWS and not has_categories


def _radius(splits: Splits) -> dict[str, float]:
    """The radius, and the factor that makes it larger at the start, but no larger than the largest."""
    radius = RADIUS_SHARE * splits.spec.preprocess.total_stddev
    if not splits.is_image:
        radius = min(radius, LARGEST_RADIUS)
    start = min(RADIUS_START, max(1.0, LARGEST_RADIUS / radius)) if radius and splits.seen_dim <= WIDE else 1.0
    return {"consistency_radius": radius, "consistency_radius_start": start}


def _steps(splits: Splits) -> int:
    """Steps by the size of the data, in hundreds."""
    return 100 * max(6, min(15, math.ceil(splits.num_train / 500)))
