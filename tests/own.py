"""Own data for the tests: a small table with holes, categories and names for classes, and models that know it."""

import dataclasses

import numpy as np
import pandas as pd

from adgm_tf.analysis import evaluator
from adgm_tf.config import Config
from adgm_tf.data import catalogue, splits
from adgm_tf.runs import answers, trained
from adgm_tf.training import systems

CLASSES = ("gro\u00df", "klein, rot", "mittel")


def table(count=90, seed=0):
    """Rows of three classes that two columns tell apart, the label of every third one blank."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % 3)
    frame = pd.DataFrame({
        "key": [f"r{i}" for i in range(count)], "length": rng.normal(3.0 * y, 1.0).round(3),
        "mass": rng.normal(1000.0, 50.0, count).round(1), "colour": np.array(["red", "green", "blue"])[(y + (
            rng.random(count) < 0.2)) % 3], "kind": np.array(CLASSES, object)[y]})
    frame.loc[rng.random(count) < 0.1, "length"] = np.nan
    frame.loc[rng.random(count) < 0.1, "colour"] = None
    frame.loc[np.arange(count) % 3 == 2, "kind"] = None
    return frame


def write(folder, name="own.csv", **given):
    """Writes the table and returns where."""
    path = folder / name
    table(**given).to_csv(path, index=False)
    return path


def config(path, **given):
    return Config(**{"dataset": f"csv:{path}", "label_column": "kind", "id_column": "key", "hidden_units": (8, 8),
                     "auxiliary_dim": 3, "latent_dim": 2, "num_eval_samples": 3, "num_steps": 20, "steps_per_call": 10,
                     "num_valid": 20, "run_dir": "run", **given})


def split(options):
    return splits.split(catalogue.load(options.dataset, "", options), options)


def untrained(options, found=None):
    """A model that has not learnt anything, with what is measured for its answers."""
    found = found or split(options)
    model = systems.of(options.model).build(options, found.spec)
    evaluates = evaluator.of(model, found.prepared, options)
    kept = answers.measure(evaluates, found, dataclasses.replace(options, calibration_folds=0), 0)
    return trained.TrainedModel(options, found.spec, model, kept, 0)
