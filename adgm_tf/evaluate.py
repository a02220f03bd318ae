"""Evaluates a run: error, calibration, bound, error by class, confusion matrix, KL of each unit.

python -m adgm_tf.evaluate --run_dir=RUN
python -m adgm_tf.evaluate --run_dir=RUN --input=labelled.csv
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli, errors


def define_flags() -> None:
    """Defines the flags of this entry point."""
    cli.define_run_flags()
    flags.DEFINE_string("input", None, "Evaluate on labelled rows of a file instead: .csv, .tsv, .parquet or .npz, or "
                        "a folder of pictures.")
    flags.DEFINE_string("split", "test", "test, valid, unlabelled or labelled.")
    flags.DEFINE_string("dataset", None, "Evaluate on this data set of the same shape; that of the run if not given.")
    flags.DEFINE_integer("num_samples", None, "Samples of a that the classifier averages; num_eval_samples of the run "
                         "if not given.", lower_bound=1)
    flags.DEFINE_string("classifier", None, "q_y or bound; that of the run if not given.")
    flags.DEFINE_integer("num_importance_samples", 0, "Also estimate log p(x) with this many importance samples.",
                         lower_bound=0)
    flags.DEFINE_bool("label_spreading", False, "Also give the error of scikit-learn's LabelSpreading on this split.")


def main() -> None:
    """Prints the evaluation and writes it to a file of evaluation/ in the run directory, with figures."""
    values = flags.FLAGS
    run_dir = cli.required("run_dir")
    with cli.quietly():
        from adgm_tf.runs import assessment, stored
    if values.input and (values.dataset or flags.FLAGS["split"].present):
        raise errors.UserError(f"input={values.input}: takes the place of dataset and split; leave them out")
    run = stored.load(run_dir, values.weights, values.data_dir)
    if values.input:
        chosen = assessment.Assessed(stored.rows_of(run, values.input), source=values.input)
    else:
        examples = stored.examples(run, values.split, values.dataset, values.data_dir)
        chosen = assessment.Assessed(examples, values.split, values.dataset or run.config.dataset)
    evaluator = run.evaluator(values.num_samples, values.classifier)
    found = assessment.assess(run, evaluator, chosen, num_importance_samples=values.num_importance_samples,
                              label_spreading=values.label_spreading)
    print(f"{assessment.table(found)}\n\n{assessment.summary(found)}")


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
