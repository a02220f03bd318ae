"""Answers to labelled rows by models that have not seen their labels: what calibration and abstention are fitted on."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from adgm_tf.analysis import calibration
from adgm_tf.analysis import evaluator as evaluator_lib
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.splits import Splits
from adgm_tf.host.interrupts import Interrupts
from adgm_tf.runs import features
from adgm_tf.training import fit, loop
from adgm_tf.training import strategy as strategy_lib


class HeldOut(NamedTuple):
    """Probabilities [n,C] before any temperature, classes [n], folds [n] for scores, and which rows they are."""

    probs: np.ndarray
    y: np.ndarray
    fold: np.ndarray
    words: str

    def __len__(self) -> int:
        return len(self.y)


NONE = HeldOut(np.zeros((0, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64), "")


def of(evaluator: Evaluator, splits: Splits, config: Config, num_steps: int) -> HeldOut:
    """Returns answers to rows whose labels trained no model that answers them.

    They are the validation rows, or all labelled rows by cross-fitting, where `config.calibration_folds` asks for it.

    Args:
      evaluator: asks the trained model.
      splits: its data.
      config: its options.
      num_steps: its steps of training.

    Raises:
      Interrupted: a signal came while models were trained.
    """
    if not (evaluator.model.has_classes and splits.spec.has_labels):
        return NONE
    if config.calibration_folds and not strategy_lib.has_several_workers(config.strategy):
        return _cross_fitted(splits, config, num_steps)
    known = splits.valid.known
    if not len(known):
        return NONE
    return HeldOut(evaluator.probs(known), known.y, calibration.held_out_folds(known.y),
                   f"{len(known):,} validation labels")


def _cross_fitted(splits: Splits, config: Config, num_steps: int) -> HeldOut:
    """Trains a model for each fold without its labels, and asks it for its rows."""
    labelled = splits.labelled.known
    fold = calibration.folds(labelled.y, config.calibration_folds, config.split_seed)
    used = sorted(set(fold.tolist()) - {UNKNOWN})
    if not used:
        print(f"calibration_folds={config.calibration_folds}: no class has two labels; nothing is fitted", flush=True)
        return NONE
    print(f"calibration: {len(used)} models of {num_steps:,} steps, each without the labels of one fold of "
          f"{len(labelled):,}, for the temperature; about {len(used)} times the training", flush=True)
    probs = np.full((len(labelled), splits.num_classes), np.nan)
    with Interrupts() as interrupts:
        for k in used:
            without = dataclasses.replace(splits, labelled=labelled.take(fold != k))
            evaluates = _trained(without, config, num_steps, interrupts)
            probs[fold == k] = evaluates.probs(labelled.take(fold == k))
    asked = fold != UNKNOWN
    return HeldOut(probs[asked], labelled.y[asked], fold[asked],
                   f"{int(asked.sum()):,} labels by cross-fitting in {len(used)} folds")


def _trained(splits: Splits, config: Config, num_steps: int, interrupts: Interrupts) -> Evaluator:
    """What asks a model that has been trained as the run was."""
    trainer = fit.prepare(dataclasses.replace(config, patience=0), splits,
                          features=lambda: features.of(config, splits.spec))
    stop = loop.Action(None, lambda event: event.step >= num_steps)
    try:
        loop.train(trainer, [stop], interrupts)
    except loop.Interrupted as interrupted:
        interrupted.run_dir = config.run_dir
        raise
    for variable, average in zip(trainer.model.trainable_variables, trainer.averages, strict=False):
        variable.assign(average)
    return evaluator_lib.of(trainer.model, splits.prepared, config)
