"""Matrix products in a type of their own, weights in float32: each cast once a step, however often it is used."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf
from jaxtyping import Float
from tf_keras import initializers, layers

# A thread is a replica: MirroredStrategy traces each in a thread of its own.
_scope = threading.local()


@contextlib.contextmanager
def weights_cast_once() -> Iterator[None]:
    """Within it `cast` gives the same tensor for the same weights, which must not change meanwhile."""
    _scope.casts = {}
    try:
        yield
    finally:
        _scope.casts = None


def cast(weights: tf.Variable, dtype: str | tf.DType) -> tf.Tensor:
    """Returns the value of weights in a type."""
    casts = getattr(_scope, "casts", None)
    if casts is None or weights.dtype == dtype:
        return tf.cast(tf.convert_to_tensor(weights), dtype)
    key = weights.ref(), tf.as_dtype(dtype)
    if key not in casts:
        casts[key] = tf.cast(weights, dtype)
    return casts[key]


class Dense(layers.Layer):
    """h W + b, the product in the layer's compute type; Keras's own casts W at every use.

    Args:
      units: columns of W.
      kernel_initializer: of W.
      bias_initializer: of b; without one there is no b.
    """

    def __init__(self, units: int, kernel_initializer: initializers.Initializer,
                 bias_initializer: initializers.Initializer | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.kernel_initializer, self.bias_initializer = units, kernel_initializer, bias_initializer

    def build(self, shape: tf.TensorShape) -> None:
        """Makes W and b."""
        self.kernel = self.add_weight("kernel", (shape[-1], self.units), initializer=self.kernel_initializer,
                                      autocast=False)
        self.bias = None if self.bias_initializer is None else self.add_weight(
            "bias", (self.units,), initializer=self.bias_initializer, autocast=False)

    def call(self, h: Float[tf.Tensor, "... m"], training: bool | None = None) -> Float[tf.Tensor, "... n"]:
        """Returns h W + b in the type of h, in training or not."""
        del training
        product = tf.tensordot(h, cast(self.kernel, h.dtype), 1)
        return product if self.bias is None else tf.nn.bias_add(product, cast(self.bias, h.dtype))
