"""The system that a configuration names, with the features that stand before its model."""

from __future__ import annotations

import dataclasses
import pathlib

from adgm_tf import config as config_lib
from adgm_tf.host import errors
from adgm_tf.training import systems
from adgm_tf.model import engine
from adgm_tf.config import Config
from adgm_tf.model.features import Features
from adgm_tf.training import checkpoints
from adgm_tf.training import step


def system(config: Config) -> systems.System:
    """Returns the system of `config.model`, whose model observes the features of `config.features_run` if it is given.

    Building it raises:
      UserError: an option does not fit the data, or there is no run of m1 on the same data set.
    """
    found = systems.SYSTEMS[config.model]
    if not config.features_run:
        return found
    return dataclasses.replace(
        found, build=lambda config, *shape: found.build(config, *shape, _features(config, *shape)))


def _features(config: Config, x_shape: tuple[int, ...], is_image: bool, num_classes: int) -> Features:
    run_dir = config.features_run
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
    m1 = engine.build(stored, x_shape, is_image, num_classes)
    folder = pathlib.Path(run_dir) / "checkpoints"
    _, passed_over = checkpoints.restore_weights(m1, step.averages_of(m1, stored), folder)
    for line in passed_over:
        print(line, flush=True)
    return Features(m1)
