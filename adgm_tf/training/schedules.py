"""The learning rate and the warm-ups as functions of the step."""

from __future__ import annotations

import math

import tensorflow as tf
import tf_keras

from adgm_tf.config import Config


class Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
    """constant; staircase: rate x factor^floor(epoch / every); cosine: rate (1 + cos(pi step / steps)) / 2; linear.

    Args:
      config: names the schedule and its numbers.
      steps_per_epoch: steps in one pass over the data.
      num_steps: steps of the run.
    """

    def __init__(self, config: Config, steps_per_epoch: float, num_steps: int):
        self.config, self.steps_per_epoch, self.num_steps = config, steps_per_epoch, num_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of `step`, float32 []."""
        step = tf.cast(step, tf.float32)
        factor = SCHEDULES[self.config.learning_rate_schedule](self, step)
        return tf.maximum(self.config.learning_rate * factor, self.config.learning_rate_floor)

    def staircase(self, step: tf.Tensor) -> tf.Tensor:
        """Returns factor^floor(epoch / every)."""
        every = self.config.staircase_epochs * self.steps_per_epoch
        return self.config.staircase_factor ** tf.floor(step / every)

    def cosine(self, step: tf.Tensor) -> tf.Tensor:
        """Returns (1 + cos(pi step / steps)) / 2."""
        return 0.5 * (1 + tf.cos(math.pi * tf.minimum(step / self.num_steps, 1.0)))

    def linear(self, step: tf.Tensor) -> tf.Tensor:
        """Returns 1, and over the last third 3 (1 - step / steps)."""
        return tf.clip_by_value(3 * (1 - step / self.num_steps), 0.0, 1.0)

    def constant(self, step: tf.Tensor) -> tf.Tensor:
        """Returns 1."""
        return tf.ones_like(step)


RADIUS_SHARE_OF_STEPS = 2 / 3
PROPAGATION_SHARE_OF_STEPS = 1 / 2
SCHEDULES = {"constant": Schedule.constant, "staircase": Schedule.staircase, "cosine": Schedule.cosine,
             "linear": Schedule.linear}


def radius_factor(step: tf.Tensor, start: float, num_steps: int) -> tf.Tensor:
    """Returns start + (1 - start) min(1, step / (2/3 num_steps)), float32 []."""
    return start + (1 - start) * tf.minimum(1.0, tf.cast(step, tf.float32) / (RADIUS_SHARE_OF_STEPS * num_steps))


def propagation_factor(step: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Returns max(0, 1 - step / (1/2 num_steps)), float32 []."""
    return tf.maximum(0.0, 1 - tf.cast(step, tf.float32) / (PROPAGATION_SHARE_OF_STEPS * num_steps))


def warm_up(step: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Returns min(1, (step + 1) / num_steps), or 1 without a warm-up (`num_steps` 0), float32 []."""
    if not num_steps:
        return tf.ones([])
    return tf.minimum(1.0, tf.cast(step + 1, tf.float32) / num_steps)
