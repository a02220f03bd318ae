"""Training without a folder: data and options in, a trained model out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import tensorflow as tf

from adgm_tf.analysis import evaluator
from adgm_tf.config import Config
from adgm_tf.data.splits import Splits
from adgm_tf.host.interrupts import Interrupts
from adgm_tf.model.contract import Features
from adgm_tf.training import loop, memory, plan, resolve
from adgm_tf.training.progress import Progress
from adgm_tf.training.step import Trainer
from adgm_tf.training.validation import BestWeights, Validation


def prepare(config: Config, splits: Splits, strategy: tf.distribute.Strategy | None = None,
            features: Callable[[], Features | None] = lambda: None) -> Trainer:
    """Returns what trains the model that `config` names on `splits`, before its first step.

    Args:
      config: options.
      splits: data.
      strategy: where it runs; the default device if not given.
      features: makes what stands between the examples and the model, inside the scope of the strategy.

    Raises:
      UserError: options and data do not go together, the batches do not divide by the replicas, or the machine cannot
        hold the model.
    """
    strategy = strategy or tf.distribute.get_strategy()
    planned = plan.make(config, splits)
    plan.check_divides(planned, strategy.num_replicas_in_sync)
    memory.check(config, splits)
    with strategy.scope():
        before = features()
    return Trainer(config, planned, splits, strategy, features=before)


def fit(config: Config, splits: Splits, actions: Sequence[loop.Action] = (), *, given: Collection[str] = (),
        write: Callable[[int, Mapping[str, float]], None] | None = None, verbose: bool = False) -> Trainer:
    """Trains the model that `config` names and returns it with its trainer; writes nothing.

    With validation examples the weights are the best on them, and `config.patience` ends training early.

    Args:
      config: options.
      splits: data.
      actions: what happens between the calls of the loop, besides.
      given: names of options that the user gave, which no preset changes.
      write: takes the step and what was measured on the validation examples.
      verbose: whether progress is shown.

    Raises:
      UserError: options and data do not go together, or the loss is not finite.
    """
    trainer = prepare(resolve.resolve(config, splits, given), splits)
    keeper = BestWeights(trainer)
    validation = Validation(trainer, evaluator.of(trainer.model, splits.prepared, config), splits, keeper,
                            write=write, track_test=config.track_test, patience=config.patience)
    planned = [loop.Action(config.eval_every, validation), *actions]
    if verbose:
        planned.insert(1, loop.Action(None, Progress(trainer, config.steps_per_call, validation.last)))
    with Interrupts() as interrupts:
        loop.train(trainer, planned, interrupts)
    keeper.restore()
    return trainer
