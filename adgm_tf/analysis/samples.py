"""What a model draws, as arrays of examples: samples by class, reconstructions, analogies."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import tensorflow as tf

from adgm_tf.data.spec import DataSpec
from adgm_tf.model import seeds
from adgm_tf.model.engine import GenerativeModel


def class_grid(model: GenerativeModel, num_samples: int, seed: int) -> tf.Tensor:
    """Returns E[x|y,z] [rows, num_samples, D]: a row a class and a column a draw of z ~ N(0, I).

    A model without classes fills ten rows with draws of their own.
    """
    seed = seeds.fold(seeds.of_run(seed), seeds.Draw.FIGURE)
    rows = model.sizes.num_classes if model.has_classes else 10
    columns = 1 if model.has_classes else rows
    z = tf.random.stateless_normal([columns, num_samples, model.sizes.latent_dim], seed)
    z = tf.reshape(tf.broadcast_to(z, [rows, num_samples, model.sizes.latent_dim]), [-1, model.sizes.latent_dim])
    y = tf.repeat(tf.range(rows), num_samples) if model.has_classes else None
    x = model.generate(y, z, seeds.fold(seed, seeds.Draw.AUXILIARY))
    return tf.reshape(x, [rows, num_samples, -1])


def of_class(model: GenerativeModel, label: int | None, count: int, seed: int) -> tf.Tensor:
    """Returns E[x|y,z] [count, D] for draws of z ~ N(0, I), of one class, or of classes drawn from p(y)."""
    seed = seeds.fold(seeds.of_run(seed), seeds.Draw.FIGURE)
    z = tf.random.stateless_normal([count, model.sizes.latent_dim], seed)
    y = None
    if model.has_classes:
        drawn = tf.random.stateless_categorical([model.log_prior], count, seeds.fold(seed, seeds.Draw.CLASS))
        y = tf.cast(drawn[0], tf.int32) if label is None else tf.fill([count], label)
    return model.generate(y, z, seeds.fold(seed, seeds.Draw.AUXILIARY))


def reconstructions(model: GenerativeModel, x: tf.Tensor) -> tf.Tensor:
    """Returns [2, B, D]: the examples and what the model makes of their encoding."""
    return tf.stack([x, model.reconstruct(x)])


def analogies(model: GenerativeModel, x: tf.Tensor, seed: int) -> tf.Tensor:
    """Returns [B, 1 + C, D]: each example, then its z in every class."""
    code, num_classes = model.encode(x), model.sizes.num_classes
    y = tf.tile(tf.range(num_classes), [x.shape[0]])
    a_seed = seeds.fold(seeds.of_run(seed), seeds.Draw.FIGURE, seeds.Draw.AUXILIARY)
    drawn = model.generate(y, tf.repeat(code.z, num_classes, 0), a_seed)
    return tf.concat([x[:, None], tf.reshape(drawn, [x.shape[0], num_classes, -1])], 1)


def row_names(model: GenerativeModel, class_names: Sequence[str]) -> list[str]:
    """Returns a name for each row of `class_grid`."""
    return list(class_names) if model.has_classes else [f"row {i}" for i in range(10)]


def typical_rows(model: GenerativeModel, spec: DataSpec, num_samples: int, seed: int) -> pd.DataFrame:
    """Returns rows of a table that the model draws, `num_samples` a class, in the units of their columns."""
    drawn = class_grid(model, num_samples, seed).numpy()
    rows = spec.preprocess.inverse(drawn.reshape(-1, drawn.shape[-1]))
    names = row_names(model, spec.class_names)
    return rows.set_axis([name for name in names for _ in range(num_samples)], axis=0).rename_axis("class")
