"""Stateless seeds: one for each run, step, replica and draw, so that nothing about noise needs a checkpoint."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Sequence

import tensorflow as tf


class Draw(enum.IntEnum):
    """One tag for each thing that is drawn."""

    AUXILIARY = 1
    LATENT = 2
    CLASS = 3
    BINARIZE = 4
    DIRECTION = 5
    LABELLED_ORDER = 6
    UNLABELLED_ORDER = 7
    EVALUATION = 8
    FIGURE = 9
    NOISE = 10
    FEATURES = 11
    HIDDEN_NOISE = 12
    INTERPOLATION = 13
    SHIFT = 14
    AGAIN = 15


def of_run(seed: int) -> tf.Tensor:
    """Returns the seed of a run, int32 [2]."""
    return tf.constant([seed, 0], tf.int32)


def fold(seed: tf.Tensor, *data: tf.Tensor | int) -> tf.Tensor:
    """Returns fold_in(... fold_in(seed, data[0]) ..., data[-1]), int32 [2]."""
    with _outside_of_graphs(seed, *data):
        for value in data:
            seed = tf.random.experimental.stateless_fold_in(seed, value)
    return seed


def normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Returns noise N(0,1) of a known shape; a constant where the seed is one, so that no random operation is left."""
    if tf.executing_eagerly() or tf.is_symbolic_tensor(seed):
        return tf.random.stateless_normal(shape, seed)
    with tf.init_scope():
        noise = tf.random.stateless_normal(shape, seed).numpy()
    return tf.constant(noise)


def _outside_of_graphs(*values: tf.Tensor | int) -> contextlib.AbstractContextManager:
    """What depends on constants alone is computed while a function is traced, not by it."""
    return contextlib.nullcontext() if any(map(tf.is_symbolic_tensor, values)) else tf.init_scope()
