"""PNG and JPEG files as TensorFlow operations: bytes in, pixels out, as `data/folders.py` reads them.

What differs: a picture that a camera has turned is not turned back; pixels that are resized, half transparent or of
more than 8 bits may be 1 or 2 of 255 off; JPEG in CMYK is taken as TensorFlow takes it.
"""

from __future__ import annotations

import tensorflow as tf

_LARGEST_UINT16 = 65_535
_PLACE_OF_BITS = 24  # Of the byte of a PNG file that says how many bits a channel has.
# Shares of red, green and blue in grey, of 65,536: those of ITU-R 601, as Pillow rounds them.
_GREY = (19_595, 38_470, 7_471)


def decoded(files: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Returns the pixels of PNG or JPEG files [N], uint8 [N, height, width, 1 or 3].

    Transparent parts are white, 16 bits become 8, colours become grey where the model has learnt grey, and pictures of
    another size are resized.
    """
    spec = tf.TensorSpec(shape, tf.uint8)
    return tf.map_fn(lambda file: _one(file, shape), files, fn_output_signature=spec)


def _one(file: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    colours = tf.cond(tf.io.is_jpeg(file), lambda: _of_jpeg(file), lambda: _of_png(file))
    if shape[2] == 1:
        shares = tf.constant(_GREY, tf.int32)
        colours = (tf.reduce_sum(colours * shares, -1, keepdims=True) + 0x8000) // 0x10000
    same = tf.reduce_all(tf.shape(colours)[:2] == shape[:2])
    pixels = tf.cond(same, lambda: tf.cast(colours, tf.float32), lambda: tf.image.resize(
        tf.cast(colours, tf.float32), shape[:2], antialias=True))
    return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8), shape)


def _of_jpeg(file: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE"), tf.int32)


def _of_png(file: tf.Tensor) -> tf.Tensor:
    """Red, green and blue of 0 to 255 over white."""
    long_enough = tf.strings.join([file, "?" * (_PLACE_OF_BITS + 1)])
    bits = tf.io.decode_raw(tf.strings.substr(long_enough, _PLACE_OF_BITS, 1), tf.uint8)[0]
    # TensorFlow gives a picture of fewer than 8 bits an alpha that it has not.
    wide = tf.cond(bits < 8, lambda: _with_alpha(_wide(file, 0)), lambda: _wide(file, 4))
    narrow = tf.round(wide * (255 / _LARGEST_UINT16))
    colours, alpha = narrow[..., :3], narrow[..., 3:] / 255
    return tf.cast(tf.round(colours * alpha + 255 * (1 - alpha)), tf.int32)


def _wide(file: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(file, channels, tf.uint16), tf.float32)


def _with_alpha(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels of 1, 3 or 4 channels as 4, opaque where there is no alpha."""
    channels = tf.shape(pixels)[2]
    colours = tf.cond(channels == 1, lambda: tf.repeat(pixels, 3, 2), lambda: pixels[..., :3])
    opaque = tf.fill(tf.shape(pixels[..., :1]), float(_LARGEST_UINT16))
    return tf.concat([colours, tf.cond(channels == 4, lambda: pixels[..., 3:], lambda: opaque)], 2)
