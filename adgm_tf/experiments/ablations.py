"""One change at a time, of the best recipe and of the poster's model."""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Results

_COMMON, _TERMS, _RECIPE, _POSTER = (f"ablations/{name}.txt" for name in ("flags", "terms", "recipe", "poster"))
_THREE_TERMS = "--consistency=vat --consistency_weight=16 --entropy_weight=4 --balance_weight=16"
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
_OF_POSTER = {
    "poster": "",
    "poster_grey": "--binarization=none",
    "poster_normalization": "--normalization=batch",
    "poster_rate": "--learning_rate=2e-3 --learning_rate_schedule=linear",
    "poster_terms": _THREE_TERMS,
    "poster_skip": "--model=sdgm",
    "poster_depth_noise": "--classifier_units=1000,500,250,250,250 --classifier_noise=0.3",
}


def _rows(changes: dict[str, str], *flagfiles: str) -> tuple[TableRow, ...]:
    return tuple(TableRow(name, "ablations", (_COMMON, *flagfiles), tuple(flags.split()))
                 for name, flags in changes.items())


# The same terms on a classifier alone: the recipe without its generative part, with the recipe's alpha.
_CLASSIFIER = TableRow("classifier_alone", "ablations", (_COMMON, _TERMS),
                       ("--model=vat", "--classification_weight=600"))
_ROWS = (*_rows(_OF_RECIPE, _TERMS, _RECIPE), _CLASSIFIER, *_rows(_OF_POSTER, _POSTER))
_CHANGED = tuple(row.name for row in _ROWS if row.name not in ("recipe", "poster"))

EXPERIMENT = Experiment(
    "ablations", "The best recipe without one part at a time, and the poster's model with one at a time: 3,000 steps.",
    _ROWS, splits=(0, 1), any_length=True, outputs=(
        Results("ablations/results.csv", "ablations", tuple(row.name for row in _ROWS), comparisons=tuple(
            (name, "poster" if name.startswith("poster_") else "recipe") for name in _CHANGED)),))
