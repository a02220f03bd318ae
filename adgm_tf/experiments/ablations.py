"""One change at a time, of the best recipe and of the poster's model."""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Results

_COMMON, _TERMS, _RATE, _CLASSIFIER, _RECIPE, _POSTER = (
    f"ablations/{name}.txt" for name in ("flags", "terms", "rate", "classifier", "recipe", "poster"))
_OF_RECIPE = {
    "recipe": "",
    "no_consistency": "--consistency=none",
    "no_entropy": "--entropy_weight=0",
    "no_balance": "--balance_weight=0",
    "no_terms": "--consistency=none --entropy_weight=0 --balance_weight=0",
    "no_noise": "--classifier_noise=0",
    "no_depth": "--classifier_units=500,500",
    "no_normalization": "--normalization=none",
    "binary_pixels": "--binarization=bernoulli",
    "adgm": "--model=adgm",
    "adgm_icml": "--model=adgm_icml",
    "m2": "--model=m2",
    "propagation": "--propagation_weight=4",
    "shift": "--shift=2",
    "shift_invariance": "--shift=2 --invariance_weight=8",
}
# Flags, or the file of a part of the recipe.
_OF_POSTER = {
    "poster": "",
    "poster_grey": "--binarization=none",
    "poster_normalization": "--normalization=batch",
    "poster_rate": _RATE,
    "poster_terms": _TERMS,
    "poster_skip": "--model=sdgm",
    "poster_depth_noise": _CLASSIFIER,
}


def _row(name: str, flagfiles: tuple[str, ...], change: str) -> TableRow:
    if change.endswith(".txt"):
        return TableRow(name, "ablations", (_COMMON, *flagfiles, change))
    return TableRow(name, "ablations", (_COMMON, *flagfiles), tuple(change.split()))


_ROWS = (*(_row(name, (_TERMS, _RATE, _CLASSIFIER, _RECIPE), change) for name, change in _OF_RECIPE.items()),
         # The same terms without a generative part, with the recipe's alpha.
         _row("classifier_alone", (_TERMS, _RATE), "--model=vat --classification_weight=600"),
         *(_row(name, (_POSTER,), change) for name, change in _OF_POSTER.items()))
_CHANGED = tuple(row.name for row in _ROWS if row.name not in ("recipe", "poster"))

EXPERIMENT = Experiment(
    "ablations", "The best recipe without one part at a time, and the poster's model with one at a time: 3,000 steps.",
    _ROWS, splits=(0, 1), any_length=True, outputs=(
        Results("ablations/results.csv", "ablations", tuple(row.name for row in _ROWS), comparisons=tuple(
            (name, "poster" if name.startswith("poster_") else "recipe") for name in _CHANGED)),))
