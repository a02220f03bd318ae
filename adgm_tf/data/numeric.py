"""Columns of numbers: the skewed ones straightened, all standardised, missing cells at the median."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

SKEWED = 1.0  # Columns of a larger skewness are straightened.
FLATTEST = -5.0  # The smallest power: below it the largest values of a column can no longer be told apart.
LIMIT = 1e6  # Standard deviations beyond which a cell counts as so many: float32 squares them.


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Takes numbers x to (t - centre) * scale, all in float64.

    For a straight column t = x. For a curved one, with u = sign (x - shift) / unit,

        t = sign ((1 + u)^power - 1) / power,  or  sign log(1 + u) at power 0      u >= 0
        t = sign u                                                                 u < 0

    The shift is the smallest training value (sign 1) or the largest (sign -1), the unit the median distance from it of
    the others, and the power scikit-learn's estimate for Yeo and Johnson's transform of u, whose upper half this is.

    Attributes:
      names: of the columns [n].
      curved: whether a column is skewed [n].
      sign, shift, unit, power: as above [n].
      centre, scale: mean and 1 / standard deviation of t over the training cells that are there [n]; a column that is
        constant there has scale 1.
      median: what a missing cell is taken for by q [n].
      lowest, highest: the training cells lie between them [n].
      whole: whether they are whole numbers [n].
      indicated: whether a training cell is missing, so that q sees where one is [n].
    """

    names: tuple[str, ...]
    curved: np.ndarray
    sign: np.ndarray
    shift: np.ndarray
    unit: np.ndarray
    power: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    median: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    whole: np.ndarray
    indicated: np.ndarray

    def straightened(self, x: np.ndarray) -> np.ndarray:
        """Returns t [N, n]; NaN where x is."""
        t = x.astype(np.float64)
        for j in np.flatnonzero(self.curved):
            u = self.sign[j] * (t[:, j] - self.shift[j]) / self.unit[j]
            t[:, j] = self.sign[j] * _bent(u, self.power[j])
        return t

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """Returns (t - centre) * scale, float64 [N, n]; NaN where x is."""
        return np.clip((self.straightened(x) - self.centre) * self.scale, -LIMIT, LIMIT)

    def seen(self, frame: Any) -> np.ndarray:
        """Returns the numbers, a missing one at its median, and 1 where one is missing, float32 [N, n + indicated]."""
        x = self._cells(frame)
        filled = self.standardised(np.where(np.isnan(x), self.median, x))
        return np.concatenate([filled, np.isnan(x[:, self.indicated])], 1).astype(np.float32)

    def described(self, frame: Any) -> np.ndarray:
        """Returns the numbers, float32 [N, n]; 0 where one is missing."""
        return np.nan_to_num(self.standardised(self._cells(frame))).astype(np.float32)

    def observed(self, frame: Any) -> np.ndarray:
        """Returns 1 where a number is there and 0 where not, float32 [N, n]."""
        return (~np.isnan(self._cells(frame))).astype(np.float32)

    def inverse(self, described: np.ndarray) -> np.ndarray:
        """Returns numbers in their units [N, n], between the smallest and the largest of training."""
        t = described.astype(np.float64) / self.scale + self.centre
        for j in np.flatnonzero(self.curved):
            u = _straight(self.sign[j] * t[:, j], self.power[j])
            t[:, j] = self.sign[j] * u * self.unit[j] + self.shift[j]
        x = np.clip(t, self.lowest, self.highest)
        return np.where(self.whole, np.round(x), x)

    def _cells(self, frame: Any) -> np.ndarray:
        return frame[list(self.names)].to_numpy(np.float64)

    @property
    def seen_names(self) -> list[str]:
        """One name a column of what q sees."""
        return [*self.names, *(f"{self.names[j]} is missing" for j in np.flatnonzero(self.indicated))]

    @property
    def described_names(self) -> list[str]:
        """One name a column of what p describes."""
        return list(self.names)


def _bent(u: np.ndarray, power: float) -> np.ndarray:
    log = np.log1p(np.maximum(u, 0))
    return np.where(u < 0, u, log if power == 0 else np.expm1(power * log) / power)


def _straight(t: np.ndarray, power: float) -> np.ndarray:
    """The inverse of `_bent`; a value that it never reaches stands for infinity."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        log = t if power == 0 else np.log1p(np.maximum(power * t, -1)) / power
        return np.where(t < 0, t, np.expm1(log))


def fit(frame: Any, names: tuple[str, ...]) -> Numbers:
    """Returns the transformation fitted on the cells of the training rows that are there.

    Args:
      frame: a DataFrame of typed columns [N].
      names: of those that are numbers [n].
    """
    x = frame[list(names)].to_numpy(np.float64)
    found = [_fit_column(x[:, j][~np.isnan(x[:, j])]) for j in range(len(names))]
    of = {key: np.array([values[key] for values in found]) for key in found[0]}
    return Numbers(names, indicated=np.isnan(x).any(0), **of)


def _fit_column(x: np.ndarray) -> dict[str, Any]:
    x = x if len(x) else np.zeros(1)
    curve = _curve(x) if _skewness(x) > SKEWED else None
    straight = dict(curved=False, sign=1.0, shift=0.0, unit=1.0, power=1.0)
    t = x
    if curve:
        u = curve["sign"] * (x - curve["shift"]) / curve["unit"]
        t = curve["sign"] * _bent(u, curve["power"])
        curve, t = (curve, t) if _skewness(t) < _skewness(x) else (None, x)
    from sklearn.preprocessing import StandardScaler
    fitted = StandardScaler().fit(t[:, None])
    return (curve or straight) | dict(
        centre=float(fitted.mean_[0]), scale=_scale(float(fitted.scale_[0])), median=float(np.median(x)),
        lowest=float(x.min()), highest=float(x.max()), whole=bool(np.all(x == np.floor(x))))


def _scale(stddev: float) -> float:
    with np.errstate(divide="ignore", over="ignore"):
        scale = 1 / np.float64(stddev)
    return float(scale) if np.isfinite(scale) else 1.0


def _skewness(x: np.ndarray) -> float:
    """|third central moment| / stddev^3, 0 for a constant."""
    centred = x - x.mean()
    largest = np.abs(centred).max()
    if largest <= np.abs(x).max() * 1e-14:
        return 0.0
    centred = centred / largest
    return float(abs(np.mean(centred**3)) / np.mean(centred**2) ** 1.5)


def _curve(x: np.ndarray) -> dict[str, Any]:
    from sklearn.preprocessing import PowerTransformer
    sign = 1.0 if np.mean(((x - x.mean()) / np.abs(x - x.mean()).max()) ** 3) > 0 else -1.0
    shift = x.min() if sign > 0 else x.max()
    distance = sign * (x - shift)
    unit = float(np.median(distance[distance > 0]))
    power = float(PowerTransformer(standardize=False).fit(distance[:, None] / unit).lambdas_[0])
    return dict(curved=True, sign=sign, shift=float(shift), unit=unit, power=float(np.clip(power, FLATTEST, 1.0)))
