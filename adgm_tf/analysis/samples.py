"""What a model draws, as arrays of examples: samples by class, reconstructions, analogies."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

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
