"""p(y): uniform, from the labels given, or as given."""

from __future__ import annotations

import numpy as np

from adgm_tf import options
from adgm_tf.data.labels import UNKNOWN


def probabilities(given: str, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns p(y), float64 [C].

    `labels` is (count + 1) / (number of labels + C): no class has probability 0.

    Args:
      given: uniform, labels, or a number a class with commas between.
      labels: the class indices that the model is given [N]; UNKNOWN counts nowhere.
      num_classes: C.

    Raises:
      UserError: the numbers given are no probabilities of C classes.
    """
    if given not in (options.UNIFORM, options.LABELS):
        return np.array(options.class_probabilities(given, num_classes))
    counted = labels[labels != UNKNOWN] if given == options.LABELS else labels[:0]
    counts = np.bincount(counted, minlength=num_classes)
    return (counts + 1) / (counts.sum() + num_classes)
