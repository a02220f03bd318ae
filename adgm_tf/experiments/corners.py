"""The authors' procedure of 2015 in four corners, and the best recipe with perceptrons."""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Curves, Results

_SORTED, _SHUFFLED = "--unlabelled_order=class_sorted", "--unlabelled_order=shuffled"
_FLAGS = {
    "10mc_class_sorted_mixed": (_SORTED, "--mix_examples"),
    "10mc_class_sorted": (_SORTED,),
    "10mc_shuffled": (_SHUFFLED,),
    "10mc_shuffled_mixed": (_SHUFFLED, "--mix_examples"),
}
_NAMES = tuple(_FLAGS)
_BOTH = ("test", "hidden")

CORNERS = Experiment(
    "corners", "The authors' procedure of 2015, 10 samples: unlabelled images class by class or shuffled, their "
    "log-weights mixed within the batch or not.",
    tuple(TableRow(name, "corners", ("corners/flags.txt",), flags) for name, flags in _FLAGS.items()), splits=(0, 1, 2),
    any_length=True, outputs=(
        Results("corners/results.csv", "corners", _NAMES, comparisons=(
            ("10mc_class_sorted_mixed", "10mc_shuffled"), ("10mc_class_sorted_mixed", "10mc_class_sorted"),
            ("10mc_class_sorted", "10mc_shuffled"), ("10mc_shuffled_mixed", "10mc_shuffled"))),
        Curves("corners/curves.png", "corners/curves.csv", "corners", _NAMES, errors=_BOTH),
        # The corner that is the authors' own, beside their log as far as 500 epochs.
        Curves("corners/authors_log.png", "corners/authors_log.csv", "corners", _NAMES[:1], errors=_BOTH)))
BEST_DEEP = Experiment(
    "best_deep", "The best recipe with perceptrons on ten splits: a classifier of five hidden layers.",
    (TableRow("best_deep", "best_deep", ("best_deep/flags.txt",)),
     TableRow("conv_deep", "best_deep", ("best_deep/flags.txt",),
              ("--trunk=convolutional", "--unlabelled_batch_size=200", "--num_steps=7800"), one_length=True)),
    splits=tuple(range(10)), any_length=True, outputs=(
        Results("best_deep/results.csv", "best_deep", ("best_deep", "conv_deep"),
                comparisons=(("best_deep", "best_honest"),), earlier=("search.csv", "search_2.csv"),
                beside=("best_honest/results.csv",)),
        Curves("best_deep/curves.png", "best_deep/curves.csv", "best_deep", ("best_deep", "conv_deep"), errors=_BOTH)))
