"""Predicts the rows of a file: class, probabilities, uncertainty, novelty, and where to give no answer.

python -m adgm_tf.predict --run_dir=RUN --input=new.csv --output=answers.csv
python -m adgm_tf.predict --run_dir=RUN --input='new-*.csv' --output=FOLDER --runner=DirectRunner    by Apache Beam
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli, errors


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_string("run_dir", None, "Run directory.")
    flags.DEFINE_string("weights", "last", "last, or best: those with the lowest validation error.")
    flags.DEFINE_string("input", None, "Rows to predict: a .csv, .tsv, .parquet or .npz file, or a folder of pictures; "
                        "with --runner a pattern of such files, as 'new-*.csv'.")
    flags.DEFINE_string("output", None, "Answers, a row a row, in the same order: a .csv, .tsv, .parquet or .npz file; "
                        "with --runner a folder.")
    flags.DEFINE_string("id_column", "", "Column of the input that names the rows, carried along; that of the run if "
                        "not given.")
    flags.DEFINE_float("target_accuracy", None, "From 0 to 1: adds a column abstain, true where the confidence is too "
                       "low for answers that are right that often.")
    flags.DEFINE_bool("keep_given_labels", False, "A label that the input has stays the class of its row.")
    flags.DEFINE_string("runner", "", "Runner of Apache Beam that predicts file by file: DirectRunner, FlinkRunner, "
                        "SparkRunner or DataflowRunner. Files whose answers are there are left out.")
    flags.DEFINE_list("runner_options", [], "Options of Beam, as direct_num_workers=2, with commas between.")
    flags.DEFINE_string("export_dir", "", "With --runner: a SavedModel in the place of the run, for .npy and .npz.")


def main() -> None:
    """Writes the answers and prints how they were made."""
    values = flags.FLAGS
    if values.runner:
        _predict_shards(values)
        return
    for name in ("runner_options", "export_dir"):
        if values[name].value:
            raise errors.UserError(f"{name}={values[name].value}: is for --runner")
    run_dir, source, target = (cli.required(name) for name in ("run_dir", "input", "output"))
    with cli.quietly():
        from adgm_tf.runs import predicting, trained
    asked = predicting.Asked(values.id_column, values.target_accuracy, values.keep_given_labels)
    model = trained.load(run_dir, values.weights)
    if values.weights != "last":
        print("temperature, abstention and novelty are those of the last weights")
    print("\n".join(predicting.predict(model, source, target, asked)))


def _predict_shards(values: flags.FlagValues) -> None:
    source, target = cli.required("input"), cli.required("output")
    for name in ("run_dir", "weights", "id_column", "target_accuracy", "keep_given_labels"):
        if values.export_dir and values[name].present:
            raise errors.UserError(f"export_dir={values.export_dir}: --{name} is given as well, which is for a run; "
                                   "leave one of them out")
    with cli.quietly():
        from adgm_tf.runs import beam
    asked = beam.Asked(values.id_column, values.target_accuracy, values.keep_given_labels)
    answering = beam.OfExport(values.export_dir) if values.export_dir else beam.OfRun(
        cli.required("run_dir"), asked, values.weights)
    options = [f"--{option}" for option in values.runner_options]
    done = beam.predict_shards(source, target, answering, values.runner, options)
    print(f"{target}: {len(done):,} files of answers written")


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
