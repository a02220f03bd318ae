"""Exports a run as a SavedModel with plain tensor signatures, loadable without this package.

python -m adgm_tf.export --run_dir=RUN
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli


def define_flags() -> None:
    """Defines the flags of this entry point."""
    cli.define_run_flags()
    flags.DEFINE_integer("num_samples", None, "Samples of a that the classifier averages, fixed in the export; "
                         "num_eval_samples of the run if not given.", lower_bound=1)


def main() -> None:
    """Writes export/<version>/ to the run directory."""
    values = flags.FLAGS
    run_dir = cli.required("run_dir")
    with cli.quietly():
        from adgm_tf.runs import saved_model, stored
    run = stored.load(run_dir, values.weights, values.data_dir)
    print(saved_model.write(run, values.num_samples))


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
