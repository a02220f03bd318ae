"""Changes of images in training that leave their class: shifts."""

from __future__ import annotations

import tensorflow as tf
from jaxtyping import Float


def shifted(x: Float[tf.Tensor, "B D"], shape: tuple[int, int, int], most: int,
            seed: tf.Tensor) -> Float[tf.Tensor, "B D"]:
    """x'[i,j] = x[i - v, j - h], v and h uniform whole numbers from -most to most, one pair an image.

    What comes in from beyond an edge repeats the pixels of that edge.

    Args:
      x: images [B,D], row by row.
      shape: height, width and channels of one; D is their product.
      most: pixels.
      seed: of v and h.

    Returns:
      Images of the same shape.
    """
    offsets = tf.random.stateless_uniform([tf.shape(x)[0], 2], seed, -most, most + 1, tf.int32)
    images = tf.reshape(x, [-1, *shape])
    for axis in (1, 2):
        last = shape[axis - 1] - 1
        from_here = tf.clip_by_value(tf.range(last + 1) - offsets[:, axis - 1, None], 0, last)
        images = tf.gather(images, from_here, axis=axis, batch_dims=1)
    return tf.reshape(images, tf.shape(x))
