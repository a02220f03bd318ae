"""The first stage of M1+M2: a frozen m1 between the examples and the model."""

from __future__ import annotations

import tensorflow as tf
from jaxtyping import Float

from adgm_tf.model import engine
from adgm_tf.model.engine import GenerativeModel


class FeaturesOfM1(tf.Module):
    """z1 ~ q(z1|x) of a trained m1 takes the place of x; p(x|z1) leads back.

    Args:
      m1: the trained model; nothing here changes it.
      binarizes: whether its own training drew binary pixels.

    Reference: Kingma et al. 2014, arXiv:1406.5298, section 2.
    """

    def __init__(self, m1: GenerativeModel, *, binarizes: bool = False):
        super().__init__(name="features")
        self.binarizes = binarizes
        self.m1, self.input_dim, self.dim = m1, m1.sizes.x_dim, m1.sizes.latent_dim

    def __call__(self, x: Float[tf.Tensor, "B D"], seed: tf.Tensor | None = None, *,
                 shared_noise: bool = False) -> Float[tf.Tensor, "B Z"]:
        """z1 ~ q(z1|x) [B,Z], or its mean without a seed; examples may share their noise."""
        q_z_given_x = self.m1.conditionals["q_z"]({"x": x[None, :, None, :]})
        if seed is None:
            return q_z_given_x.mean()[0, :, 0]
        return engine.draw(q_z_given_x, 1, seed, shared_noise=shared_noise)[0, :, 0]

    def render(self, z: Float[tf.Tensor, "B Z"]) -> Float[tf.Tensor, "B D"]:
        """E[x|z1] [B,D]."""
        return self.m1.generate(None, z)
