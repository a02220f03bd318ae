"""The order of examples: a new permutation of the rows at every epoch, as a function of the position alone."""

from __future__ import annotations

import tensorflow as tf
from jaxtyping import Int

LARGEST = 2**32
_GOLDEN = 0x9E3779B9


def shuffled(positions: Int[tf.Tensor, " n"], count: int, seed: tf.Tensor) -> Int[tf.Tensor, " n"]:
    """Returns the rows at `positions` of an endless sequence of epochs, each a new order of `count` rows.

    A Feistel network permutes 0 .. 2^bits - 1, the smallest power of 2 that holds `count`; what it takes outside the
    rows is taken on until it is one (cycle walking), so that rows are permuted among themselves.

    Args:
      positions: int64 [n], from 0.
      count: rows of an epoch, at most 2^32.
      seed: int32 [2].

    Returns:
      Rows, int64 [n].

    Reference: Black and Rogaway 2002, *Ciphers with Arbitrary Finite Domains*.
    """
    if count <= 1:
        return tf.zeros_like(positions)
    bits, last = (count - 1).bit_length(), tf.constant(count - 1, tf.uint32)
    keys = _keys(positions // count, tf.bitcast(seed, tf.uint32))

    def walk(rows):
        return tf.where(rows > last, _permuted(rows, keys, bits), rows)

    first = _permuted(tf.cast(positions % count, tf.uint32), keys, bits)
    (rows,) = tf.while_loop(lambda rows: tf.reduce_any(rows > last), lambda rows: (walk(rows),), (first,))
    return tf.cast(rows, tf.int64)


def _permuted(values: tf.Tensor, keys: tf.Tensor, bits: int) -> tf.Tensor:
    """A permutation of 0 .. 2^bits - 1 for each key: each half of the bits is changed by a hash of the other."""
    # A few bits take more rounds until every permutation is as likely as another.
    rounds = 8 if bits > 8 else 24
    low_bits = (bits + 1) // 2
    low_mask, high_mask = 2**low_bits - 1, 2 ** (bits - low_bits) - 1
    high, low = tf.bitwise.right_shift(values, low_bits), values & low_mask
    for number in range(1, rounds + 1):
        key = keys + number * _GOLDEN % 2**32
        if number % 2:
            low ^= _hashed(high ^ key) & low_mask
        else:
            high ^= _hashed(low ^ key) & high_mask
    return tf.bitwise.left_shift(high, low_bits) | low


def _keys(epochs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A number of 32 bits for each epoch, uint32."""
    lower, upper = tf.unstack(tf.bitcast(epochs, tf.uint32), axis=-1)
    return _hashed(_hashed(_hashed(lower + _hashed(upper + _GOLDEN)) ^ seed[0]) + seed[1])


def _hashed(values: tf.Tensor) -> tf.Tensor:
    """A bijection of uint32 whose every output bit depends on every input bit.

    Shifts and factors: Wellons 2018, *Prospecting for Hash Functions* (lowbias32).
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        values = (values ^ tf.bitwise.right_shift(values, shift)) * factor
    return values ^ tf.bitwise.right_shift(values, 16)
