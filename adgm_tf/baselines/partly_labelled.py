"""What every fitted baseline is given and gives back, in scikit-learn's terms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adgm_tf.data.splits import Examples, Splits

UNKNOWN = -1
Predict = Callable[[Examples], np.ndarray]


def training_set(splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    """Returns x float32 [N,D], as scaled for the models, and y [N], UNKNOWN where the label is hidden."""
    hidden = splits.hidden
    x = np.concatenate([splits.prepared(splits.labelled.x)[0], splits.prepared(hidden.x)[0]])
    return x, np.concatenate([splits.labelled.y, np.full(len(hidden), UNKNOWN)])


def for_every_class(probs: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns probs [N,C] of probs [N,n] of some classes [n]; 0 for the others."""
    full = np.zeros((len(probs), num_classes))
    full[:, classes] = probs
    return full
