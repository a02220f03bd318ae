"""Figures of merit of a classifier; labels that are not known, -1, take part in none, and an answer of NaN is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adgm_tf.data.labels import UNKNOWN

# Probabilities are bounded below by this in a logarithm.
LEAST = 1e-12
INTERVAL = 0.95


class Pair(NamedTuple):
    """Rows of one class that were taken for another."""

    true: str
    predicted: str
    count: int
    percent_of_true: float


def error_percent(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns 100 mean(argmax_c probs != y), of probs [N,C] and y [N]; NaN without a known label."""
    probs, y = known(probs, y)
    return 100 * float(np.mean(predicted(probs) != y)) if len(y) else float("nan")


def top_error_percent(probs: np.ndarray, y: np.ndarray, k: int) -> float:
    """Returns the percentage of rows whose class is not among the k most probable; NaN without a known label."""
    probs, y = known(probs, y)
    if not len(y):
        return float("nan")
    top = np.argsort(-probs, -1, kind="stable")[:, :k]
    return 100 * float(np.mean(~(top == y[:, None]).any(-1) | np.isnan(probs).any(-1)))


def balanced_error_percent(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns the mean of the errors of the classes that occur; NaN without a known label."""
    from sklearn import metrics
    probs, y = known(probs, y)
    if not len(y):
        return float("nan")
    return 100 * float(1 - metrics.recall_score(y, predicted(probs), labels=np.unique(y), average="macro"))


def macro_f1(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns the mean of F1 over the classes that occur or are predicted, from 0 to 1; NaN without a known label."""
    from sklearn import metrics
    probs, y = known(probs, y)
    return float(metrics.f1_score(y, predicted(probs), average="macro", zero_division=0)) if len(y) else float("nan")


def error_interval_percent(probs: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the error by Wilson's score, in percent; 0 to 100 without a known label."""
    probs, y = known(probs, y)
    low, high = wilson(int(np.sum(predicted(probs) != y)), len(y))
    return 100 * low, 100 * high


def wilson(count: int, num: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share by Wilson's score: where |share - p| <= 1.96 sqrt(p (1 - p) / num).

    Args:
      count: how many have it.
      num: of how many; 0 tells nothing, and the interval is 0 to 1.
    """
    from scipy import stats
    if not num:
        return 0.0, 1.0
    found = stats.binomtest(count, num).proportion_ci(INTERVAL, method="wilson")
    return float(found.low), float(found.high)


def confusion(probs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns counts [C,C]: row the true class, column the predicted one; rows without an answer are in none."""
    probs, y = known(probs, y)
    answers, counts = predicted(probs), np.zeros((probs.shape[-1], probs.shape[-1]), np.int64)
    np.add.at(counts, (y[answers != UNKNOWN], answers[answers != UNKNOWN]), 1)
    return counts


def confusion_by_name(probs: np.ndarray, y: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Returns {true class: {predicted class: rows}}, without the pairs and the classes that do not occur."""
    counts = confusion(probs, y)
    return {names[i]: {names[j]: int(row[j]) for j in np.flatnonzero(row)} for i, row in enumerate(counts) if row.any()}


def most_confused(counts: np.ndarray, names: Sequence[str], num: int) -> list[Pair]:
    """Returns the `num` pairs of classes that are confused most, of counts [C,C] as `confusion` gives them."""
    wrong, of_class = counts - np.diag(np.diag(counts)), counts.sum(1)
    order = np.argsort(-wrong, None, kind="stable")[:num]
    pairs = [np.unravel_index(i, wrong.shape) for i in order if wrong.flat[i]]
    return [Pair(names[i], names[j], int(wrong[i, j]), 100 * float(wrong[i, j] / of_class[i])) for i, j in pairs]


def class_error_percent(probs: np.ndarray, y: np.ndarray) -> list[float | None]:
    """Returns the error of each class in percent, None for a class without an example."""
    counts = confusion(probs, y)
    return [100 * float(1 - row[c] / row.sum()) if row.sum() else None for c, row in enumerate(counts)]


def log_loss_nats(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns mean(-log probs[y]), probabilities bounded below by 1e-12; NaN without a known label."""
    probs, y = known(probs, y)
    return float(-np.log(np.maximum(probs[np.arange(len(y)), y], LEAST)).mean()) if len(y) else float("nan")


def summary(probs: np.ndarray, y: np.ndarray, names: Sequence[str]) -> dict[str, object]:
    """Returns all that is said of answers to labelled rows, for a file of results.

    Args:
      probs: probabilities [N,C].
      y: classes [N], -1 where not known.
      names: of the classes [C].
    """
    low, high = error_interval_percent(probs, y)
    return {"num_labels": int(np.sum(np.asarray(y) != UNKNOWN)), "error_percent": error_percent(probs, y),
            "error_low_percent": low, "error_high_percent": high,
            "balanced_error_percent": balanced_error_percent(probs, y), "macro_f1": macro_f1(probs, y),
            "log_loss_nats": log_loss_nats(probs, y),
            "class_error_percent": dict(zip(names, class_error_percent(probs, y), strict=True)),
            "confusion": confusion_by_name(probs, y, names)}


def auroc(usual: np.ndarray, novel: np.ndarray) -> float:
    """Returns the probability that a novel row scores above a usual one, ties half: P(novel > usual)."""
    from sklearn import metrics
    scores = np.concatenate([usual, novel])
    return float(metrics.roc_auc_score(np.repeat([0, 1], [len(usual), len(novel)]), scores))


def predicted(probs: np.ndarray) -> np.ndarray:
    """Returns the most probable class of each row of probabilities [N,C]; -1, which is always wrong, if one is NaN."""
    return np.where(np.isnan(probs).any(-1), UNKNOWN, probs.argmax(-1))


def known(probs: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of probabilities [N,C] and classes [N] whose class is known."""
    probs, y = np.asarray(probs), np.asarray(y)
    rows = y != UNKNOWN
    return (probs, y) if rows.all() else (probs[rows], y[rows])
