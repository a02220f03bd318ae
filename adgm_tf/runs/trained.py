"""A trained model: what it answers of new examples, and what of it is drawn, saved and exported."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf import config as config_lib
from adgm_tf.analysis import calibration, evaluator, metrics, samples, uncertainty
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.analysis.uncertainty import Uncertainty
from adgm_tf.config import Config
from adgm_tf.data import arrays
from adgm_tf.data import spec as spec_lib
from adgm_tf.data import splits as splits_lib
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.spec import DataSpec
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.host import errors, files
from adgm_tf.runs import answers as answers_lib
from adgm_tf.runs import features, model_card, saved_model, stored
from adgm_tf.runs.answers import Answers
from adgm_tf.training import checkpoints, fit, systems
from adgm_tf.training.step import Trainer


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with the data that it was trained on, as far as it needs them: `adgm_tf.load` returns one.

    Attributes:
      config: its options.
      spec: shapes, classes and what was fitted on the data.
      model: the conditionals; `q_y(x, a)`, `log_weight(...)` and the bounds of `objectives` take it.
      answers: temperature, abstention and the bounds that novelty is measured by.
      step: steps of training.
    """

    config: Config
    spec: DataSpec
    model: systems.Model
    answers: Answers
    step: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class."""
        return self.spec.class_names

    @functools.cached_property
    def evaluator(self) -> Evaluator:
        """What asks the model, block by block."""
        return evaluator.of(self.model, self.spec.prepared, self.config)

    def uncertainty(self, x: Any) -> Uncertainty:
        """Returns calibrated probabilities [N,C], their entropy [N], and the mutual information of y and a [N], nats.

        The mutual information is that of q(y|a,x) as the model gives it, before the temperature.
        """
        self.check_names_classes()
        found = self._in_whole_blocks(self.evaluator.uncertainty, x)
        # Another classifier than q(y|a,x) gives other probabilities.
        probs = found.probs if self.evaluator.classifier == "q_y" else (
            self._in_whole_blocks(self.evaluator.probs, x))
        return uncertainty.tempered(found._replace(probs=probs), self.answers.temperature)

    def predict_proba(self, x: Any) -> np.ndarray:
        """Returns calibrated probabilities of the classes [N,C] of examples as the data source gives them."""
        self.check_names_classes()
        return calibration.apply(self._in_whole_blocks(self.evaluator.probs, x), self.answers.temperature)

    def predict(self, x: Any) -> np.ndarray:
        """Returns the name of the most probable class of each example, [N].

        Raises:
          UserError: an example has no probabilities, as its numbers are too far from those of training.
        """
        return np.asarray(self.class_names, object)[most_probable(self.predict_proba(x))]

    def bound(self, x: Any) -> np.ndarray:
        """Returns -U(x), a lower bound on log p(x), of each example [N], nats."""
        self._check_generative("a bound")
        return self._in_whole_blocks(self.evaluator.bounds_alone_nats, x)

    def novelty(self, x: Any) -> np.ndarray:
        """Returns the share of reference rows whose bound is above that of each example [N]: near 1 is unlike them."""
        return uncertainty.novelty(self.bound(x), self.answers.reference_bounds)

    def transform(self, x: Any) -> np.ndarray:
        """Returns the means of z [N,Z], with a at its mean and the most probable class."""
        self._check_generative("a latent variable")
        return self._in_whole_blocks(self.evaluator.latent_means, x)

    def sample(self, label: Any = None, count: Any = 1, seed: Any = 0) -> Any:
        """Returns examples that the model draws, of one class or of none in particular, as the data source gives them.

        Args:
          label: the name of a class, or None.
          count: how many, a whole number.
          seed: of the draws, a whole number.

        Raises:
          UserError: the model is a classifier, there is no such class, or the count or the seed is none.
        """
        self._check_generative("nothing to draw from")
        for name, value, least in (("count", count, 0), ("seed", seed, -(2**31))):
            if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value < 2**31:
                raise errors.UserError(f"{name}={value}: must be a whole number of at least {least} and below 2^31")
        number = None if label is None else self._class_index(label)
        return self.spec.preprocess.inverse(samples.of_class(self.model, number, int(count), int(seed)).numpy())

    def save(self, run_dir: os.PathLike | str) -> pathlib.Path:
        """Writes a run directory that `load`, `evaluate`, `predict`, `sample` and `export` read; returns it.

        Raises:
          UserError: the folder holds something else.
        """
        path = pathlib.Path(run_dir)
        files.check_local(run_dir, "run_dir")
        if path.exists() and (not path.is_dir() or files.contents(path)):
            raise errors.UserError(f"run_dir={run_dir}: exists; name a folder that is empty or new")
        with files.whole_or_not_at_all(path):
            path.mkdir(parents=True, exist_ok=True)
            config_lib.write(dataclasses.replace(self.config, run_dir=str(path)), path)
            spec_lib.write(self.spec, path)
            answers_lib.write(self.answers, path)
            checkpoint = tf.train.Checkpoint(model=self.model, averages=[])
            checkpoints.write(checkpoint, path / stored.FOLDERS["last"], self.step, keep=1)
        return path

    def export(self, folder: os.PathLike | str) -> pathlib.Path:
        """Writes a SavedModel to `folder`/<version>/; returns that."""
        return saved_model.write_version(pathlib.Path(folder), saved_model.Exportable(
            self.config, self.spec, self.model, self.answers, model_card.Measured(step=self.step)))

    def check_names_classes(self) -> None:
        """Makes sure that the classes of the model are those of labels.

        Raises:
          UserError: it has none, or saw no label.
        """
        if not (self.model.has_classes and self.spec.has_labels):
            raise errors.UserError(f"model={self.config.model}: was trained without labels and names no class")

    def __reduce__(self) -> tuple[Callable, tuple]:
        """What pickle and copy keep: no graph and no data, but options, what was fitted, and the weights as arrays."""
        weights = [variable.numpy() for variable in self.model.variables]
        return _rebuilt, (self.config, self.spec, weights, self.answers, self.step)

    def _in_whole_blocks(self, of: Callable[[Examples], Any], x: Any) -> Any:
        """Asks for rows in blocks of one size: no answer depends on the rows beside it, not even by rounding."""
        x = self._understood(x)
        size, count = self.config.eval_batch_size, len(x)
        rows = np.arange(-(-count // size) * size) % max(count, 1)
        found = of(_examples(splits_lib.rows_of(x, rows)))
        return found[:count] if isinstance(found, np.ndarray) else found._make(v[:count] for v in found)

    def _understood(self, x: Any) -> Any:
        """Examples as the data source gave those of training: a DataFrame, or an array.

        Raises:
          UserError: they are something else, or there is none.
        """
        if self.spec.is_table:
            if not hasattr(x, "iloc"):
                raise errors.UserError(f"x: is a {type(x).__name__}, and must be a DataFrame, as in training")
        else:
            x = arrays.like(x, self.spec.x_shape, self.spec.x_dtype, "x")
        if not len(x):
            raise errors.UserError("x: has no examples")
        return x

    def _class_index(self, label: str | int) -> int:
        if str(label) not in self.class_names:
            raise errors.unknown("label", label, self.class_names)
        return self.class_names.index(str(label))

    def _check_generative(self, what: str) -> None:
        if not self.model.is_generative:
            raise errors.UserError(f"model={self.config.model}: is a classifier and has {what} not")


def most_probable(probs: np.ndarray) -> np.ndarray:
    """Returns the index of the most probable class of each row of probabilities [N,C].

    Raises:
      UserError: a row has none; the message names it.
    """
    found = metrics.predicted(probs)
    if np.any(found == UNKNOWN):
        row = int(np.argmax(found == UNKNOWN))
        raise errors.UserError(f"x: row {row} is too far from those of training for numbers, and has no answer")
    return found


def load(run_dir: os.PathLike | str, weights: str = "last") -> TrainedModel:
    """Returns the model of a run directory, with its last weights or those that were best on the validation set.

    Raises:
      UserError: there is no such run.
    """
    run = stored.load(os.fspath(run_dir), weights)
    return TrainedModel(dataclasses.replace(run.config, ema_decay=0.0), run.spec, run.model,
                        answers_lib.read(run.path), run.step)


def of_trainer(trainer: Trainer, splits: Splits) -> TrainedModel:
    """Returns the model that a trainer has trained, with what is measured on the data for its answers."""
    config = dataclasses.replace(trainer.config, ema_decay=0.0)
    evaluates = evaluator.of(trainer.model, splits.prepared, config)
    found = answers_lib.measure(evaluates, splits, trainer.config, trainer.step)
    return TrainedModel(config, splits.spec, trainer.model, found, trainer.step)


def train(config: Config, splits: Splits, **given: Any) -> TrainedModel:
    """Trains without a folder and returns the model; `given` as of `fit.fit`."""
    return of_trainer(fit.fit(config, splits, **given), splits)


def _rebuilt(config: Config, spec: DataSpec, weights: Sequence[np.ndarray], answers: Answers,
             step: int) -> TrainedModel:
    systems.check(config)
    model = systems.of(config.model).build(config, spec, features.of(config, spec))
    for variable, value in zip(model.variables, weights, strict=True):
        variable.assign(value)
    return TrainedModel(config, spec, model, answers, step)


def _examples(x: Any) -> Examples:
    count = len(x)
    return Examples(x, np.full(count, UNKNOWN, np.int32), np.arange(count))
