"""Error against the number of labels: the best recipe beside other systems."""

from __future__ import annotations

from adgm_tf.experiments.by_number import ByNumber
from adgm_tf.experiments.definitions import Experiment, TableRow

HOME = "labels"
NUMBERS = (20, 50, 100, 1000, 3000)
# Of a flag that two files have, the last counts: that of the ablations sets the length and the batches of all.
_COMMON, _RATE = "ablations/flags.txt", "ablations/rate.txt"
_POSTER = ("ablations/poster.txt", _RATE, _COMMON)
_RECIPE = tuple(f"ablations/{name}.txt" for name in ("terms", "rate", "classifier", "recipe", "flags"))
SYSTEMS = {
    "recipe": (_RECIPE, ()),
    "adgm": (_POSTER, ()),
    "m2": (_POSTER, ("--model=m2",)),
    "vat": (("table1/vat.txt", _COMMON), ()),
    "ladder": (("table1/ladder.txt", _COMMON), ()),
}

_ROWS = tuple(TableRow(f"{name}-{number}", HOME, flagfiles, (*flags, f"--num_labels={number}"))
              for number in NUMBERS for name, (flagfiles, flags) in SYSTEMS.items())
EXPERIMENT = Experiment(
    HOME, "Error against the number of labels, 20 to 3,000 of MNIST, after 3,000 steps.", _ROWS, splits=(0, 1, 2),
    any_length=True, outputs=(
        ByNumber(f"{HOME}/results.csv", HOME, tuple(row.name for row in _ROWS), png=f"{HOME}/errors.png",
                 systems=tuple(SYSTEMS), numbers=NUMBERS, counted="labels"),))
