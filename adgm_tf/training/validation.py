"""Evaluation on the way: the errors that are watched, the weights that are best, and when to stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.training.loop import Event
from adgm_tf.training.step import Trainer

TRANSDUCTIVE_EXAMPLES = 10_000
_WORDS = {"error_percent": "validation", "test_error_percent": "test"}


@dataclasses.dataclass(frozen=True)
class Scores:
    """What one evaluation measured, by name, and at which step."""

    step: int
    values: Mapping[str, float]

    def shown(self) -> str:
        """Returns the errors in words; nothing if there are none."""
        return "  ".join(f"{words} error {self.values[k]:.2f} %" for k, words in _WORDS.items() if k in self.values)


@runtime_checkable
class Keeper(Protocol):
    """What keeps the weights that were best on the validation set."""

    best_step: int

    def save_if_best(self, score: float) -> None:
        """Keeps the weights of now if their score is the lowest so far."""


class BestWeights:
    """Keeps the best weights in memory."""

    def __init__(self, trainer: Trainer):
        self.trainer, self.best_step, self._score, self._values = trainer, 0, np.inf, []

    def save_if_best(self, score: float) -> None:
        """Keeps the weights of now if their score is the lowest so far."""
        if score < self._score:
            self._score, self.best_step = score, self.trainer.step
            self._values = self._now()

    def restore(self) -> None:
        """Puts the best weights back; where none were kept, those of now as evaluation sees them."""
        for variable, value in zip(self.trainer.model.variables, self._values or self._now(), strict=True):
            variable.assign(value)

    def _now(self) -> list[np.ndarray]:
        with self.trainer.evaluation_weights():
            return [v.numpy() for v in self.trainer.model.variables]


class Validation:
    """Evaluates on the validation set, keeps the best weights, and watches the test error if asked to.

    Args:
      trainer: trains the model.
      evaluator: evaluates it.
      splits: the data.
      keeper: keeps the best weights.
      write: takes the step and what was measured.
      track_test: whether the test error is watched too; it selects nothing.
      patience: evaluations without a better score after which training ends; 0 never ends it.
    """

    def __init__(self, trainer: Trainer, evaluator: Evaluator, splits: Splits, keeper: Keeper, *,
                 write: Callable[[int, Mapping[str, float]], None] | None = None, track_test: bool = False,
                 patience: int = 0):
        self.trainer, self.evaluator, self.splits, self.keeper = trainer, evaluator, splits, keeper
        self.write, self.patience, self.scores = write, patience, None
        self.watched = {"error_percent": splits.valid}
        if track_test:
            self.watched |= {"test_error_percent": splits.test,
                             "transductive_error_percent": splits.hidden.known.drawn(TRANSDUCTIVE_EXAMPLES)}

    def last(self) -> Scores | None:
        """Returns the last evaluation."""
        return self.scores

    def __call__(self, event: Event) -> bool:
        """Evaluates once; returns whether the last `patience` evaluations were no better than one before them."""
        values = self._measure(self.watched)
        if values:
            self.scores = Scores(event.step, values)
            if self.write:
                self.write(event.step, values)
        if not len(self.splits.valid):
            return False
        self.keeper.save_if_best(values["error_percent"] if "error_percent" in values else -values["bound_nats"])
        return self.has_waited(event.step)

    def has_waited(self, step: int) -> bool:
        """Whether no evaluation of the last `patience` before a step was better than one before them."""
        return 0 < self.patience * self.trainer.config.eval_every <= step - self.keeper.best_step

    def _measure(self, watched: Mapping[str, Examples]) -> dict[str, float]:
        values = {}
        with self.trainer.evaluation_weights():
            if len(self.splits.valid) and self.trainer.model.is_generative:
                values["bound_nats"] = self.evaluator.bound_nats(self.splits.valid)
            if self.trainer.sees_labels:
                values |= {name: self.evaluator.error_percent(examples) for name, examples in watched.items()
                           if len(examples.known)}
        return values
