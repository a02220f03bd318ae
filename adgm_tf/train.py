"""Trains a model of the family and writes a run directory.

python -m adgm_tf.train                                   100 labels of the embedded 5,000 MNIST images
python -m adgm_tf.train --dataset=mnist --data_dir=DIR    the full MNIST
python -m adgm_tf.train --run_dir=RUN                     resumes a run that was stopped
"""

from __future__ import annotations

import sys

from absl import flags

from adgm_tf import config as config_lib
from adgm_tf.host import cli


def main() -> None:
    """Trains, or goes on, and prints what was measured."""
    given = config_lib.given_flags(flags.FLAGS)
    config_lib.Config(**given)
    cli.one_core_an_operation()
    with cli.quietly():
        from adgm_tf.runs import job
        from adgm_tf.training import loop
    try:
        measured = job.run(given)
    except loop.Interrupted as stop:
        print(f"{stop} and saved; to go on: python -m adgm_tf.train --run_dir={stop.run_dir}", flush=True)
        sys.exit(128 + stop.number)
    for name in ("test_error_percent", "transductive_error_percent", "test_bound_nats", "seconds"):
        if measured.get(name) is not None:
            print(f"{name}: {measured[name]:.2f}")
    print(f"run directory: {measured['run_dir']}")


if __name__ == "__main__":
    config_lib.define_flags()
    flags.adopt_module_key_flags(config_lib)
    cli.run(main, __doc__)
