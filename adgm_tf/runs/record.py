"""What is recorded of a run: its options at the start, the terms of its loss, its results at the end."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.runs import board, loggers
from adgm_tf.runs.pictures import Pictures  # noqa: F401
from adgm_tf.runs.writers import Record
from adgm_tf.training.loop import Event

# Figures of results.json by their tags: TensorBoard ticks the first five in the order of their names.
FINAL = {"test_bound_nats": "test_bound_nats", "test_error_percent": "test_error_percent", "trained_seconds": "seconds",
         "transductive_error_percent": "transductive_error_percent", "valid_error_percent": "valid_error_percent"}
NOT_WATCHED = ("no error is watched on the way, as no label is held out: --num_valid=N holds some out, --track_test "
               "shows the test error, which selects nothing")


def describe_run(record: Record, config: Config, notes: list[str]) -> None:
    """Writes the options as text and as hyperparameters, and which errors are watched.

    Raises:
      UserError: a logger that is asked for is not there.
    """
    record.watched = board.errors_watched(config)
    record.loggers += loggers.opened(config, record.path.parent)
    if not record.watched and config.label_count(None) != 0:
        notes = [*notes, NOT_WATCHED]
        print(NOT_WATCHED, flush=True)
    with record.writers["final"].as_default(0):
        board.write_hyperparameters(config)
    with record.writers["train"].as_default(0):
        tf.summary.text(f"{board.ABOUT}/data and plan", "\n\n".join(notes))
        tf.summary.text(f"{board.ABOUT}/options", board.describe(config))


def describe_results(record: Record, step: int, measured: dict[str, Any]) -> None:
    """Writes the final figures, beside the hyperparameters; nothing that fails there takes the run with it."""
    for show in record.at_end:
        show(step)
    found = _final(measured)
    with record.writers["final"].as_default(step):
        _write_final(found)
    record.writers["final"].flush()
    for logger in record.loggers:
        logger.end(step, found)


def describe_fitted(folder: pathlib.Path, config: Config, measured: dict[str, Any]) -> None:
    """Writes the options and the final figures of what is fitted at once, as those of a trial."""
    with tf.summary.create_file_writer(str(folder)).as_default(0):
        board.write_hyperparameters(config)
        _write_final(_final(measured))


def _final(measured: dict[str, Any]) -> dict[str, float]:
    return {tag: float(measured[name]) for tag, name in FINAL.items() if measured.get(name) is not None}


def _write_final(found: dict[str, float]) -> None:
    for name, value in found.items():
        tf.summary.scalar(name, value)
    board.write_end()


@dataclasses.dataclass
class TermsWritten:
    """Writes the terms of the loss of every call."""

    record: Record

    def __call__(self, event: Event) -> None:
        """Records one call of the loop."""
        scalars = {**event.terms, "examples_per_second": event.examples_per_second, "epoch": event.epoch,
                   "seconds": event.seconds}
        self.record.lay_out(list(scalars))
        self.record.add("train", event.step, scalars)
