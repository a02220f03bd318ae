"""What passes between a model and those that use it."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import tensorflow as tf


class Auxiliary(NamedTuple):
    """Samples of a, drawn once for each (sample, example) and shared by every class and by the classifier.

    Attributes:
      value: a [K,B,1,A]; [1,B,1,A] where a is a function of x, A = 0 where there is none.
      log_q: log q(a|x) [K,B,1]; zeros where a has no density.
      num_samples: draws of z, K; 1 where the samples of a share one.
    """

    value: tf.Tensor
    log_q: tf.Tensor
    num_samples: int


class Terms(NamedTuple):
    """What log_weight is the sum of, each broadcastable to [K,B,S], nats.

    Attributes:
      reconstruction: log p(x|.).
      kl_z: log q(z|.) - log p(z).
      kl_a: log q(a|x) - log p(a|.).
      log_p_y: log p(y).
    """

    reconstruction: tf.Tensor
    kl_z: tf.Tensor
    kl_a: tf.Tensor
    log_p_y: tf.Tensor

    def log_weight(self, kl_weight: tf.Tensor | float = 1.0) -> tf.Tensor:
        """log p(x|.) + log p(y) - kl_weight (kl_z + kl_a): with weight 1, log p(x,y,z,a) - log q(a|x) - log q(z|.)."""
        return self.reconstruction + self.log_p_y - kl_weight * (self.kl_z + self.kl_a)


class Encoding(NamedTuple):
    """Means of q(a|x) [B,A] and q(z|.) [B,Z], and the class that q(z|.) was given, int32 [B]."""

    a: tf.Tensor
    z: tf.Tensor
    y: tf.Tensor


@runtime_checkable
class Features(Protocol):
    """What may stand between the examples and the x that a model observes."""

    input_dim: int
    dim: int

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None, shared_noise: bool = False) -> tf.Tensor:
        """Examples [B,E] -> x [B,D], drawn with a seed, the mean without; examples may share their noise."""

    def render(self, x: tf.Tensor) -> tf.Tensor:
        """x [B,D] -> examples [B,E]."""
