"""The features that stand before a model: those of a run of m1."""

from __future__ import annotations

import pathlib

from adgm_tf import config as config_lib
from adgm_tf.config import Config
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import errors
from adgm_tf.model import construction
from adgm_tf.model.features import FeaturesOfM1
from adgm_tf.training import checkpoints, step


def of(config: Config, spec: DataSpec) -> FeaturesOfM1 | None:
    """Returns the features of `config.features_run`, None if there is none.

    Raises:
      UserError: it holds no run of m1 on the same data set.
    """
    run_dir = config.features_run
    if not run_dir:
        return None
    if not (pathlib.Path(run_dir) / "config.json").is_file():
        raise errors.UserError(f"features_run={run_dir}: holds no run")
    stored = config_lib.read(run_dir)
    for field, needed in (("model", "m1"), ("dataset", config.dataset)):
        if getattr(stored, field) != needed:
            raise errors.UserError(f"features_run={run_dir}: its {field} must be {needed}, and is "
                                   f"{getattr(stored, field)}")
    if stored.features_run:
        raise errors.UserError(f"features_run={run_dir}: its m1 sees the features of another run, "
                               f"{stored.features_run}; it must see the examples themselves")
    m1 = construction.build(stored, spec)
    folder = pathlib.Path(run_dir) / "checkpoints"
    _, passed_over = checkpoints.restore_weights(m1, step.averages_of(m1, stored), folder)
    for line in passed_over:
        print(line, flush=True)
    return FeaturesOfM1(m1, binarizes=step.binarizes(stored, spec))
