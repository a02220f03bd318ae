"""Table 1, and the experiments that are made of its rows: the poster's figures, the order of the images, the recipe."""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Curves, Kept, Results, Units

COMMON = "table1/flags.txt"
THREE = (0, 1, 2)
NAMES = ("adgm_1mc", "adgm_10mc", "adgm_deterministic", "m2", "m1m2", "adgm_icml", "sdgm", "adgm_iw", "sdgm_iw",
         "supervised_100", "supervised_all", "vat", "ladder", "atlas_rbf", "label_spreading", "self_training",
         "workshop2015_class_sorted", "workshop2015_shuffled", "workshop2015_trained",
         "workshop2015_10mc_class_sorted", "workshop2015_10mc_shuffled", "best_honest", "best_honest_long",
         "best_honest_conv", "best_honest_conv_long")
# Rows with two stages, and the flags of the first one.
FIRST_STAGES = {"m1m2": (COMMON, "table1/features/m1m2.txt")}
ROWS = {name: TableRow(name, "table1", (COMMON, f"table1/{name}.txt"), first_stage=FIRST_STAGES.get(name, ()))
        for name in NAMES}
# Models without a classifier: what counts is the log-likelihood of the test images.
UNSUPERVISED = tuple(TableRow(name, "unsupervised", (COMMON, f"unsupervised/{name}.txt"), likelihood=True)
                     for name in ("avae", "m1"))

RESULTS = Results("table1/results.csv", "table1", NAMES, published="table1/published.csv", comparisons=(
    ("best_honest_long", "best_honest"), ("best_honest_conv", "best_honest_long"),
    ("workshop2015_class_sorted", "workshop2015_shuffled"),
    ("workshop2015_10mc_class_sorted", "workshop2015_10mc_shuffled"),
    ("workshop2015_trained", "workshop2015_shuffled"), ("adgm_10mc", "adgm_1mc"), ("adgm_iw", "adgm_1mc"),
    ("sdgm", "adgm_1mc"), ("ladder", "vat")))
UNSUPERVISED_RESULTS = Results("unsupervised/results.csv", "unsupervised", tuple(row.name for row in UNSUPERVISED))


def rows(*names: str) -> tuple[TableRow, ...]:
    """Returns rows of Table 1."""
    return tuple(ROWS[name] for name in names)


def order_curves(picture: str, *names: str) -> Curves:
    """Returns the curves of rows that differ in the order of the unlabelled images."""
    return Curves(f"table1/{picture}.png", f"table1/{picture}.csv", "table1", names, errors=("test", "hidden"),
                  tensorboard=True)


def units(row: str, home: str, name: str, splits: tuple[int, ...] | None = (0,), *,
          given: bool = False) -> Kept:
    """Returns the KL of each unit of runs, as a picture and as numbers."""
    files = (("figures/kl_per_unit.png", f"figure3/{name}.png"), ("evaluation/test.json", f"figure3/{name}.json"))
    return Kept(("evaluate",), row, home, files, splits=splits, given=given)


FIGURE4 = ("adgm_1mc", "adgm_10mc", "adgm_deterministic", "m2")
ONE_SAMPLE = ("workshop2015_class_sorted", "workshop2015_shuffled", "workshop2015_trained")
TEN_SAMPLES = ("workshop2015_10mc_class_sorted", "workshop2015_10mc_shuffled")
# q(a|x) as it was drawn at the start: one step, in which it is left alone.
UNTRAINED = TableRow("untrained", "figure3", (COMMON,), one_length=True, flags=(
    "--model=adgm", "--auxiliary_start=wide", "--freeze_auxiliary", "--num_steps=1"))

EXPERIMENTS = (
    Experiment("table1", "Table 1: MNIST with 100 labels, on split 0 unless others are named.",
               (*ROWS.values(), *UNSUPERVISED), any_length=True, outputs=(RESULTS, UNSUPERVISED_RESULTS)),
    Experiment("unsupervised", "The models without a classifier: bound and log-likelihood of the test images, nats.",
               UNSUPERVISED, splits=THREE, any_length=True, outputs=(UNSUPERVISED_RESULTS,)),
    Experiment("class_sorted", "What the order of the unlabelled images gives away: error on test images and on "
               "training images with hidden labels, against epochs.", rows(*ONE_SAMPLE, *TEN_SAMPLES), splits=THREE,
               any_length=True, outputs=(RESULTS, order_curves("class_sorted", *ONE_SAMPLE),
                                         order_curves("class_sorted_10mc", *TEN_SAMPLES))),
    Experiment("figure3", "The KL of each unit of a and z, sorted: of a trained run, with q(a|x) untrained, and of the "
               "runs of workshop2015_trained that are here, which train it from that start.",
               (ROWS["adgm_1mc"], UNTRAINED), any_length=True, outputs=(
                   RESULTS, units("adgm_1mc", "table1", "kl_per_unit", given=True),
                   units("untrained", "figure3", "untrained"),
                   units("workshop2015_trained", "table1", "workshop2015_trained_{split}", splits=None),
                   Units("figure3"))),
    Experiment("figure4", "Test error against epochs of the poster's models.", rows(*FIGURE4), splits=THREE,
               any_length=True, outputs=(RESULTS, Curves("figure4/convergence.png", "figure4/curves.csv", "table1",
                                                         FIGURE4, tensorboard=True))),
    Experiment("figure5", "Ten draws of z by ten classes, and the style of test images in every class.",
               rows("adgm_1mc"), any_length=True, outputs=(RESULTS, Kept(
                   ("sample",), "adgm_1mc", "table1", tuple(
                       (source, f"figure5/{source.rpartition('/')[2]}")
                       for source in ("figures/samples.png", "figures/analogies.png", "results.json")), given=True))),
    Experiment("best_honest", "The best recipe on ten splits, its curves and what its model draws.",
               rows("best_honest"), splits=tuple(range(10)), any_length=True, outputs=(
                   RESULTS, Results("best_honest/results.csv", "table1", ("best_honest",), earlier=(
                       "unlabelled_100.csv", "shares_4.csv", "balanced.csv", "warmup.csv", "conv_2400.csv",
                       "wide_h100.csv")),
                   Curves("best_honest/curves.png", "best_honest/curves.csv", "table1", ("best_honest",),
                          errors=("test", "hidden"), reached=(5.0, 3.0, 2.0)),
                   # Beside the same with convolutional layers and the poster's model, where they have been run.
                   Curves("best_honest/minutes.png", "best_honest/minutes.csv", "table1",
                          ("best_honest_conv_long", "best_honest", "adgm_10mc", "adgm_1mc"), against="minutes"),
                   Kept(("sample",), "best_honest", "table1", (
                       ("figures/samples.png", "best_honest/samples.png"),
                       ("figures/analogies.png", "best_honest/analogies.png"))))),
)
