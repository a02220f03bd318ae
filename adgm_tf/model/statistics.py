"""Statistics of a batch that is shared out over replicas: those of the whole batch, where they are asked for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

# A thread is a replica: MirroredStrategy traces each in a thread of its own.
_scope = threading.local()


class Moments(NamedTuple):
    """Mean and variance of each unit, [n]."""

    mean: tf.Tensor
    variance: tf.Tensor


@contextlib.contextmanager
def of_all_replicas(wanted: bool = True, /) -> Iterator[None]:
    """Within it statistics are over the parts of all replicas, and their gradients too."""
    _scope.wanted = wanted
    try:
        yield
    finally:
        _scope.wanted = False


def num_parts() -> int:
    """Returns over how many replicas the statistics are; 1 if over this one's part alone."""
    context = tf.distribute.get_replica_context() if getattr(_scope, "wanted", False) else None
    return context.num_replicas_in_sync if context else 1


def averaged(*values: tf.Tensor) -> list[tf.Tensor]:
    """Returns the mean over the replicas of each vector [n], in one reduction; its gradient is reduced alike."""
    if num_parts() == 1:
        return list(values)
    context = tf.distribute.get_replica_context()
    joined = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.concat(values, 0))
    return tf.split(joined, [v.shape[0] for v in values])


def moments(h: tf.Tensor, axes: Sequence[int], near: tf.Tensor | float = 0.0) -> Moments:
    """Returns mean and variance over some axes of h and over the replicas, whose parts are of one size.

    mean = c + m,  variance = mean_r( v_r + (m_r - c)^2 ) - m^2,  m = mean_r(m_r - c)

    Args:
      h: float32, units last.
      axes: all the others.
      near: c [n], the same on every replica; the closer to the mean, the less is lost in rounding.
    """
    mean, variance = tf.nn.moments(h, axes)
    if num_parts() == 1:
        return Moments(mean, variance)
    shift, square = averaged(mean - near, variance + tf.square(mean - near))
    return Moments(near + shift, tf.maximum(square - tf.square(shift), 0.0))
