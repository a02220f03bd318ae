"""Training arrays kept on the device, and batches that are a function of the step alone."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from adgm_tf.data import neighbours
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.splits import Splits
from adgm_tf.model import seeds
from adgm_tf.model.contract import Batch
from adgm_tf.training import augment, order


class Part(NamedTuple):
    """Examples on the device: what q sees [N,S], and what p describes [N,D] and where [N,D], if that is another thing.

    Images are as the source gives them, everything else is prepared.
    """

    seen: tf.Tensor
    x: tf.Tensor | None = None
    observed: tf.Tensor | None = None


class TrainingArrays(NamedTuple):
    """Training arrays of one replica: labelled_y int32 [N]; what labels say of unlabelled examples [N,C], or None."""

    labelled: Part
    labelled_y: tf.Tensor
    unlabelled: Part
    propagated: tf.Tensor | None = None


class RowNumbers(NamedTuple):
    """Numbers of rows of the arrays, a line a step: labelled [n,L] and unlabelled [n,U], int64."""

    labelled: tf.Tensor
    unlabelled: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Batches:
    """How batches are taken from the arrays.

    Attributes:
      labelled_size: labelled examples a step, over all replicas.
      unlabelled_size: unlabelled examples a step, over all replicas.
      num_labelled: labelled examples in the arrays.
      num_unlabelled: unlabelled examples in the arrays.
      num_replicas: replicas that share a batch.
      scale: what takes pixels of the arrays to [0, 1]; 1 for what is scaled already.
      binarize: whether pixels are Bernoulli draws, anew at every step.
      noise: standard deviation of the noise through which q sees examples.
      shuffles_unlabelled: whether unlabelled rows come in a new order at every epoch, or always in that of the array.
      seed: seed of the run, int32 [2].
      shift: most pixels by which q sees images shifted.
      image_shape: height, width and channels of an image, for the shift.
    """

    labelled_size: int
    unlabelled_size: int
    num_labelled: int
    num_unlabelled: int
    num_replicas: int
    scale: float
    binarize: bool
    noise: float
    shuffles_unlabelled: bool
    seed: tf.Tensor
    shift: int = 0
    image_shape: tuple[int, ...] = ()

    def rows(self, start: tf.Tensor, num_steps: tf.Tensor) -> RowNumbers:
        """Returns the rows of the batches of `num_steps` steps from `start` on (both int64), of all replicas."""
        def positions(size):
            return start * size + tf.range(num_steps * size, dtype=tf.int64)

        def shuffled(size, count, draw):
            return order.shuffled(positions(size), count, seeds.fold(self.seed, draw))

        labelled = shuffled(self.labelled_size, self.num_labelled, seeds.Draw.LABELLED_ORDER)
        unlabelled = (shuffled(self.unlabelled_size, self.num_unlabelled, seeds.Draw.UNLABELLED_ORDER)
                      if self.shuffles_unlabelled else positions(self.unlabelled_size) % max(self.num_unlabelled, 1))
        return RowNumbers(tf.reshape(labelled, [num_steps, self.labelled_size]),
                          tf.reshape(unlabelled, [num_steps, self.unlabelled_size]))

    def take(self, arrays: TrainingArrays, rows: RowNumbers, replica: tf.Tensor, noise_seed: tf.Tensor) -> Batch:
        """Returns the part of a batch, the rows [L] and [U] of one step, that belongs to `replica` (int32)."""
        labelled, unlabelled = (self._part(part, size, replica) for part, size in
                                zip(rows, (self.labelled_size, self.unlabelled_size), strict=True))
        def both(of_labelled, of_unlabelled):
            if of_labelled is None:
                return None
            return tf.concat([tf.gather(of_labelled, labelled), tf.gather(of_unlabelled, unlabelled)], 0)

        given = Part(*map(both, arrays.labelled, arrays.unlabelled))
        seen = self.prepared(given.seen, noise_seed)
        x = seen if given.x is None else given.x
        propagated = None if arrays.propagated is None else tf.gather(arrays.propagated, unlabelled)
        return Batch(seen, x, given.observed, tf.gather(arrays.labelled_y, labelled), propagated)

    def changed(self, seen: tf.Tensor, noise_seed: tf.Tensor) -> tf.Tensor:
        """Returns examples as q sees them in training: shifted, and through noise."""
        if self.shift:
            seen = augment.shifted(seen, self.image_shape, self.shift, seeds.fold(noise_seed, seeds.Draw.SHIFT))
        if not self.noise:
            return seen
        return seen + self.noise * tf.random.stateless_normal(tf.shape(seen), seeds.fold(noise_seed, seeds.Draw.NOISE))

    def _part(self, rows: tf.Tensor, size: int, replica: tf.Tensor) -> tf.Tensor:
        part = size // self.num_replicas
        return tf.ensure_shape(rows[replica * part: (replica + 1) * part], [part])

    def prepared(self, x: tf.Tensor, noise_seed: tf.Tensor) -> tf.Tensor:
        """Returns rows x [B,D] in float32: scaled, and binarised if so configured."""
        x = tf.cast(x, tf.float32)
        x = x if self.scale == 1 else x * self.scale
        if not self.binarize:
            return x
        uniform = tf.random.stateless_uniform(tf.shape(x), seeds.fold(noise_seed, seeds.Draw.BINARIZE))
        return tf.cast(uniform < x, tf.float32)


def part_of(splits: Splits, x: Any) -> Part:
    """Returns examples x [N, ...] of the source as the device gets them, in NumPy."""
    if splits.is_image:
        return Part(np.asarray(x).reshape(-1, splits.x_dim))
    return Part(*splits.prepared(x))


def propagated(splits: Splits) -> np.ndarray:
    """Returns what labels say of unlabelled examples along neighbours in what q sees, by certainty, float32 [N,C]."""
    seen = np.concatenate([part_of(splits, examples.x).seen for examples in (splits.labelled, splits.unlabelled)])
    L = len(splits.labelled)
    y = np.concatenate([splits.labelled.y, np.full(len(seen) - L, UNKNOWN)])
    return neighbours.certain(neighbours.harmonic(seen, y, splits.num_classes)[L:])


def place(splits: Splits, strategy: tf.distribute.Strategy, of_labels: np.ndarray | None = None) -> TrainingArrays:
    """Returns the training arrays with one copy on the device of each replica."""
    labelled, unlabelled = splits.labelled, splits.unlabelled
    arrays = TrainingArrays(part_of(splits, labelled.x), labelled.y.astype(np.int32), part_of(splits, unlabelled.x),
                            of_labels)
    if strategy.num_replicas_in_sync == 1:
        return tf.nest.map_structure(lambda a: None if a is None else tf.constant(a), arrays)
    return tf.nest.map_structure(lambda a: None if a is None else strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(a)), arrays)


class Resident:
    """All training arrays on the device; the rows of a step are those of the order of the epoch."""

    def __init__(self, splits: Splits, batches: Batches, strategy: tf.distribute.Strategy,
                 of_labels: np.ndarray | None = None):
        self.batches, self.arrays = batches, place(splits, strategy, of_labels)

    def at(self, step: int, end: int) -> tuple[TrainingArrays, int]:
        """Returns the arrays that have the rows of the steps from `step` on, and the step at which they end."""
        del step
        return self.arrays, end

    def rows(self, start: tf.Tensor, num_steps: tf.Tensor) -> RowNumbers:
        """Returns the rows of the arrays that the steps take."""
        return self.batches.rows(start, num_steps)
