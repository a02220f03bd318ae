"""Stateless seeds: one for each run, step, replica and draw, so that nothing about noise needs a checkpoint."""

from __future__ import annotations

import enum

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


def of_run(seed: int) -> tf.Tensor:
    """Returns the seed of a run, int32 [2]."""
    return tf.constant([seed, 0], tf.int32)


def fold(seed: tf.Tensor, *data: tf.Tensor | int) -> tf.Tensor:
    """Returns fold_in(... fold_in(seed, data[0]) ..., data[-1]), int32 [2]."""
    for value in data:
        seed = tf.random.experimental.stateless_fold_in(seed, value)
    return seed
