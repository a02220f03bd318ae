"""Training arrays kept on the device, and batches that are a function of the step alone."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adgm_tf import seeds
from adgm_tf.data.splits import Scaling, Splits


class Arrays(NamedTuple):
    """Training arrays of one replica, as the source gives them: x uint8 or float32 [N, D], y int32 [N]."""

    labelled_x: tf.Tensor
    labelled_y: tf.Tensor
    unlabelled_x: tf.Tensor


class Batch(NamedTuple):
    """One replica's part of a batch: x_labelled [L,D], y [L], x_unlabelled [U,D]."""

    x_labelled: tf.Tensor
    y: tf.Tensor
    x_unlabelled: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Batches:
    """How batches are taken from the arrays.

    Attributes:
      labelled_size: labelled examples a step, over all replicas.
      unlabelled_size: unlabelled examples a step, over all replicas.
      num_replicas: replicas that share a batch.
      scaling: from what the source gives to what the model sees.
      binarize: whether pixels are Bernoulli draws, anew at every step.
      shuffles_unlabelled: whether unlabelled rows come in a new order at every epoch, or always in that of the array.
      seed: seed of the run, int32 [2].
    """

    labelled_size: int
    unlabelled_size: int
    num_replicas: int
    scaling: Scaling
    binarize: bool
    shuffles_unlabelled: bool
    seed: tf.Tensor

    def take(self, arrays: Arrays, step: tf.Tensor, replica: tf.Tensor, noise_seed: tf.Tensor) -> Batch:
        """Returns the part of batch `step` (int64) that belongs to `replica` (int32)."""
        positions = self._positions(self.labelled_size, step, replica)
        labelled = shuffled(positions, arrays.labelled_x.shape[0], seeds.fold(self.seed, seeds.Draw.LABELLED_ORDER))
        unlabelled = self._unlabelled(arrays.unlabelled_x.shape[0], step, replica)
        x = tf.concat([tf.gather(arrays.labelled_x, labelled), tf.gather(arrays.unlabelled_x, unlabelled)], 0)
        x = self.seen(x, noise_seed)
        return Batch(x[: labelled.shape[0]], tf.gather(arrays.labelled_y, labelled), x[labelled.shape[0] :])

    def seen(self, x: tf.Tensor, noise_seed: tf.Tensor) -> tf.Tensor:
        """Returns what the model sees of rows x [B,D] in training: scaled, and binarised if so configured."""
        x = self.scaling.scaled(tf.cast(x, tf.float32))
        if not self.binarize:
            return x
        uniform = tf.random.stateless_uniform(tf.shape(x), seeds.fold(noise_seed, seeds.Draw.BINARIZE))
        return tf.cast(uniform < x, tf.float32)

    def _unlabelled(self, count: int, step: tf.Tensor, replica: tf.Tensor) -> tf.Tensor:
        positions = self._positions(self.unlabelled_size, step, replica)
        if not self.shuffles_unlabelled:
            return positions % max(count, 1)
        return shuffled(positions, count, seeds.fold(self.seed, seeds.Draw.UNLABELLED_ORDER))

    def _positions(self, batch_size: int, step: tf.Tensor, replica: tf.Tensor) -> tf.Tensor:
        size = batch_size // self.num_replicas
        return step * batch_size + tf.cast(replica, tf.int64) * size + tf.range(size, dtype=tf.int64)


def shuffled(positions: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns the rows at `positions` of an endless sequence of epochs, each a new order of `count` rows.

    Args:
      positions: int64 [n], from 0.
      count: rows of an epoch.
      seed: int32 [2].
    """
    if count == 0 or positions.shape[0] == 0:
        return positions
    epoch, run_seed = positions // count, tf.cast(seed, tf.int64)
    # The kernel reads as little as the low byte of each number, so the higher bytes of the epoch go to the others.
    keys = tf.stack([run_seed[0] + epoch // 256, run_seed[1] + epoch // 256**2, epoch], 1)
    # The public index_shuffle takes one seed for all; the kernel takes one a row, and a batch may span epochs.
    return tf.raw_ops.RandomIndexShuffle(index=positions % count, seed=keys,
                                         max_index=tf.constant(count - 1, tf.int64), rounds=4)


def place(splits: Splits, strategy: tf.distribute.Strategy) -> Arrays:
    """Returns the training arrays with one copy on the device of each replica."""
    dim = math.prod(splits.x_shape)
    flat = [splits.labelled.x.reshape(-1, dim), splits.labelled.y.astype(np.int32),
            splits.unlabelled.x.reshape(-1, dim)]
    if strategy.num_replicas_in_sync == 1:
        return Arrays(*map(tf.constant, flat))
    return Arrays(*(strategy.experimental_distribute_values_from_function(lambda _, a=array: tf.constant(a))
                    for array in flat))
