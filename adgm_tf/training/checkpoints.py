"""Checkpoints: the newest few, the best on validation, and the way back from a damaged one."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import tempfile

import tensorflow as tf

from adgm_tf.host import errors
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
        self.state = tf.train.Checkpoint(model=trainer.model, optimizer=trainer.optimizer, averages=trainer.averages,
                                         best_score=self.best_score)
        self.weights = tf.train.Checkpoint(model=trainer.model, averages=trainer.averages)
        self.folder, self.best_folder, self.keep = write_dir / "checkpoints", write_dir / "best", keep
        self.saved_step = -1

    def save(self) -> None:
        """Writes a checkpoint of this step, unless there is one."""
        if self.saved_step != self.trainer.step:
            write(self.state, self.folder, self.trainer.step, self.keep)
            self.saved_step = self.trainer.step

    def save_if_best(self, score: float) -> None:
        """Writes these weights to `best/` if their score on the validation set is the lowest so far."""
        if score < float(self.best_score.numpy()):
            self.best_score.assign(score)
            write(self.weights, self.best_folder, self.trainer.step, keep=1)

    @property
    def best_step(self) -> int:
        """The step of the best weights; 0 before there are any."""
        found = newest_first(self.best_source)
        return int(found[0].rpartition("-")[2]) if found else 0

    @property
    def best_source(self) -> pathlib.Path:
        """Where the best weights are: this process wrote them, or the run had them before it went on."""
        return self.best_folder if newest_first(self.best_folder) else self.run_dir / self.best_folder.name

    def restore(self) -> list[str]:
        """Restores the newest checkpoint that can be read, if there is any; returns a line for each passed over.

        Raises:
          UserError: there are checkpoints and none can be read.
        """
        prefixes = newest_first(self.run_dir / "checkpoints")
        lines = []
        for prefix in prefixes:
            problem = try_restore(self.state, prefix)
            if problem is None:
                self.saved_step = self.trainer.step
                return lines
            lines.append(passed_over(prefix, problem))
        if prefixes:
            raise errors.UserError(f"run_dir={self.run_dir}: has no readable checkpoint in checkpoints/; {lines[0]}")
        return lines


def write(checkpoint: tf.train.Checkpoint, folder: pathlib.Path, step: int, keep: int) -> None:
    """Writes `step-<step>` to `folder`, whole or not at all, and keeps it and the newest before it, `keep` in all."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".writing-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as temporary:
        checkpoint.write(f"{temporary}/step-{step}")
        # The index makes it a checkpoint, so it comes last.
        for path in sorted(pathlib.Path(temporary).iterdir(), key=lambda p: p.suffix == ".index"):
            os.replace(path, folder / path.name)
    prefixes = newest_first(folder)
    first = prefixes.index(str(folder / f"step-{step}"))
    for prefix in (*prefixes[:first], *prefixes[first + keep:]):
        pathlib.Path(f"{prefix}.index").unlink()
        for path in folder.glob(f"{pathlib.Path(prefix).name}.data-*"):
            path.unlink()


def newest_first(folder: pathlib.Path) -> list[str]:
    """Returns the prefixes of the checkpoints in `folder`."""
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
    reason = f"; {lines[0]}" if lines else ""
    raise errors.UserError(f"run_dir={folder.parent}: has no readable checkpoint in {folder.name}/{reason}")


def passed_over(prefix: str, problem: str) -> str:
    """Returns the line that says so."""
    return f"checkpoint {prefix} is damaged and was passed over ({problem})"


def try_restore(checkpoint: tf.train.Checkpoint, prefix: str) -> str | None:
    """Restores `prefix` into every object of `checkpoint`; returns what is wrong if that fails."""
    try:
        checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
    except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
        return str(error).strip().splitlines()[0][:160]
    return None
