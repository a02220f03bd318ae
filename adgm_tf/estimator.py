"""The classifier as an estimator of scikit-learn."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import _safe_indexing, check_array, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from adgm_tf import options as options_lib
from adgm_tf import registering
from adgm_tf.config import Config
from adgm_tf.data import arrays, classes, tables
from adgm_tf.data import splits as splits_lib
from adgm_tf.data.columns import LEFT_OUT
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors, files
from adgm_tf.runs import trained
from adgm_tf.training import loop, systems

FILE = "estimator.json"
# Arguments that are options of the same name.
_NAMED = ("model", "hidden_units", "auxiliary_dim", "latent_dim", "class_prior", "num_steps", "learning_rate",
          "eval_every", "patience")
# Options that `fit` sets from its other arguments and the data.
_SET = ("dataset", "num_labels", "seed", "split_seed", "run_dir")


class SemiSupervisedClassifier(TransformerMixin, ClassifierMixin, BaseEstimator):
    """Learns from a few labelled rows and many unlabelled ones.

    `y` is -1, None, NaN or "" where a label is unknown. X are rows of numbers [N,D], a DataFrame of numbers,
    categories and text, or images [N,H,W] or [N,H,W,channels], uint8 or in [0, 1]. Cells of a DataFrame may be missing;
    numbers of an array may be NaN in new rows if some are in training. What is None is the default of
    `adgm_tf.Config`, or what its `preset` makes of the data.

    Args:
      model: row of the family or classifier, str.
      hidden_units: units of each hidden layer, a tuple.
      auxiliary_dim: units of a.
      latent_dim: units of z.
      class_prior: p(y): uniform, labels, or a probability a class with commas between.
      num_steps: steps of training.
      learning_rate: Adam's.
      eval_every: steps between two evaluations on the validation rows.
      patience: evaluations without a better one after which training ends; needs a `validation_fraction`.
      validation_fraction: share of the labelled rows held out to choose the weights and to calibrate probabilities.
      unknown_label: the value of y that stands for an unknown label besides None, NaN and ""; None if -1 is a class.
        Where -1 and 1 are all that y has, -1 is a class, which is said in a warning.
      callbacks: functions of a `training.loop.Event`, called between the calls of the compiled loop of training; one
        that returns True ends training.
      verbose: whether progress is shown, on a bar in a terminal and in a notebook.
      random_state: seed, RandomState, or None for NumPy's own.
      options: any other option of `adgm_tf.Config` by name, a dict.

    Attributes:
      classes_: the classes in order, of the type that y has [C].
      transduction_: labels of all training rows, the given ones kept [N].
      label_distributions_: probabilities of the classes of all training rows, 1 for a given label [N,C].
      n_iter_: steps taken.
      history_: a dict for each pause of the loop: its step, the terms of the loss, what validation measured.
      n_features_in_: D; pixels and channels of images.
      feature_names_in_: names of the columns of a DataFrame, if they are text [D].
      model_: the `adgm_tf.TrainedModel`.
    """

    def __init__(self, *, model: Any = None, hidden_units: Any = None, auxiliary_dim: Any = None,
                 latent_dim: Any = None, class_prior: Any = None, num_steps: Any = None, learning_rate: Any = None,
                 eval_every: Any = None, patience: Any = None, validation_fraction: Any = 0.0,
                 unknown_label: Any = UNKNOWN, callbacks: Any = None, verbose: Any = False, random_state: Any = None,
                 options: Any = None):
        self.model = model
        self.hidden_units = hidden_units
        self.auxiliary_dim = auxiliary_dim
        self.latent_dim = latent_dim
        self.class_prior = class_prior
        self.num_steps = num_steps
        self.learning_rate = learning_rate
        self.eval_every = eval_every
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.unknown_label = unknown_label
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state
        self.options = options

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any) -> SemiSupervisedClassifier:
        """Trains on rows X with labels y [N], some of them unknown, and returns itself.

        Raises:
          UserError: an argument or the data are wrong; the message names it, its value and the rule.
        """
        if y is None:
            raise errors.UserError("SemiSupervisedClassifier requires y to be passed, but the target y is None")
        given = self._given()
        if not isinstance(self.callbacks or (), list | tuple):
            raise errors.UserError(f"callbacks: {self.callbacks} is no list of functions")
        for action in self.callbacks or ():
            if not callable(action):
                raise errors.UserError(f"callbacks: {action} is no function of an event")
        x = self._rows(X, reset=True)
        labels = classes.understood(classes.array_of(y), self.unknown_label)
        check_consistent_length(x, labels.names)
        if hasattr(x, "iloc") and self._of_array:
            given["numeric_columns"] = tuple(x.columns)
        config = Config(**{"dataset": "arrays", "num_labels": "given"} | given | self._seeds()
                        | self._held_out(given, labels))
        _check_names_classes(config)
        source = registering.source_of_names(x, labels.names, config, labels.class_names)
        self._train(config, splits_lib.split(source, config), given)
        self.classes_ = labels.classes
        known = source.train_y != UNKNOWN
        self.label_distributions_ = np.eye(len(labels.classes))[source.train_y]
        if not known.all():
            self.label_distributions_[~known] = self.model_.predict_proba(splits_lib.rows_of(source.train_x, ~known))
        self.transduction_ = self.classes_[self.label_distributions_.argmax(1)]
        return self

    def _train(self, config: Config, splits: splits_lib.Splits, given: dict[str, Any]) -> None:
        history: dict[int, dict[str, float]] = {}

        def note(step: int, found: dict[str, float]) -> None:
            history.setdefault(step, {"step": step}).update(found)

        if self.verbose:
            print("\n".join([splits_lib.describe(splits), *splits.remarks]), flush=True)
        actions = [lambda event: note(event.step, {"epoch": event.epoch, **event.terms}), *(self.callbacks or ())]
        try:
            self.model_ = trained.train(
                config, splits, actions=[loop.Action(None, action) for action in actions], given=given,
                verbose=bool(self.verbose),
                write=lambda step, found: note(step, {f"validation_{name}": v for name, v in found.items()}))
        except loop.Interrupted as stop:  # Whoever tries many fits goes on after any other exception.
            raise KeyboardInterrupt(str(stop)) from None
        self.history_ = list(history.values())
        self.n_iter_ = self.model_.step

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns calibrated probabilities of the classes [N,C], in the order of `classes_`."""
        model = self._fitted()
        return model.predict_proba(self._rows(X))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each row [N]."""
        found = trained.most_probable(self.predict_proba(X))
        return self.classes_[found]

    def transform(self, X: Any) -> np.ndarray:
        """Returns the means of z [N,Z], with a at its mean and the most probable class."""
        model = self._fitted()
        z = model.transform(self._rows(X))
        return z.astype(np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64)

    def bound(self, X: Any) -> np.ndarray:
        """Returns -U(x), a lower bound on log p(x), of each row [N], nats."""
        model = self._fitted()
        return model.bound(self._rows(X))

    def novelty(self, X: Any) -> np.ndarray:
        """Returns the share of rows of training whose bound is above that of each row [N]: near 1 is unlike them.

        With 100 or more validation rows, those stand in for the rows of training.
        """
        model = self._fitted()
        return model.novelty(self._rows(X))

    def sample(self, label: Any = None, n: int = 1, random_state: int = 0) -> Any:
        """Returns n rows that the model draws, of one of `classes_` or of any, as X has them; images in [0, 1].

        Raises:
          UserError: there is no such class, or the model draws nothing.
        """
        name, model = None, self._fitted()
        if label is not None:
            if label not in self.classes_:
                raise errors.unknown("label", label, map(str, self.classes_))
            name = model.class_names[int(np.argmax(self.classes_ == label))]
        drawn = model.sample(name, n, random_state)
        return drawn.to_numpy() if hasattr(drawn, "iloc") and self._of_array else drawn

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Returns the share of rows whose class is right, of those whose label is known.

        Raises:
          UserError: no label is known.
        """
        model, y = self._fitted(), classes.array_of(y)
        check_consistent_length(X, y)
        is_class = str(UNKNOWN) in model.class_names
        rows = np.flatnonzero(classes.are_known(classes.names_among(y, self.unknown_label, is_class=is_class)))
        if not len(rows):
            raise errors.UserError("y: no label is known, and there is nothing to score")
        check_consistent_length(y, sample_weight)
        weights = None if sample_weight is None else np.asarray(sample_weight)[rows]
        given = np.asarray(y[rows].tolist())
        return float(accuracy_score(given, self.predict(_safe_indexing(X, rows)), sample_weight=weights))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Returns z0, z1, ...: names of the columns of `transform`."""
        del input_features
        return np.array([f"z{j}" for j in range(self._fitted().config.latent_dim)], object)

    def save(self, run_dir: os.PathLike | str) -> pathlib.Path:
        """Writes a run directory that `load`, `adgm_tf.load` and the commands read; returns it.

        Raises:
          UserError: the folder holds something else.
        """
        path = self._fitted().save(run_dir)
        files.write_json(path / FILE, {"classes": self.classes_.dtype.str, "of_array": self._of_array})
        return path

    def export(self, folder: os.PathLike | str) -> pathlib.Path:
        """Writes a SavedModel to `folder`/<version>/; returns that."""
        return self._fitted().export(folder)

    @classmethod
    def load(cls, run_dir: os.PathLike | str, weights: str = "last") -> SemiSupervisedClassifier:
        """Returns the model of a run directory, without what belongs to its training rows.

        Raises:
          UserError: there is no such run, or its model names no class.
        """
        model = trained.load(run_dir, weights)
        _check_names_classes(model.config)
        path = pathlib.Path(run_dir) / FILE
        found = files.read_json(path, "run_dir") if path.is_file() else {}
        left = (*_SET, "unlabelled_value", *registering.NOT_IN_MEMORY)
        given = {name: v for name, v in model.config.given().items() if name not in left}
        named = {name: given.pop(name) for name in _NAMED if name in given}
        self = cls(**named, random_state=model.config.seed, options=given or None)
        self.model_, self.n_iter_ = model, model.step
        self.classes_ = classes.classes_named(model.class_names, found.get("classes"))
        # A run of the commands is asked for what it learnt from; the estimator's own is asked for what `fit` was given.
        columns = [c.name for c in model.spec.preprocess.columns if found or c.kind != LEFT_OUT] \
            if model.spec.is_table else []
        self._of_array = found.get("of_array", not columns)
        self.n_features_in_ = len(columns) or int(np.prod(model.spec.x_shape))
        if not self._of_array:
            self.feature_names_in_ = np.array(columns, object)
        return self

    def _fitted(self) -> trained.TrainedModel:
        check_is_fitted(self, "model_")
        return self.model_

    def _rows(self, X: Any, *, reset: bool = False) -> Any:
        """Rows as the model takes them: an array, or a DataFrame where it learns or has learnt from a table."""
        import pandas as pd
        X = X.to_pandas() if hasattr(X, "to_pandas") else X
        is_frame = isinstance(X, pd.DataFrame)
        as_table = is_frame if reset else self.model_.spec.is_table
        if is_frame and as_table:
            if not len(X):
                raise errors.UserError("X: has 0 sample(s), and a minimum of 1 is required")
            tables.check_names(list(map(str, X.columns)), "X")
            x = X = X if reset else X.drop(columns=self._left_out(), errors="ignore")
        else:
            x = check_array(X, dtype=None if as_table else "numeric", allow_nd=True, ensure_all_finite="allow-nan",
                            estimator=self, input_name="X")
        # Pixels of an image are its features.
        validate_data(self, X if is_frame else x.reshape(len(x), -1), skip_check_array=True, reset=reset)
        if reset:
            self._of_array = not is_frame
        return x if is_frame and as_table else self._of_numbers(x, as_table=as_table, reset=reset)

    def _left_out(self) -> list[str]:
        """The columns that training left out and that a new row may lack."""
        return [c.name for c in self.model_.spec.preprocess.columns
                if c.kind == LEFT_OUT and c.name not in getattr(self, "feature_names_in_", ())]

    def _of_numbers(self, x: np.ndarray, *, as_table: bool, reset: bool) -> Any:
        import pandas as pd
        missing = np.isnan(x) if x.dtype.kind == "f" else np.zeros(1, bool)
        if as_table or (reset and x.ndim == 2 and missing.any()):
            columns = [f"x{j}" for j in range(x.shape[1])] if reset else [
                column.name for column in self.model_.spec.preprocess.columns]
            return pd.DataFrame(x, columns=columns)
        if missing.any():
            row, *place = (int(i) for i in np.argwhere(missing)[0])
            raise errors.UserError(f"X: row {row}, column {', '.join(map(str, place))} is NaN, and no number was "
                                   "missing in training; numbers of a DataFrame may always be")
        if reset:
            return arrays.understood(x, "X")
        return arrays.like(x, self.model_.spec.x_shape, self.model_.spec.x_dtype, "X")

    def _given(self) -> dict[str, Any]:
        """The options that are given, by name."""
        if not isinstance(self.options or {}, dict):
            raise errors.UserError(f"options={self.options}: must be a dict")
        fields, options = {f.name: f.type for f in dataclasses.fields(Config)}, dict(self.options or {})
        registering.check_in_memory(options)
        if "unlabelled_value" in options:
            raise errors.UserError("options=unlabelled_value: is the argument unknown_label of the classifier")
        for name in options:
            if name in _NAMED or name in _SET:
                raise errors.UserError(f"options={name}: is set by an argument of SemiSupervisedClassifier or by fit")
            if name not in fields:
                raise errors.unknown("options", name, fields)
        given = {name: v for name in _NAMED if (v := getattr(self, name)) is not None} | options
        given = {name: v.item() if isinstance(v, np.generic) else v for name, v in given.items()}
        return {name: tuple(v) if fields[name] in options_lib.ELEMENT and isinstance(v, list | np.ndarray) else v
                for name, v in given.items()}

    def _seeds(self) -> dict[str, int]:
        given = self.random_state
        if isinstance(given, Integral) and not 0 <= given < 2**31:
            raise errors.UserError(f"random_state={given}: must be at least 0 and below 2^31")
        seed = int(given) if isinstance(given, Integral) else int(check_random_state(given).randint(2**31 - 1))
        return {"seed": seed, "split_seed": seed}

    def _held_out(self, given: dict[str, Any], labels: classes.Labels) -> dict[str, int]:
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0 <= fraction < 1:
            raise errors.UserError(f"validation_fraction={fraction}: must be a number of at least 0 and below 1")
        if fraction:
            return {"num_valid": max(1, round(fraction * int(np.sum(classes.are_known(labels.names)))))}
        if given.get("patience") and not given.get("num_valid"):
            raise errors.UserError(f"patience={self.patience}: needs a validation_fraction above 0")
        return {}


def _check_names_classes(config: Config) -> None:
    """Makes sure that the loop trains the model and that it has a y.

    Raises:
      UserError: it does not.
    """
    systems.check(config)
    if config.model in systems.FITTED:
        raise errors.UserError(f"model={config.model}: is fitted at once and keeps no weights; see scikit-learn's own")
    row = systems.of(config.model).row
    if row is not None and row.q_y is None:
        raise errors.UserError(f"model={config.model}: has no y and names no class; adgm_tf.fit trains it")
