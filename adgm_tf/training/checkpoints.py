"""Checkpoints: the newest few, the best on validation, and the way back from a damaged one."""

from __future__ import annotations

import pathlib
import re

import tensorflow as tf

from adgm_tf import errors
from adgm_tf.training.step import Trainer


class Checkpoints:
    """The checkpoints of a run.

    Args:
      trainer: model, optimiser and averages; the optimiser's count is the step.
      run_dir: the run to restore from.
      write_dir: where to write; another folder than `run_dir` for all but the chief of several workers.
      keep: how many of the newest to keep.
    """

    def __init__(self, trainer: Trainer, run_dir: pathlib.Path, write_dir: pathlib.Path, keep: int):
        self.trainer, self.run_dir = trainer, run_dir
        with trainer.strategy.scope():
            self.best_score = tf.Variable(float("inf"), trainable=False, dtype=tf.float64)
        state = tf.train.Checkpoint(model=trainer.model, optimizer=trainer.optimizer, averages=trainer.averages,
                                    best_score=self.best_score)
        self.newest = tf.train.CheckpointManager(state, str(write_dir / "checkpoints"), keep, checkpoint_name="step")
        self.best = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=trainer.model, averages=trainer.averages), str(write_dir / "best"), 1,
            checkpoint_name="step")
        self.saved_step = -1

    def save(self) -> None:
        """Writes a checkpoint of this step, unless there is one."""
        if self.saved_step != self.trainer.step:
            self.newest.save(checkpoint_number=self.trainer.step)
            self.saved_step = self.trainer.step

    def save_if_best(self, score: float) -> None:
        """Writes these weights to `best/` if their score on the validation set is the lowest so far."""
        if score < float(self.best_score.numpy()):
            self.best_score.assign(score)
            self.best.save(checkpoint_number=self.trainer.step)

    def restore(self) -> list[str]:
        """Restores the newest checkpoint that can be read, if there is any; returns a line for each passed over.

        Raises:
          UserError: there are checkpoints and none can be read.
        """
        prefixes = newest_first(self.run_dir / "checkpoints")
        lines = []
        for prefix in prefixes:
            problem = try_restore(self.newest.checkpoint, prefix)
            if problem is None:
                self.saved_step = self.trainer.step
                return lines
            lines.append(passed_over(prefix, problem))
        if prefixes:
            raise errors.UserError(f"run_dir={self.run_dir}: none of its {len(prefixes)} checkpoints can be read")
        return lines


def newest_first(folder: pathlib.Path) -> list[str]:
    """Returns the prefixes of the checkpoints in `folder`, by what is there and not by what its index says."""
    found = {int(m.group(1)): str(p.with_suffix("")) for p in folder.glob("step-*.index")
             if (m := re.fullmatch(r"step-(\d+)\.index", p.name))}
    return [found[step] for step in sorted(found, reverse=True)]


def restore_weights(model: tf.Module, averages: list[tf.Variable], folder: pathlib.Path) -> tuple[int, list[str]]:
    """Restores the weights used in evaluation from the newest readable checkpoint in `folder`.

    Returns:
      Its step, and a line for each damaged one that was passed over.

    Raises:
      UserError: there is none.
    """
    lines = []
    for prefix in newest_first(folder):
        problem = try_restore(tf.train.Checkpoint(model=model, averages=averages), prefix)
        if problem is None:
            for variable, average in zip(model.trainable_variables, averages, strict=False):
                variable.assign(average)
            return int(prefix.rpartition("-")[2]), lines
        lines.append(passed_over(prefix, problem))
    raise errors.UserError(f"run_dir={folder.parent}: has no readable checkpoint in {folder.name}/")


def passed_over(prefix: str, problem: str) -> str:
    """Returns the line that says so."""
    return f"checkpoint {prefix} is damaged and was passed over ({problem})"


def try_restore(checkpoint: tf.train.Checkpoint, prefix: str) -> str | None:
    """Restores `prefix` into every object of `checkpoint`; returns what is wrong if that fails."""
    try:
        checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        return str(error).strip().splitlines()[0][:160]
    return None
