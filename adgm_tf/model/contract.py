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


class Batch(NamedTuple):
    """One replica's part of a batch: labelled examples first, then unlabelled ones.

    Attributes:
      seen: what q sees [B,S].
      x: what p(x|.) describes [B,D].
      observed: 1 where a unit of x is known [B,D]; None if all are.
      y: classes of the first L examples [L].
      propagated: what the labels say of the unlabelled examples along their neighbours [U,C]; None if not asked for.
      again: what q sees of the same examples by another draw of their changes [B,S]; None if not asked for.
    """

    seen: tf.Tensor
    x: tf.Tensor
    observed: tf.Tensor | None
    y: tf.Tensor
    propagated: tf.Tensor | None = None
    again: tf.Tensor | None = None

    def part(self, rows: slice) -> Batch:
        """Returns some of the examples, without labels."""
        return Batch(self.seen[rows], self.x[rows], None if self.observed is None else self.observed[rows], self.y[:0])


@runtime_checkable
class ExampleSpec(Protocol):
    """What a model has to know of examples.

    Attributes:
      x_shape: shape of one example as the source gives it.
      x_dim: D, units that p(x|.) describes.
      seen_dim: S, units that q sees.
      num_classes: C.
      is_image: whether x are images.
      blocks: density and units of each block of x, where p(x|.) is mixed; else empty.
    """

    x_shape: tuple[int, ...]
    x_dim: int
    seen_dim: int
    num_classes: int
    is_image: bool
    blocks: tuple[tuple[str, int], ...]


@runtime_checkable
class Features(Protocol):
    """What may stand between the examples and the x that a model observes."""

    input_dim: int
    dim: int
    binarizes: bool

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None, *, shared_noise: bool = False) -> tf.Tensor:
        """Examples [B,E] -> x [B,D], drawn with a seed, the mean without; examples may share their noise."""

    def render(self, x: tf.Tensor) -> tf.Tensor:
        """x [B,D] -> examples [B,E]."""
