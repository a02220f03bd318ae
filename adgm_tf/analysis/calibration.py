"""Probabilities that mean what they say: one temperature, and how far confidence is from accuracy.

Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from adgm_tf.analysis import metrics
from adgm_tf.data.labels import UNKNOWN

# Bins are as many as there are tens of rows, and not more than this: many bins of few rows show noise.
NUM_BINS = 15
MEAN_IN_BIN = 10
NUM_FOLDS = 5
# Standard deviation of log T before any label is seen, and how far from 1 a temperature may be at all.
PRIOR_STD = 0.5
MOST = 20.0
NUM_STARTS = 61
CHANCE_DRAWS = 100


class Reliability(NamedTuple):
    """Rows by their confidence, a value a bin that holds any: mean confidence, share of right answers, rows."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: sum_b n_b / n |accuracy_b - confidence_b|; NaN without a row."""
        if not self.count.sum():
            return float("nan")
        return float(self.count @ np.abs(self.accuracy - self.confidence) / self.count.sum())


class ProbabilityScores(NamedTuple):
    """How good probabilities are, on rows whose labels are known.

    `calibration_error` has bins of equal width, `calibration_error_equal_mass` bins of about as many rows each.
    `calibration_error_by_chance` is what the first would be on average if the probabilities were right: few rows never
    give 0.
    """

    num_labels: int
    log_loss_nats: float
    brier: float
    calibration_error: float
    calibration_error_equal_mass: float
    calibration_error_by_chance: float


class Calibration(NamedTuple):
    """A temperature, and scores and bins before and after; `after` is of rows that their temperature has not seen."""

    temperature: float
    before: ProbabilityScores
    after: ProbabilityScores
    reliability_before: Reliability
    reliability_after: Reliability

    def to_json(self) -> dict[str, object]:
        """Returns what of it goes into a file of results."""
        return {"temperature": self.temperature, "before": self.before._asdict(), "after": self.after._asdict()}


def apply(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax(log probs / T), float64; the order of the classes of a row stays.

    Args:
      probs: probabilities [..., C]; a row with a NaN stays NaN.
      temperature: T > 0; above 1 it takes confidence away.
    """
    return special.softmax(_log(probs) / temperature, -1)


def fit_temperature(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns the temperature that suits the labels best, among those from 1/20 to 20.

    T = argmin_T sum_n -log softmax(log p_n / T)[y_n] + (log T)^2 / (2 s^2),  s = 0.5

    The last term is a prior of log T. With a handful of labels, or with no error among them, the sum alone would have
    T go to 0; the prior holds it back. It weighs as much as about ten labels, so hundreds of them hardly feel it. T = 1
    costs nothing there and is a candidate, so the log loss of these rows never gets worse.

    Args:
      probs: probabilities [N,C] of rows that did not train the model with their labels; those with a NaN are left out.
      y: classes [N], -1 where not known, which is left out too.

    Returns:
      The temperature; 1 without a label.
    """
    from scipy import optimize
    probs, y = _usable(probs, y)
    if not len(y):
        return 1.0
    logits = _log(probs)

    def objective(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float(np.sum(special.logsumexp(scaled, -1) - scaled[np.arange(len(y)), y])
                     + log_t**2 / (2 * PRIOR_STD**2))

    # A grid first: the prior may leave two minima, and 0 is on it.
    grid = np.linspace(-np.log(MOST), np.log(MOST), NUM_STARTS)
    values = [objective(v) for v in grid]
    best = int(np.argmin(values))
    found = optimize.minimize_scalar(objective, bounds=(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]),
                                     method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x if found.fun < values[best] else grid[best]))


def folds(y: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    """Deals the labelled rows to folds, class by class.

    Args:
      y: classes [N], -1 where not known.
      num_folds: how many folds, at least 2.
      seed: of the order within a class.

    Returns:
      The fold of each row [N]; -1 for rows without a label, and for the only row of a class, which every model needs.
    """
    y, found = np.asarray(y), np.full(len(y), UNKNOWN)
    order, dealt = np.random.default_rng(seed), 0
    for c in np.unique(y[y != UNKNOWN]):
        rows = order.permutation(np.flatnonzero(y == c))
        if len(rows) > 1:
            found[rows] = (dealt + np.arange(len(rows))) % num_folds
            dealt += len(rows)
    return found


def held_out_folds(y: np.ndarray) -> np.ndarray:
    """Returns the fold of each row [N] of held-out labels y [N], -1 where not known: of one model, for its scores."""
    y = np.asarray(y)
    fold, num = np.full(len(y), UNKNOWN), int(np.sum(y != UNKNOWN))
    fold[y != UNKNOWN] = np.random.default_rng(0).permutation(num) % NUM_FOLDS
    return fold


def cross_fitted(probs: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Returns `apply(probs, T)` [N,C], T of each row fitted on the labelled rows of the other folds.

    Args:
      probs: probabilities [N,C].
      y: classes [N], -1 where not known.
      fold: the fold of each row [N]; a row of fold -1 takes the temperature of all folds.
    """
    probs, y, fold = np.asarray(probs, np.float64), np.asarray(y), np.asarray(fold)
    found = np.empty_like(probs)
    for k in np.unique(fold):
        rows = fold == k
        others = (fold != k) & (fold != UNKNOWN)
        found[rows] = apply(probs[rows], fit_temperature(probs[others], y[others]))
    return found


def calibrate(probs: np.ndarray, y: np.ndarray, fold: np.ndarray | None = None) -> Calibration:
    """Fits one temperature and says what it does.

    Held-out labels: give their rows. None: train once for each of `folds(y, ...)` without that fold's labels, give
    what the model that has not seen a row's label says of it, and the folds. Such models have fewer labels than the
    one that is kept, so their T is a little too careful.

    Args:
      probs: probabilities [N,C] of rows that did not train the model with their labels.
      y: classes [N], -1 where not known.
      fold: the folds [N] that `probs` came from; rows of fold -1 are left out. If not given, all rows are held out.

    Returns:
      T, fitted on all the rows; scores before, and after by `cross_fitted`.
    """
    probs, y = np.asarray(probs, np.float64), np.asarray(y)
    if fold is None:
        fold = held_out_folds(y)
    used = np.asarray(fold) != UNKNOWN
    probs, y, fold = probs[used], y[used], fold[used]
    after = cross_fitted(probs, y, fold)
    return Calibration(fit_temperature(probs, y), scores(probs, y), scores(after, y),
                       reliability(probs, y), reliability(after, y))


def scores(probs: np.ndarray, y: np.ndarray) -> ProbabilityScores:
    """Returns how good probabilities [N,C] are for classes y [N], over known labels and rows without a NaN."""
    probs, y = _usable(probs, y)
    equal_width = reliability(probs, y)
    return ProbabilityScores(len(y), metrics.log_loss_nats(probs, y), brier(probs, y), equal_width.error,
                             reliability(probs, y, equal_mass=True).error, error_by_chance(probs))


def brier(probs: np.ndarray, y: np.ndarray) -> float:
    """Returns mean_n sum_c (probs[n,c] - 1[y_n = c])^2, from 0 to 2, over known labels; NaN without any."""
    probs, y = _usable(probs, y)
    if not len(y):
        return float("nan")
    return float(np.mean(np.sum(probs**2, -1) - 2 * probs[np.arange(len(y)), y] + 1))


def reliability(probs: np.ndarray, y: np.ndarray, *, equal_mass: bool = False) -> Reliability:
    """Returns confidence against accuracy, in bins.

    Args:
      probs: probabilities [N,C].
      y: classes [N], -1 where not known, which is left out.
      equal_mass: bins of about as many rows each, rows of one confidence in one bin, instead of equal width.
    """
    probs, y = _usable(probs, y)
    confidence, right = probs.max(-1, initial=0), probs.argmax(-1) == y
    place, num = _bins(confidence, equal_mass=equal_mass)
    count = np.bincount(place, minlength=num)
    held = count > 0
    return Reliability(np.bincount(place, confidence, num)[held] / count[held],
                       np.bincount(place, right, num)[held] / count[held], count[held])


def error_by_chance(probs: np.ndarray) -> float:
    """Returns the mean calibration error, bins of equal width, of answers right as often as probs [N,C] say."""
    confidence = np.asarray(probs, np.float64).max(-1, initial=0)
    if not len(confidence):
        return float("nan")
    place, num = _bins(confidence, equal_mass=False)
    sums, random = np.bincount(place, confidence, num), np.random.default_rng(0)
    found = [np.abs(np.bincount(place, random.random(len(confidence)) < confidence, num) - sums).sum()
             for _ in range(CHANCE_DRAWS)]
    return float(np.mean(found) / len(confidence))


def _bins(confidence: np.ndarray, *, equal_mass: bool) -> tuple[np.ndarray, int]:
    """The bin (left, right] of each row, and how many bins there are."""
    num = int(np.clip(len(confidence) // MEAN_IN_BIN, 1, NUM_BINS))
    if not equal_mass:
        return np.clip(np.ceil(confidence * num).astype(int) - 1, 0, num - 1), num
    inner = np.unique(np.quantile(confidence, np.linspace(0, 1, num + 1)[1:-1])) if len(confidence) else np.empty(0)
    return np.searchsorted(inner, confidence, side="left"), len(inner) + 1


def _log(probs: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probs, np.float64), metrics.LEAST))


def _usable(probs: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose label is known and that have no NaN, in float64."""
    probs, y = metrics.known(np.asarray(probs, np.float64), y)
    rows = ~np.isnan(probs).any(-1)
    return probs[rows], y[rows]
