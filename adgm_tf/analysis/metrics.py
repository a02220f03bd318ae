"""Figures of merit of a classifier, in NumPy."""

from __future__ import annotations

import numpy as np
from sklearn import metrics


def error_percent(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns 100 mean(argmax_c probs != y), of probs [N,C] and y [N]."""
    return 100 * float(np.mean(probs.argmax(-1) != y))


def confusion(probs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns counts [C,C]: row the true class, column the predicted one."""
    return metrics.confusion_matrix(y, probs.argmax(-1), labels=np.arange(probs.shape[-1]))


def class_error_percent(probs: np.ndarray, y: np.ndarray) -> list[float | None]:
    """Returns the error of each class in percent, None for a class without an example."""
    counts = confusion(probs, y)
    return [100 * float(1 - row[c] / row.sum()) if row.sum() else None for c, row in enumerate(counts)]


def log_loss_nats(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns mean(-log probs[y]), probabilities bounded below by 1e-12."""
    return float(-np.log(np.maximum(probs[np.arange(len(y)), y], 1e-12)).mean())
