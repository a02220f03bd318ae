"""Every experiment, by name."""

from __future__ import annotations

from adgm_tf.experiments import ablations, corners, few_labels, labels, search, table1
from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Benchmark, Curves, Kept, Results

FAMILY = ("adgm", "adgm_deterministic", "adgm_icml", "sdgm", "m2", "m1", "avae")
DTYPES = ("float32", "bfloat16")
SUMS = ("topk", "exact")

_OTHERS = (
    Experiment("family", "Every row of the family, 3,000 steps under the same conditions.",
               tuple(TableRow(name, "family", ("family/flags.txt",), (f"--model={name}",)) for name in FAMILY),
               splits=(0, 1, 2), outputs=(Results("family/results.csv", "family", FAMILY),)),
    Experiment("bfloat16", "6,000 steps of the poster's model with matrix products in float32 and in bfloat16, the "
               "same seeds.",
               tuple(TableRow(name, "bfloat16", (table1.COMMON,), ("--model=adgm", f"--compute_dtype={name}"))
                     for name in DTYPES), splits=(0, 1, 2),
               outputs=(Results("bfloat16/results.csv", "bfloat16", DTYPES, comparisons=(("bfloat16", "float32"),)),)),
    # The time of a step is measured in turn when the runs are over: theirs depend on what else ran.
    Experiment("minutes_to_error", "Steps and minutes to 5 and to 3 % test error, topk against exact, the same seeds.",
               tuple(TableRow(name, "minutes_to_error", ("minutes_to_error/flags.txt",), (f"--class_sum={name}",))
                     for name in SUMS), splits=(0, 1, 2), outputs=(
                   Benchmark("minutes_to_error/step_seconds.json",
                             ("--only=defaults_topk,defaults_exact", "--rounds=9")),
                   Curves("minutes_to_error/curves.png", "minutes_to_error/curves.csv", "minutes_to_error", SUMS,
                          reached=(5.0, 3.0), step_seconds="minutes_to_error/step_seconds.json"))),
    Experiment("quickstart", "The quickstart's training on three splits, beside LabelSpreading, and what it draws.",
               (TableRow("defaults", "quickstart"),), splits=(0, 1, 2), outputs=(
                   Results("quickstart/results.csv", "quickstart", ("defaults",), merge=False),
                   Kept(("evaluate", "--label_spreading"), "defaults", "quickstart", splits=None,
                        said="quickstart/comparison.txt"),
                   Kept(("sample",), "defaults", "quickstart", (("figures/samples.png", "quickstart/samples.png"),)))),
    Experiment("own", "One row, without an option of its own: --sweep tries values of flags with it, on any data.",
               (TableRow("run", "own"),), published=False, outputs=(Results("own/results.csv", "own", ("run",)),)),
    Experiment("benchmark", "What training steps cost on this machine; nothing else should run meanwhile.",
               outputs=(Benchmark("benchmark/benchmark.json", ("--rounds=5",), table="benchmark"),
                        Benchmark("benchmark/kinds.json", ("--profile=exact,topk,three_terms,icml_exact",),
                                  table="kinds"),
                        Benchmark("benchmark/threads.json", ("--threads",), table="threads"),
                        Benchmark("benchmark/on_disk.json", ("--on_disk",), table="on_disk"),
                        Benchmark("benchmark/against.json", table="against"))),
)
EXPERIMENTS = {experiment.name: experiment for experiment in (
    *table1.EXPERIMENTS, corners.CORNERS, corners.BEST_DEEP, ablations.EXPERIMENT, labels.EXPERIMENT,
    search.EXPERIMENT, few_labels.EXPERIMENT, *_OTHERS)}
