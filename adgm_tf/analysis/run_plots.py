"""Figures of what a run learnt and how far its answers can be trusted; colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adgm_tf.analysis import calibration, metrics, plots
from adgm_tf.analysis.calibration import Reliability
from adgm_tf.analysis.uncertainty import Abstention, RiskCoverage

# Okabe and Ito's, the darker ones first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
MARKS = "osD^vP*"
MOST_POINTS = 1000
# Numbers of a step that say how it went, not what was learnt.
NOT_LEARNT = {"step", "set", "seconds", "epoch", "examples_per_second", "learning_rate", "gradient_norm"}


def reliability(reliabilities: Mapping[str, Reliability]) -> np.ndarray:
    """Draws accuracy against confidence by name ("before", "after"), with 95 % intervals, and the share of rows a bin.

    Args:
      reliabilities: what `calibration.reliability` gives, by name.
    """
    figure, (above, below) = plots.new_axes(5, 5.6, nrows=2, sharex=True, height_ratios=(4, 1))
    above.plot([0, 100], [0, 100], color="0.6", linewidth=1, label="as often right as said")
    width = 100 / calibration.NUM_BINS / (len(reliabilities) + 1)
    for i, (name, found) in enumerate(reliabilities.items()):
        x, y, colour = 100 * found.confidence, 100 * found.accuracy, COLOURS[i % len(COLOURS)]
        intervals = [metrics.wilson(round(a * n), int(n)) for a, n in zip(found.accuracy, found.count, strict=True)]
        bars = np.abs(y - 100 * np.reshape(intervals, (-1, 2)).T)
        label = f"{plots.shown(name, 40)} (calibration error {100 * found.error:.1f} %)"
        above.errorbar(x, y, yerr=bars, color=colour, linestyle=LINES[i % 4], marker=MARKS[i % 7], markersize=5,
                       capsize=2, elinewidth=0.8, linewidth=0.8, label=label)
        below.bar(x + width * (i - (len(reliabilities) - 1) / 2), 100 * found.count / max(found.count.sum(), 1), width,
                  color=colour)
    above.set(ylabel="right answers, %", xlim=(0, 101), ylim=(0, 101))
    below.set(xlabel="confidence, %", ylabel="rows, %")
    figure.legend(loc="outside lower center", fontsize=9)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    return plots.drawn(figure)


def risk_coverage(found: Mapping[str, RiskCoverage], chosen: Abstention | None = None) -> np.ndarray:
    """Draws the error of the most confident rows against their share.

    Args:
      found: what `uncertainty.risk_coverage` gives, by name.
      chosen: a threshold to mark, if it keeps any row.
    """
    figure, axes = plots.new_axes(6, 4)
    for i, (name, curve) in enumerate(found.items()):
        places = _thinned(len(curve.risk))
        axes.plot(100 * curve.coverage[places], 100 * curve.risk[places], color=COLOURS[i % len(COLOURS)],
                  linestyle=LINES[i % 4], marker="o" if len(places) <= plots.MOST_MARKED else None,
                  label=f"{plots.shown(name, 40)} (area {100 * curve.area:.2f} %)")
    if chosen and chosen.coverage:
        axes.plot(100 * chosen.coverage, 100 * (1 - chosen.accuracy), "*", color="black", markersize=12, linestyle="",
                  clip_on=False, zorder=3, label=f"threshold {chosen.threshold:.3g}, where it was chosen")
    axes.set(xlabel="rows that get an answer, the most confident first, %", ylabel="error among them, %",
             xlim=(0, 100))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return plots.drawn(figure)


def learning_curves(lines: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Draws what was recorded while a run learnt, by what it is: loss, errors, bounds, terms of them, other terms.

    One point is no curve: what was recorded once alone is left out.

    Args:
      lines: of `metrics.jsonl`: {"step": int, "set": str, name: number or None}; what isn't a number is left out.

    Returns:
      {title: picture}, those that there is anything for.
    """
    groups: dict[str, dict[str, list]] = {title: {} for title in
                                          ("Loss", "Errors", "Bounds", "Terms of the bounds", "Other terms")}
    for line in lines:
        for name, value in line.items():
            if name not in NOT_LEARNT and isinstance(value, int | float) and np.isfinite(value):
                label, group = _label(name, str(line.get("set", ""))), groups[_group(name)]
                group.setdefault(label, []).append((line["step"], value))
    units = {"Loss": "nats", "Errors": "%", "Bounds": "nats", "Terms of the bounds": "nats", "Other terms": ""}
    return {title: _learning(series, units[title], logarithmic=title == "Other terms")
            for title, series in groups.items() if any(len(points) > 1 for points in series.values())}


def _group(name: str) -> str:
    last = name.rpartition("/")[2]
    if last == "loss":
        return "Loss"
    if last.endswith("error_percent"):
        return "Errors"
    if last in ("bound", "bound_nats", "reconstruction") or last.endswith("_bound_nats"):
        return "Bounds"
    return "Terms of the bounds" if last == "entropy" or last.startswith("kl_") else "Other terms"


def _label(name: str, of_set: str) -> str:
    """`error_percent` of `valid` is "valid error"; names of training stand as they are."""
    words = name.removesuffix("_nats").removesuffix("_percent").replace("/", " ").replace("_", " ")
    return f"{of_set} {words}" if of_set == "valid" and words in ("error", "bound") else words


def _learning(series: Mapping[str, list], unit: str, *, logarithmic: bool) -> np.ndarray:
    figure, axes = plots.new_axes(6, 4)
    for i, (name, points) in enumerate(series.items()):
        x, y = _averaged(np.asarray(points, np.float64))
        if logarithmic:
            # A logarithm has no place for what is not positive.
            y = np.where(y > 0, y, np.nan)
        axes.plot(x, y, color=COLOURS[i % len(COLOURS)], linestyle=LINES[i // len(COLOURS) % 4], linewidth=1.4,
                  marker=MARKS[i % 7] if len(x) <= plots.MOST_MARKED else None, markersize=4,
                  label=plots.shown(name, 40))
    axes.set(xlabel="step", ylabel=unit, yscale="log" if logarithmic else "linear")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return plots.drawn(figure)


def _averaged(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of points [n,2], means of equal stretches if they are many."""
    if len(points) > MOST_POINTS:
        points = np.stack([part.mean(0) for part in np.array_split(points, MOST_POINTS)])
    return points[:, 0], points[:, 1]


def _thinned(num: int) -> np.ndarray:
    return np.unique(np.linspace(0, num - 1, min(num, MOST_POINTS)).astype(int)) if num else np.empty(0, int)
