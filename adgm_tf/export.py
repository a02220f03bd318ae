"""Exports a run as a SavedModel with plain tensor signatures, loadable without this package; or for ONNX or LiteRT.

python -m adgm_tf.export --run_dir=RUN                            RUN/export/<version>/
python -m adgm_tf.export --run_dir=RUN --format=onnx              RUN/export/onnx/<version>/
python -m adgm_tf.export --run_dir=RUN --format=tflite --int8     RUN/export/tflite/<version>/
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli, errors

FORMATS = ("saved_model", "onnx", "tflite")


def define_flags() -> None:
    """Defines the flags of this entry point."""
    cli.define_run_flags()
    flags.DEFINE_integer("num_samples", None, "Samples of a that the classifier averages, fixed in the export; "
                         "num_eval_samples of the run if not given.", lower_bound=1)
    flags.DEFINE_string("format", "saved_model", "saved_model, onnx (a file a signature) or tflite (for LiteRT, one "
                        "file); the last two need the extra export.")
    flags.DEFINE_bool("int8", False, "With --format=tflite: numbers of 8 bits, whose ranges are taken from the run's "
                      "training examples; int8.json says how far the answers are from those of 32.")


def main() -> None:
    """Writes export/<version>/, or export/<format>/<version>/, to the run directory."""
    values = flags.FLAGS
    run_dir = cli.required("run_dir")
    if values.format not in FORMATS:
        raise errors.unknown("format", values.format, FORMATS)
    if values.int8 and values.format != "tflite":
        raise errors.UserError(f"int8=true: goes with format=tflite, not {values.format}")
    with cli.quietly():
        from adgm_tf.runs import other_runtimes, saved_model, stored
    run = stored.load(run_dir, values.weights, values.data_dir)
    if values.format == "saved_model":
        print(saved_model.write(run, values.num_samples))
        return
    int8 = other_runtimes.int8_data(run) if values.int8 else None
    with cli.quietly():
        path = other_runtimes.write(run.path / "export" / values.format, saved_model.of_run(run), values.format,
                                    values.num_samples, int8)
    print(path)


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
