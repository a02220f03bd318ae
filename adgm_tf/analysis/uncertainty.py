"""How sure an answer is: entropy and mutual information, novelty, and when to give no answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import special

from adgm_tf.analysis import calibration, metrics

# Thresholds that are tried where one has to hold for rows to come.
NUM_TRIED = 20


class Uncertainty(NamedTuple):
    """Mean probabilities [N,C], their entropy [N] and the part of it that samples of a disagree about [N], nats."""

    probs: np.ndarray
    entropy_nats: np.ndarray
    mutual_information_nats: np.ndarray


class RiskCoverage(NamedTuple):
    """Errors of the most confident k of n rows, k = 1 ... n: k / n, share of errors among them, least confidence."""

    coverage: np.ndarray
    risk: np.ndarray
    threshold: np.ndarray

    @property
    def area(self) -> float:
        """Mean of the risk over all coverages; NaN without a row."""
        return float(self.risk.mean()) if len(self.risk) else float("nan")

    def error_percent_at(self, coverage: float) -> float:
        """Returns the error in percent of that share of the rows, the most confident ones; at least one row."""
        if not len(self.risk):
            return float("nan")
        return 100 * float(self.risk[max(int(np.ceil(coverage * len(self.risk) - 1e-9)), 1) - 1])


class Abstention(NamedTuple):
    """Answers are kept where confidence >= `threshold`: what share of the given rows that is, and how right they are.

    `threshold` is infinite where none does: then no answer is kept, and `accuracy` is NaN.
    """

    threshold: float
    coverage: float
    accuracy: float
    num_labels: int

    def keeps(self, probs: np.ndarray) -> np.ndarray:
        """Returns which rows of probabilities [N,C] get an answer, bool [N]; one with a NaN gets none."""
        return keeps(probs, self.threshold)


def of_samples(probs: np.ndarray) -> Uncertainty:
    """Returns the uncertainty of q(y|a_k,x), probabilities [K,N,C].

    p = mean_k q_k;   entropy = H(p);   mutual information = H(p) - mean_k H(q_k)
    """
    return of_blocks([probs])


def of_blocks(blocks: Iterable[np.ndarray]) -> Uncertainty:
    """Returns `of_samples` of blocks [k,N,C] of the samples, one after another: memory does not grow with them.

    Raises:
      ValueError: there is no block.
    """
    count, probs, entropy = 0, 0.0, 0.0
    for block in blocks:
        block = np.asarray(block, np.float64)
        count, probs, entropy = count + len(block), probs + block.sum(0), entropy + special.entr(block).sum((0, -1))
    if not count:
        raise ValueError("blocks: must hold at least one sample")
    return of_means(probs / count, entropy / count)


def of_means(probs: np.ndarray, entropy: np.ndarray) -> Uncertainty:
    """Returns the uncertainty from the mean of the probabilities [N,C] and the mean of their entropies [N], nats."""
    probs = np.asarray(probs, np.float64)
    total = special.entr(probs).sum(-1)
    # Rounding can take the difference below 0.
    return Uncertainty(probs, total, np.maximum(total - np.asarray(entropy, np.float64), 0))


def keeps(probs: np.ndarray, threshold: float) -> np.ndarray:
    """Returns which rows of probabilities [N,C] have a confidence of at least the threshold, bool [N]."""
    return _confidence(probs) >= threshold


def tempered(found: Uncertainty, temperature: float) -> Uncertainty:
    """Returns probabilities divided by a temperature in their logarithms, and their entropy.

    The mutual information stays: it is that of the samples as they were drawn.
    """
    probs = calibration.apply(found.probs, temperature)
    return Uncertainty(probs, special.entr(probs).sum(-1), found.mutual_information_nats)


def novelty(bounds: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns how unlike the reference rows a row is, from 0 to 1; high is novel.

    novelty(x) = ( #{r: bound_r > bound(x)} + #{r: bound_r = bound(x)} / 2 ) / R

    It is one minus the share of reference rows with a lower bound, ties half. Rows that come as the reference rows did
    have novelty uniform on [0,1], so 1 - novelty is the level of a test. Bounds of rows that the model was trained on
    are a little high where it memorises, which makes all new rows seem more novel; those of validation rows are not.

    Args:
      bounds: -U(x) of the rows [N], nats. -inf, and NaN, which only a row far from training gives, are the lowest.
      reference: -U(x) of rows as they usually are [R], with as many samples as `bounds`; NaN counts as -inf.

    Returns:
      Novelty [N], NaN if R = 0.
    """
    bounds, reference = _lowest_if_nan(bounds), np.sort(_lowest_if_nan(reference))
    if not len(reference):
        return np.full(len(bounds), np.nan)
    below, below_or_equal = (np.searchsorted(reference, bounds, side) for side in ("left", "right"))
    return 1 - (below + below_or_equal) / (2 * len(reference))


def most(scores: np.ndarray, num: int) -> np.ndarray:
    """Returns the places of the `num` highest scores [N], highest first, the first of equal ones first, NaN last."""
    return np.argsort(-np.asarray(scores, np.float64), kind="stable")[:num]


def risk_coverage(probs: np.ndarray, y: np.ndarray) -> RiskCoverage:
    """Returns the error of the most confident rows, over known labels; rows of one confidence share their errors.

    Args:
      probs: probabilities [N,C]; a row with a NaN is the least confident.
      y: classes [N], -1 where not known.
    """
    confidence, wrong = _answers(probs, y)
    distinct, place = np.unique(-confidence, return_inverse=True)
    counts = np.bincount(place, minlength=len(distinct))
    mean_wrong = np.bincount(place, wrong, len(distinct)) / counts
    rank = np.arange(1, len(wrong) + 1)
    return RiskCoverage(rank / max(len(wrong), 1), np.cumsum(np.repeat(mean_wrong, counts)) / rank,
                        np.repeat(-distinct, counts))


def abstention(probs: np.ndarray, y: np.ndarray, target_accuracy: float, sure: float | None = None) -> Abstention:
    """Finds the smallest threshold of the confidence above which answers are right as often as asked.

    `sure` not given: the accuracy of the given rows themselves is at least the target; rows to come may do worse, the
    more so the fewer the labels. `sure` given, 0.95 say: with that probability over the given rows, the accuracy of
    rows to come is at least the target. For it, 20 shares of the rows are tried, and of each the bound of Clopper and
    Pearson at level 1 - (1 - sure) / 20 must reach the target:

    accuracy_k >= BetaQuantile( (1 - sure) / 20;  right_k, k - right_k + 1 )

    Args:
      probs: probabilities [N,C] of held-out or cross-fitted rows, calibrated; one with a NaN gets no answer.
      y: classes [N], -1 where not known.
      target_accuracy: between 0 and 1.
      sure: how sure the target must be of rows to come, between 0 and 1.

    Returns:
      The confidence of the least confident row that is kept; 0 if all are, infinity if no threshold reaches the target.
    """
    from scipy import stats
    confidence, wrong = _answers(probs, y)
    num, order = len(wrong), np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.cumsum(1 - wrong[order])
    # A threshold keeps all rows of one confidence, and none that has no confidence.
    last = np.flatnonzero((np.append(confidence[1:], -np.inf)[:num] < confidence) & (confidence >= 0))
    if sure is None:
        good = last[right[last] >= target_accuracy * (last + 1) - 1e-9]
    else:
        last = _spread(last, num)
        low = stats.beta.ppf((1 - sure) / NUM_TRIED, np.maximum(right[last], 1), last + 2 - right[last])
        good = last[(right[last] > 0) & (low >= target_accuracy)]
    if not len(good):
        return Abstention(float("inf"), 0.0, float("nan"), num)
    kept = int(good[-1]) + 1
    threshold = float(confidence[kept - 1]) if kept < num else 0.0
    return Abstention(threshold, kept / num, float(right[kept - 1] / kept), num)


def _spread(places: np.ndarray, num: int) -> np.ndarray:
    """Those of some places of `num` rows that are next to `NUM_TRIED` even shares of them."""
    wanted = np.ceil(np.arange(1, NUM_TRIED + 1) / NUM_TRIED * num) - 1
    return np.unique(places[np.minimum(np.searchsorted(places, wanted), len(places) - 1)]) if len(places) else places


def _confidence(probs: np.ndarray) -> np.ndarray:
    """Highest probability of each row; -1 for one with a NaN, which is below every threshold."""
    return np.nan_to_num(np.asarray(probs).max(-1, initial=0), nan=-1.0)


def _answers(probs: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and whether the answer is wrong, of rows whose labels are known."""
    probs, y = metrics.known(probs, y)
    return _confidence(probs), (metrics.predicted(probs) != y).astype(np.float64)


def _lowest_if_nan(bounds: np.ndarray) -> np.ndarray:
    bounds = np.asarray(bounds, np.float64)
    return np.where(np.isnan(bounds), -np.inf, bounds)
