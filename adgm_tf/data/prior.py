"""p(y): uniform, from the labels given, or as given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors

UNIFORM, LABELS = "uniform", "labels"


def probabilities(given: str | Sequence[float], labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns p(y), float64 [C].

    `labels` is (count + 1) / (number of labels + C): no class has probability 0.

    Args:
      given: uniform, labels, or a number a class, in a sequence or with commas between.
      labels: the class indices that the model is given [N]; UNKNOWN counts nowhere.
      num_classes: C.

    Raises:
      UserError: the numbers given are no probabilities of C classes.
    """
    if isinstance(given, str) and given in (UNIFORM, LABELS):
        counted = labels[labels != UNKNOWN] if given == LABELS else labels[:0]
        counts = np.bincount(counted, minlength=num_classes)
        return (counts + 1) / (counts.sum() + num_classes)
    shown = given if isinstance(given, str) else ",".join(f"{p:g}" for p in given)
    try:
        found = np.array([float(p) for p in (given.split(",") if isinstance(given, str) else given)], np.float64)
    except ValueError:
        raise errors.UserError(f"class_prior={shown}: must be {UNIFORM}, {LABELS}, or a number a class") from None
    if len(found) != num_classes:
        raise errors.UserError(f"class_prior={shown}: has {len(found)} numbers, for {num_classes} classes")
    if not np.all(found > 0) or not abs(found.sum() - 1) <= 1e-4:
        raise errors.UserError(f"class_prior={shown}: every probability must be above 0, and their sum 1")
    return found / found.sum()
