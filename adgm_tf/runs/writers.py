"""The record of a run: `metrics.jsonl`, the writers of TensorBoard, and loggers of others."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping

import tensorflow as tf

from adgm_tf.host import files
from adgm_tf.runs import board
from adgm_tf.runs.loggers import Logger

FILE = "metrics.jsonl"
WRITERS = ("train", "valid", "final")


class Record:
    """The run's `metrics.jsonl` and its TensorBoard writers `train/`, `valid/` and, of options and results, `final/`.

    Args:
      run_dir: the run directory.
      step: where the run goes on; later lines of an earlier attempt are dropped.
    """

    def __init__(self, run_dir: pathlib.Path, step: int):
        self.path = run_dir / FILE
        kept = [line for line in files.read_json_lines(self.path) if line["step"] <= step]
        files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.seconds = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self.folders = {name: run_dir / name for name in WRITERS}
        # Of several options and results TensorBoard believes the first; a run that goes on has new ones.
        for old in self.folders["final"].glob("events.out.tfevents.*"):
            old.unlink(missing_ok=True)
        self.writers = {name: tf.summary.create_file_writer(str(path)) for name, path in self.folders.items()}
        self.watched: tuple[str, ...] = ()
        self.loggers: list[Logger] = []
        self.at_end: list[Callable[[int], None]] = []
        self._has_layout = False

    def add(self, writer: str, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars of one step to all records; in TensorBoard a name stands behind its group."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(files.plain({"step": step, "set": writer, **scalars})) + "\n")
        with self.writers[writer].as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(board.tag(name), value)
        self.writers[writer].flush()
        for logger in self.loggers:
            logger.scalars(step, {f"{writer}/{name}": value for name, value in scalars.items()})

    def lay_out(self, names: list[str]) -> None:
        """Arranges the curves of the terms `names` and of the errors that are watched, once a run."""
        if self._has_layout:
            return
        units = {name.rpartition("/kl_")[2] for name in names if "/kl_" in name}
        with self.writers["train"].as_default(0):
            board.write_layout(board.layout([*self.watched, *names, *(f"active_units/{unit}" for unit in units)]))
        self._has_layout = True
