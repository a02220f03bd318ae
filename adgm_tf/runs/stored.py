"""A finished or unfinished run, read back from its directory; its data are read where they are asked for."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib

import numpy as np

from adgm_tf import config as config_lib
from adgm_tf.analysis import evaluator
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data import catalogue, columns, labels
from adgm_tf.data import source as source_lib
from adgm_tf.data import spec as spec_lib
from adgm_tf.data import splits as splits_lib
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import errors
from adgm_tf.runs import features
from adgm_tf.training import checkpoints, systems
from adgm_tf.training import step as step_lib

FOLDERS = {"last": "checkpoints", "best": "best"}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's configuration and model, with the weights of `step`, the last or the best of it."""

    path: pathlib.Path
    config: Config
    spec: DataSpec
    model: systems.Model
    step: int
    weights: str = "last"

    @functools.cached_property
    def splits(self) -> splits_lib.Splits:
        """The data of the run, read where its configuration says.

        Raises:
          UserError: they are not there, or no longer the same.
        """
        found = _split(self.config)
        splits_lib.check(found, self.path)
        return found

    def evaluator(self, num_samples: int | None = None, classifier: str | None = None) -> Evaluator:
        """Returns what evaluates the model; `num_samples` samples of a and the classifier are the run's if not given.

        Raises:
          UserError: there is no such classifier.
        """
        given = {"num_eval_samples": num_samples, "classifier": classifier}
        config = dataclasses.replace(self.config, **{k: v for k, v in given.items() if v is not None})
        return evaluator.of(self.model, self.spec.prepared, config)

    def figure_path(self, name: str) -> pathlib.Path:
        """Returns where the figure `name` belongs."""
        return self.path / "figures" / f"{name}.png"


def load(run_dir: str, weights: str = "last", data_dir: str | None = None) -> Run:
    """Reads the run in `run_dir` with its last weights or those that were best on the validation set.

    Raises:
      UserError: there is no such run, or no readable checkpoint.
    """
    folder = errors.lookup(FOLDERS, "weights", weights)
    config = config_lib.read(run_dir)
    systems.check(config)
    if config.model in systems.FITTED:
        raise errors.UserError(f"run_dir={run_dir}: {config.model} keeps no weights; what it measured is in "
                               "results.json")
    if data_dir:
        config = dataclasses.replace(config, data_dir=data_dir)
    path = pathlib.Path(run_dir)
    if weights == "best" and not config.num_valid:
        raise errors.UserError("weights=best: the run held out no validation set (num_valid=0); use last")
    # Runs of before have no data.json: their data say what it would.
    spec = spec_lib.read(path) if (path / spec_lib.FILE).is_file() else _split(config).spec
    model = systems.of(config.model).build(config, spec, features.of(config, spec))
    averages = step_lib.averages_of(model, config)
    step, passed_over = checkpoints.restore_weights(model, averages, path / folder)
    for line in passed_over:
        print(line, flush=True)
    return Run(path, config, spec, model, step, weights)


def _split(config: Config) -> splits_lib.Splits:
    return splits_lib.split(catalogue.load(config.dataset, config.data_dir, config), config)


def examples(run: Run, split: str, dataset: str | None = None, data_dir: str | None = None) -> splits_lib.Examples:
    """Returns a split of the run's data, or the same split of another data set of the same shape and classes.

    Raises:
      UserError: there is no such split, it is empty, or the other data set does not fit the model.
    """
    splits = run.splits
    if dataset:
        other = catalogue.load(dataset, run.config.data_dir if data_dir is None else data_dir, run.config)
        _check_fits(run, other, dataset)
        splits = splits_lib.split(other, dataclasses.replace(run.config, dataset=dataset, num_valid=0, num_labels="0",
                                                               num_unlabelled="all"))
    table = {name: getattr(splits, name) for name in ("test", "valid", "unlabelled", "labelled")}
    chosen = errors.lookup(table, "split", split)
    if not len(chosen):
        raise errors.UserError(f"split={split}: the run has no such examples")
    return chosen


def rows_of(run: Run, path: str) -> splits_lib.Examples:
    """Returns the rows of a file or a folder of new data, with their labels as classes of the run.

    Raises:
      UserError: the file cannot be read, its rows are not like those of training, or none has a label that the run
        could be measured by.
    """
    rows = catalogue.rows(path, run.spec.preprocess, run.config)
    y = np.full(len(rows), labels.UNKNOWN, np.int32)
    if run.model.has_classes and run.spec.has_labels:
        if rows.names is not None:
            y = labels.indexed(rows.names, run.spec.class_names, f"input={path}, its labels")
        if np.all(y == labels.UNKNOWN):
            raise errors.UserError(f"input={path}: has no label to measure by; predict answers rows without")
    return splits_lib.Examples(rows.x, y, np.arange(len(rows)))


def _check_fits(run: Run, other: source_lib.Source, dataset: str) -> None:
    def shown(shape: tuple[int, ...]) -> str:
        return " x ".join(map(str, shape))

    shape = other.train_x.shape[1:]
    if shape != run.spec.x_shape:
        raise errors.UserError(f"dataset={dataset}: its examples are {shown(shape)}, the run's are "
                               f"{shown(run.spec.x_shape)} ({math.prod(run.spec.x_shape)} numbers)")
    if other.class_names != run.spec.class_names:
        raise errors.UserError(f"dataset={dataset}: has the classes {columns.listed(other.class_names)}, and the run's "
                               f"data {columns.listed(run.spec.class_names)}")
