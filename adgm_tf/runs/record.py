"""The record of a run in TensorBoard and metrics.jsonl, and what is written to it between calls."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf import config as config_lib
from adgm_tf.analysis import plots, samples
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data.splits import Splits
from adgm_tf.host import files
from adgm_tf.training.loop import Event
from adgm_tf.training.step import Trainer

KL_EXAMPLES = 1000
RECONSTRUCTED = 10
FINAL = ("test_error_percent", "transductive_error_percent", "valid_error_percent", "test_bound_nats")


class Record:
    """The run's `metrics.jsonl` and its TensorBoard writers `train/` and `valid/`.

    Args:
      run_dir: the run directory.
      step: where the run goes on; later lines of an earlier attempt are dropped.
    """

    def __init__(self, run_dir: pathlib.Path, step: int):
        self.path = run_dir / "metrics.jsonl"
        kept = [line for line in files.read_json_lines(self.path) if line["step"] <= step]
        files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.seconds = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self.writers = {name: tf.summary.create_file_writer(str(run_dir / name)) for name in ("train", "valid")}

    def add(self, writer: str, step: int, scalars: dict[str, float]) -> None:
        """Writes scalars of one step to both records."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(files.plain({"step": step, "set": writer, **scalars})) + "\n")
        with self.writers[writer].as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self.writers[writer].flush()


def describe_run(record: Record, config: Config, notes: list[str]) -> None:
    """Writes the configuration to TensorBoard as text, and what decides the result as hyperparameters."""
    from tensorboard.plugins.hparams import api as hparams
    shown = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in config.to_json().items()}
    rows = "\n".join(f"| {k} | {'' if v is None else v} |" for k, v in shown.items())
    values = {f.name: shown[f.name] for f in dataclasses.fields(config)
              if shown[f.name] is not None and f.metadata["affects"] == config_lib.RESULT}
    with record.writers["train"].as_default(0):
        tf.summary.text("configuration", f"| field | value |\n|---|---|\n{rows}")
        tf.summary.text("what it comes to", "\n\n".join(notes))
        hparams.hparams_config(hparams=[hparams.HParam(name) for name in values],
                               metrics=[hparams.Metric(f"final/{name}", display_name=name) for name in FINAL])
        hparams.hparams(values)


def describe_results(record: Record, step: int, measured: dict[str, Any]) -> None:
    """Writes the final figures to TensorBoard, where they stand beside the hyperparameters."""
    with record.writers["train"].as_default(step):
        for name in FINAL:
            if name in measured:
                tf.summary.scalar(f"final/{name}", measured[name])
    record.writers["train"].flush()


@dataclasses.dataclass
class Terms:
    """Writes the terms of the loss of every call."""

    record: Record

    def __call__(self, event: Event) -> None:
        """Records one call of the loop."""
        self.record.add("train", event.step, {**event.terms, "examples_per_second": event.examples_per_second,
                                              "epoch": event.epoch, "seconds": event.seconds})


@dataclasses.dataclass
class Pictures:
    """Writes reconstructions, a class-by-sample grid, analogies and the KL of each unit to TensorBoard."""

    record: Record
    trainer: Trainer
    evaluator: Evaluator
    splits: Splits

    def __call__(self, event: Event) -> None:
        """Records one set of pictures; one that cannot be drawn is a line, and training goes on."""
        with self.trainer.evaluation_weights():
            drawn = self._drawn()
        with self.record.writers["train"].as_default(event.step):
            for name, draw in drawn.items():
                try:
                    draw()
                except Exception as error:  # noqa: BLE001  (a picture is worth no training)
                    print(f"picture {name} cannot be drawn ({type(error).__name__}: {error})", flush=True)
        self.record.writers["train"].flush()

    def _drawn(self) -> dict[str, Callable[[], None]]:
        """What the model draws, and how it gets into TensorBoard, by name."""
        model, splits = self.trainer.model, self.splits
        pool = splits.unlabelled if len(splits.unlabelled) else splits.labelled
        kl = self.evaluator.kl_per_unit(pool.take(slice(KL_EXAMPLES)))

        def of_kl():
            for letter, values in kl.items():
                tf.summary.histogram(f"kl_per_unit/{letter}", values)
                tf.summary.scalar(f"active_units/{letter}", np.sum(values > plots.ACTIVE_NATS))
            tf.summary.image("KL per unit", plots.kl_per_unit(kl)[None])

        if splits.spec.is_table:
            return {"KL per unit": of_kl, "typical rows": self._typical_rows}
        given = tf.constant(splits.prepared(pool.take(slice(RECONSTRUCTED)).x)[0])
        names = samples.row_names(model, splits.class_names)
        drawn = {"samples by class": (samples.class_grid(model, 10, self.trainer.config.seed), names),
                 "reconstructions": (samples.reconstructions(model, given), ["given", "reconstructed"])}
        if model.has_classes:
            rows = [f"example {i}" for i in range(len(given))]
            drawn["analogies"] = (samples.analogies(model, given, self.trainer.config.seed), rows)

        def of_examples(name, values, names):
            tf.summary.image(name, plots.examples(values.numpy(), splits.x_shape, names)[None])

        return {"KL per unit": of_kl} | {name: functools.partial(of_examples, name, *given)
                                         for name, given in drawn.items()}

    def _typical_rows(self) -> None:
        """Rows that the model draws for each class, as text."""
        rows = samples.typical_rows(self.trainer.model, self.splits.spec, 3, self.trainer.config.seed)
        cells = [["class", *rows.columns], ["---"] * (1 + len(rows.columns)), *rows.reset_index().to_numpy().tolist()]
        tf.summary.text("typical rows", "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in cells))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
