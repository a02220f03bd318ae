"""Draws pictures from a run: samples by class, reconstructions, and the style of one image in every class.

python -m adgm_tf.sample --run_dir=RUN
"""

from __future__ import annotations

from absl import flags

from adgm_tf.host import cli


def define_flags() -> None:
    """Defines the flags of this entry point."""
    cli.define_run_flags()
    flags.DEFINE_integer("num_samples", 10, "Samples of z a class.", lower_bound=1)
    flags.DEFINE_integer("num_analogies", 10, "Test examples shown in every class, and reconstructed.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of the samples.", lower_bound=0, upper_bound=2**31 - 1)


def main() -> None:
    """Writes samples.png, reconstructions.png and analogies.png to the figures of the run."""
    values = flags.FLAGS
    run_dir = cli.required("run_dir")
    with cli.quietly():
        from adgm_tf.runs import drawing, stored
    run = stored.load(run_dir, values.weights, values.data_dir)
    for path in drawing.draw(run, values.num_samples, values.num_analogies, values.seed):
        print(path)


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
