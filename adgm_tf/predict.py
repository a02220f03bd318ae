"""Predicts the rows of a file: class, probabilities, uncertainty, novelty, and where to give no answer.

python -m adgm_tf.predict --run_dir=RUN --input=new.csv --output=answers.csv
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_string("run_dir", None, "Run directory.")
    flags.DEFINE_string("weights", "last", "last, or best: those with the lowest validation error.")
    flags.DEFINE_string("input", None, "Rows to predict: a .csv, .tsv, .parquet or .npz file, or a folder of pictures.")
    flags.DEFINE_string("output", None, "Answers, a row a row, in the same order: a .csv, .tsv, .parquet or .npz file.")
    flags.DEFINE_string("id_column", "", "Column of the input that names the rows, carried along; that of the run if "
                        "not given.")
    flags.DEFINE_float("target_accuracy", None, "From 0 to 1: adds a column abstain, true where the confidence is too "
                       "low for answers that are right that often.")
    flags.DEFINE_bool("keep_given_labels", False, "A label that the input has stays the class of its row.")


def main() -> None:
    """Writes the answers and prints how they were made."""
    values = flags.FLAGS
    run_dir, source, target = (cli.required(name) for name in ("run_dir", "input", "output"))
    with cli.quietly():
        from adgm_tf.runs import predicting, trained
    asked = predicting.Asked(values.id_column, values.target_accuracy, values.keep_given_labels)
    model = trained.load(run_dir, values.weights)
    if values.weights != "last":
        print("temperature, abstention and novelty are those of the last weights")
    print("\n".join(predicting.predict(model, source, target, asked)))


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
