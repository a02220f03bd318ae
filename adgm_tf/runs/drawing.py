"""The pictures of a run, written to its figures."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from adgm_tf.analysis import plots, samples
from adgm_tf.host import errors, files
from adgm_tf.runs.stored import Run

PIXEL_SCALE = 2


def draw(run: Run, num_samples: int, num_analogies: int, seed: int) -> list[pathlib.Path]:
    """Writes samples, reconstructions and, where there are classes, analogies; returns the files.

    Raises:
      UserError: the model is a classifier.
    """
    if not run.model.is_generative:
        raise errors.UserError(f"run_dir={run.path}: {run.config.model} is a classifier and draws nothing")
    if run.spec.is_table:
        path = run.figure_path("samples").with_suffix(".csv")
        files.write_text(path, samples.typical_rows(run.model, run.spec, num_samples, seed).to_csv())
        return [path]
    test = run.splits.test
    chosen = np.random.default_rng(seed).permutation(len(test))[:num_analogies]
    x = tf.constant(run.spec.prepared(test.take(chosen).x)[0])
    names = samples.row_names(run.model, run.spec.class_names)
    drawn = {"samples": (samples.class_grid(run.model, num_samples, seed), names),
             "reconstructions": (samples.reconstructions(run.model, x), ["given", "reconstructed"])}
    if run.model.has_classes:
        drawn["analogies"] = (samples.analogies(run.model, x, seed), [f"example {i}" for i in chosen])
    return [_write(run, name, values.numpy(), names) for name, (values, names) in drawn.items()]


def _write(run: Run, name: str, values: np.ndarray, names: list[str]) -> pathlib.Path:
    path = run.figure_path(name)
    scale = PIXEL_SCALE if run.spec.is_image else 1
    plots.write_png(path, plots.examples(values, run.spec.x_shape, names), scale)
    return path
