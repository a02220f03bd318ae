"""Rows of some steps at a time, read while the device trains: for data that do not fit where the device has its own."""

from __future__ import annotations

import concurrent.futures
import math

import numpy as np
import psutil
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data.mapped import Mapped
from adgm_tf.data.splits import Splits
from adgm_tf.training import feed

# One block is on the device while the next is read.
BLOCK_BYTES = 2**26
SHARE_OF_MEMORY = 1 / 4


def feed_of(config: Config, splits: Splits, batches: feed.Batches,
            strategy: tf.distribute.Strategy, of_labels: np.ndarray | None = None) -> feed.Resident | Blocks:
    """Returns what gives the steps their examples: all of them on the device, or blocks of them."""
    if is_resident(config.resident, splits, strategy.num_replicas_in_sync):
        return feed.Resident(splits, batches, strategy, of_labels)
    return Blocks(splits, batches, strategy, config.steps_per_call, of_labels=of_labels)


def is_resident(resident: str, splits: Splits, num_replicas: int) -> bool:
    """Whether the training arrays are on the device; where that is left open, unless files hold more than it may."""
    if resident != "auto":
        return resident == "true"
    parts = [part.x for part in (splits.labelled, splits.unlabelled) if isinstance(part.x, Mapped)]
    # Vectors are standardised in float32; images stay what they are.
    needed = sum(math.prod(x.shape) * (x.dtype.itemsize if splits.is_image else 4) for x in parts)
    return not parts or needed * num_replicas <= psutil.virtual_memory().total * SHARE_OF_MEMORY


class Blocks:
    """The rows of `steps` steps at a time; a replica gets those of its own part of each batch.

    Blocks begin at multiples of their size, so that they are those of an unbroken run wherever a run goes on.

    Args:
      splits: the data.
      batches: how batches are taken from the arrays.
      strategy: where they go.
      most_steps: of one block; fewer where these would be more than `BLOCK_BYTES`.
      of_labels: what the labels say of the unlabelled examples [N,C].
    """

    def __init__(self, splits: Splits, batches: feed.Batches, strategy: tf.distribute.Strategy, most_steps: int, *,
                 of_labels: np.ndarray | None = None):
        self.of_labels = of_labels
        self.splits, self.batches, self.strategy = splits, batches, strategy
        bytes_a_step = (batches.labelled_size + batches.unlabelled_size) * 4 * (splits.seen_dim + splits.x_dim)
        self.steps = max(1, min(most_steps, BLOCK_BYTES // bytes_a_step))
        self.number, self.current = -1, None
        self._reader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="blocks")
        self._next: tuple[int, concurrent.futures.Future] | None = None

    def at(self, step: int, end: int) -> tuple[feed.TrainingArrays, int]:
        """Returns the arrays that have the rows of the steps from `step` on, and the step at which they end."""
        del end
        number = step // self.steps
        if number != self.number:
            if self._next is None or self._next[0] != number:
                self._read_ahead(number)
            found = self._next[1].result()
            self._read_ahead(number + 1)
            self.number, self.current = number, self._placed(found)
        return self.current, (number + 1) * self.steps

    def rows(self, start: tf.Tensor, num_steps: tf.Tensor) -> feed.RowNumbers:
        """Returns the rows of the arrays of a block that the steps take: a replica's own stand in their order."""
        steps = (start + tf.range(num_steps)) % self.steps

        def of(size: int) -> tf.Tensor:
            part = max(size // self.batches.num_replicas, 1)
            return steps[:, None] * part + tf.range(size, dtype=tf.int64) % part

        return feed.RowNumbers(of(self.batches.labelled_size), of(self.batches.unlabelled_size))

    def _read_ahead(self, number: int) -> None:
        self._next = number, self._reader.submit(self._read, number)

    def _read(self, number: int) -> dict[int, feed.TrainingArrays]:
        """The arrays of one block for each replica of this process."""
        with tf.device("CPU:0"):
            rows = self.batches.rows(tf.constant(number * self.steps, tf.int64), tf.constant(self.steps, tf.int64))
        return {replica: self._of_replica(rows, replica) for replica in self._replicas()}

    def _of_replica(self, rows: feed.RowNumbers, replica: int) -> feed.TrainingArrays:
        def own(rows_of_steps: tf.Tensor) -> np.ndarray:
            part = rows_of_steps.shape[1] // self.batches.num_replicas
            return rows_of_steps.numpy()[:, replica * part: (replica + 1) * part].ravel()

        of_unlabelled = own(rows.unlabelled)
        labelled, unlabelled = self.splits.labelled.take(own(rows.labelled)), self.splits.unlabelled.take(of_unlabelled)
        return feed.TrainingArrays(feed.part_of(self.splits, labelled.x), labelled.y.astype(np.int32),
                                   feed.part_of(self.splits, unlabelled.x),
                                   None if self.of_labels is None else self.of_labels[of_unlabelled])

    def _replicas(self) -> list[int]:
        """The replicas of this process among all."""
        workers = getattr(self.strategy.extended, "_num_workers", 1)
        here = self.strategy.num_replicas_in_sync // workers
        first = getattr(self.strategy.extended, "_id_in_cluster", 0) * here
        return list(range(first, first + here))

    def _placed(self, found: dict[int, feed.TrainingArrays]) -> feed.TrainingArrays:
        if self.strategy.num_replicas_in_sync == 1:
            return tf.nest.map_structure(lambda a: None if a is None else tf.constant(a), found[0])

        def value(context: tf.distribute.DistributedValues, *path: int) -> tf.Tensor:
            arrays = tf.nest.flatten(found[int(context.replica_id_in_sync_group)])
            return tf.constant(arrays[path[0]])

        like = next(iter(found.values()))
        flat = [None if a is None else self.strategy.experimental_distribute_values_from_function(
            lambda context, i=i: value(context, i)) for i, a in enumerate(tf.nest.flatten(like))]
        return tf.nest.pack_sequence_as(like, flat)
