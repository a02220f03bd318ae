"""The Python face beside the estimator: training on arrays by options, and what users add of their own by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adgm_tf import options as options_lib
from adgm_tf.config import Config
from adgm_tf.data import catalogue, own, splits, tables
from adgm_tf.data.source import Source
from adgm_tf.host import errors
from adgm_tf.model import densities, family, trunks
from adgm_tf.objectives import loss
from adgm_tf.runs import trained

register_model = family.register
register_trunk = trunks.register
register_density = densities.register
register_term = loss.register
register_source = catalogue.register


# Options of files of data and of run directories.
NOT_IN_MEMORY = ("dataset", "data_dir", "label_column", "split_column", "test_fraction", "image_size", "run_dir",
                 "strategy", "devices", "worker_timeout", "checkpoint_every", "keep_checkpoints", "profile_steps",
                 "track_test", "loggers")


def check_in_memory(given: Mapping[str, Any]) -> None:
    """Makes sure that the options given, by name, can mean something where arrays are trained on.

    Raises:
      UserError: one cannot.
    """
    if vain := [name for name in NOT_IN_MEMORY if name in given]:
        raise errors.UserError(f"{vain[0]}={options_lib.shown(given[vain[0]])}: is an option of a file or a run "
                               "directory, and arrays in memory have neither")


def fit(x: Any, y: Any, *, verbose: bool = False, **options: Any) -> trained.TrainedModel:
    """Trains on arrays or a DataFrame, in memory.

    Args:
      x: rows of numbers [N,D], images [N,H,W] or [N,H,W,channels], or a DataFrame [N].
      y: labels [N], numbers or names; -1, None, NaN or "" where one is unknown. None if there are none at all.
      verbose: whether progress is shown.
      **options: fields of `Config`, such as model="adgm" or num_steps=1000.

    Returns:
      The trained model.

    Raises:
      UserError: options or data are wrong; the message names the row or the option, its value and the rule.
    """
    check_in_memory(options)
    config = Config(**{"dataset": "arrays", "num_labels": "0" if y is None else "given", **options})
    return trained.train(config, splits.split(source_of(x, y, config), config), given=options, verbose=verbose)


def source_of(x: Any, y: Any, config: Config) -> Source:
    """Returns arrays or a DataFrame, with labels that may be unknown, as a source without a test set."""
    names = own.label_names(np.full(len(x), None, object) if y is None else y, config.unlabelled_value, "y")
    return source_of_names(x, names, config)


def source_of_names(x: Any, names: np.ndarray, config: Config, class_names: Sequence[str] | None = None) -> Source:
    """Returns the same of the names of labels [N], None where unknown; classes are those that occur if not given."""
    if hasattr(x, "iloc"):
        return tables.of_rows("arrays", x, names, config, class_names=class_names)
    x = np.asarray(x)
    return own.made("arrays", x, names, np.zeros(len(x), bool), class_names=class_names)
