"""The one loop: calls of many steps, and the actions between them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from adgm_tf.host import errors
from adgm_tf.host.interrupts import Interrupts
from adgm_tf.training.step import Trainer


@dataclasses.dataclass(frozen=True)
class Event:
    """What has happened when a call of the compiled loop ends.

    Attributes:
      step: steps taken since the start of the run.
      epoch: passes over the data.
      terms: mean of every term of the loss over the steps of the call.
      examples_per_second: labelled and unlabelled, over all replicas.
      seconds: what training itself has taken since the start of the run, over all its attempts.
      is_last: whether training ends here.
    """

    step: int
    epoch: float
    terms: dict[str, float]
    examples_per_second: float
    seconds: float
    is_last: bool


@dataclasses.dataclass(frozen=True)
class Action:
    """Something done every so many steps, or with None at the end of every call, and at the last one.

    Training ends after the call where `do` returns True.
    """

    every: int | None
    do: Callable[[Event], bool | None]


class Interrupted(Exception):
    """Training was asked to stop by a signal, and has."""

    def __init__(self, number: int, step: int):
        super().__init__(f"stopped by {signal.Signals(number).name} at step {step}")
        self.number, self.step, self.run_dir = number, step, ""


@dataclasses.dataclass
class Profiler:
    """Traces the first `num_steps` steps after the first call, those of one call at most, into `folder`."""

    folder: str
    num_steps: int
    calls: int = 0

    def end(self, step: int, end: int) -> int:
        """Returns where a call from `step` on should end: early if it is the one to trace."""
        return min(end, step + self.num_steps) if self.num_steps and self.calls == 1 else end

    def __call__(self) -> contextlib.AbstractContextManager:
        """Returns the context of one call."""
        self.calls += 1
        if self.num_steps and self.calls == 2:
            return tf.profiler.experimental.Profile(self.folder)
        return contextlib.nullcontext()


class Spent(NamedTuple):
    """Seconds of training itself, over all attempts; of the actions between its calls; whether an action ended it."""

    seconds: float
    between: float
    stopped_early: bool = False


def train(trainer: Trainer, actions: Sequence[Action], interrupts: Interrupts, profiler: Profiler | None = None, *,
          seconds: float = 0.0) -> Spent:
    """Trains up to the planned number of steps, or until an action has enough; `seconds` were spent before.

    A call of the compiled loop ends at the next multiple of `steps_per_call` or of an action's `every`.

    Raises:
      UserError: a term of the loss is not finite; the message names it and the step.
      Interrupted: a signal came, on any worker.
    """
    plan, between, steps_per_call = trainer.plan, 0.0, trainer.config.steps_per_call
    profiler = profiler or Profiler("", 0)
    while (step := trainer.step) < plan.num_steps:
        everies = (steps_per_call, *(action.every for action in actions if action.every))
        end = profiler.end(step, min(plan.num_steps, *(every * (step // every + 1) for every in everies)))
        start = time.perf_counter()
        with profiler():
            mean, last = trainer.train(end - step)
        elapsed = time.perf_counter() - start
        seconds += elapsed
        _check_finite(last, trainer)
        examples = (end - step) * (plan.labelled_batch_size + plan.unlabelled_batch_size)
        event = Event(end, end / plan.steps_per_epoch, mean, examples / elapsed, seconds,
                      end == plan.num_steps)
        start = time.perf_counter()
        due = [action for action in actions if not action.every or end % action.every == 0 or event.is_last]
        enough = [action.do(event) for action in due]
        between += time.perf_counter() - start
        if trainer.any_worker(bool(interrupts.number)) and not event.is_last:
            raise Interrupted(interrupts.number or signal.SIGTERM, end)
        if any(enough) and not event.is_last:
            return Spent(seconds, between, stopped_early=True)
    return Spent(seconds, between)


def _check_finite(terms: dict[str, float], trainer: Trainer) -> None:
    bad = [f"{name} is {value}" for name, value in terms.items() if not math.isfinite(value)]
    if not bad and not trainer.weights_are_finite():
        bad = ["a weight is not a number"]
    if bad:
        raise errors.UserError(
            f"loss: not finite at step {trainer.step}: {', '.join(bad)}; the checkpoints before it are kept. "
            "A new run with a lower --learning_rate or --clip_norm, or another --normalization, may help")
