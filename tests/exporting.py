"""Models for the tests of exports: built on data and not trained, with weights far from where they start."""

import functools

import numpy as np
import pandas as pd
from building import scatter_weights

from adgm_tf.config import Config
from adgm_tf.data import catalogue, columns, splits
from adgm_tf.data.source import Source
from adgm_tf.data.splits import Splits
from adgm_tf.options import ReadOptions
from adgm_tf.runs.answers import Answers
from adgm_tf.runs.model_card import Measured
from adgm_tf.runs.saved_model import Exportable
from adgm_tf.training import systems

SMALL = dict(dataset="digits", hidden_units=(12,), auxiliary_dim=3, latent_dim=3, num_eval_samples=3)
MODELS = {
    "sdgm": dict(model="sdgm", normalization="batch"),
    "m2": dict(model="m2", trunk="convolutional", filters=(4, 6), normalization="layer"),
    "m1": dict(model="m1", num_labels="0"),
    "bound": dict(model="sdgm", classifier="bound"),
    "moons": dict(model="adgm", dataset="moons"),
    "unlabelled": dict(model="m2", num_labels="0"),
    "colour": dict(model="m2", dataset="colour", num_labels="given"),
    "table": dict(model="sdgm", dataset="table", num_labels="given"),
    "grain": dict(model="adgm", dataset="grain", num_labels="given"),
    "table_bound": dict(model="adgm", dataset="table", num_labels="given", classifier="bound"),
}
TABLE_ROWS = 120


def table(count=TABLE_ROWS, seed=0):
    """Rows with every kind of column, holes, and names that are none."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    size = 1000 + y + rng.normal(size=count)
    size[::9] = np.nan
    return pd.DataFrame({
        "size (m)": size, "colour": np.where(rng.uniform(size=count) < 0.2, None, np.array(["red", "grün", "blue"])[y]),
        "skewed": np.exp(2 * rng.normal(size=count)), "z": np.floor(9 * rng.normal(size=count)),
        "text": [f"{('cat', 'dog', 'cow')[c]} and {i % 7} more cats" for i, c in enumerate(y)]}), y


def _grain():
    """The table of the documentation."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, TABLE_ROWS)
    return pd.DataFrame({"length": y + rng.normal(size=TABLE_ROWS), "weight": 3 * y + rng.normal(size=TABLE_ROWS),
                         "soil": np.array(["clay", "sand", "peat"])[(y + rng.integers(0, 2, TABLE_ROWS)) % 3]}), y


def _source(dataset):
    if dataset == "grain":
        x, y = _grain()
        return Source("grain", x, y, x[:0], y[:0], ("barley", "oats", "wheat"), columns.infer(x, ReadOptions()))
    if dataset == "table":
        options = ReadOptions(text_columns=("text",))
        (x, y), (other, other_y) = table(), table(30, seed=1)
        return Source("table", x, y, other, other_y, ("good", "schön", "bad"), columns.infer(x, options))
    if dataset == "colour":
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (40, 6, 5, 3)).astype(np.uint8), np.arange(40) % 2
        return Source("colour", x[:30], y[:30], x[30:], y[30:], ("one", "two"))
    return catalogue.load(dataset)


@functools.cache
def data(dataset, num_labels):
    return splits.split(_source(dataset), Config(dataset=dataset, num_labels=num_labels))


@functools.cache
def exportable(name) -> tuple[Exportable, Splits]:
    """Returns a model of MODELS with all that goes into its export, and its data."""
    config = Config(**SMALL | MODELS[name])
    found = data(config.dataset, config.num_labels)
    model = systems.of(config.model).build(config, found.spec)
    scatter_weights(model, 0.3)
    rng = np.random.default_rng(1)
    trained = {v.ref() for v in model.trainable_variables}
    for variable in model.variables:
        if variable.ref() not in trained:  # Means and variances of batch normalisation.
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    bounds = np.sort(rng.normal(-60, 40, 500)).astype(np.float32)
    answers = Answers(1.7, reference_bounds=bounds, reference="500 test rows")
    return Exportable(config, found.spec, model, answers, Measured()), found


def asked(name, rows):
    """Returns what can be asked of the exports of a model, by the names of the inputs [rows]."""
    given, found = exportable(name)
    x = found.test.x[:rows]
    values = {"z": np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32),
              "label": np.arange(rows, dtype=np.int32) % max(found.num_classes, 1)}
    if not given.spec.is_table:
        return values | {"images" if given.spec.is_image else "vectors": x}
    return values | dict(zip(("seen", "described", "observed"), given.spec.prepared(x), strict=True))


def cells(name, rows):
    """Returns the cells of rows of a table by the names of the inputs, as `serving_default` takes them."""
    given, found = exportable(name)
    graph, x = given.signatures().columns, found.test.x[:rows]
    return {key: x[column].to_numpy(np.float64) if graph.specs[key].dtype == "float64"
            else x[column].fillna("").to_numpy(object) for column, key in graph.names.items()}


def as_words(given):
    """Returns the same cells as words of a CSV file."""
    return {key: np.array(["" if pd.isna(v) else str(v) for v in values], object) for key, values in given.items()}
