"""Trains on one device and on two with the same noise for each example; prints how far the weights lie apart.

The noise of an example depends on the replica that has it. Here it depends on whether its place in the batch is even,
so that what is left between one device and two is what they make of a batch.
"""

import json
import sys

import building
import numpy as np
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.training import plan
from adgm_tf.training.step import Trainer

SIZES = dict(hidden_units=(16, 12), auxiliary_dim=4, latent_dim=3, labelled_batch_size=8, unlabelled_batch_size=12,
             num_labels="all", num_epochs=0.0, clip_norm=1.0, steps_per_call=3, num_steps=100)


def by_parity(low, high):
    """Noise of a row by whether its place is even: a place keeps that where each replica has an even number of rows."""
    def noise(shape, seed, *args, **kwargs):
        del seed, args, kwargs
        shape = tf.convert_to_tensor(shape)
        axis = 0 if shape.shape[0] == 2 else 1
        place = tf.reshape(tf.range(shape[axis]) % 2, [-1, *[1] * (shape.shape[0] - axis - 1)])
        angle = 1.7 * tf.cast(tf.range(shape[-1]), tf.float32) + 2.1 * tf.cast(place, tf.float32) + 0.4
        return tf.broadcast_to(low + (high - low) * (tf.sin(angle) + 1) / 2, shape)

    return noise


def weights(strategy, options, steps):
    """The variables by name after some calls of the loop, moving averages and all."""
    config = Config(**(SIZES | options))
    splits = building.split(config, building.vectors((40, 20, 20), dim=6))
    trainer = Trainer(config, plan.make(config, splits), splits, strategy)
    before = [v.numpy() for v in trainer.model.variables]
    kept = [(random, random.stateless_normal, random.stateless_uniform) for random in (tf.random, tf.compat.v2.random)]
    for random, *_ in kept:
        random.stateless_normal, random.stateless_uniform = by_parity(-1.5, 1.5), by_parity(0.05, 0.95)
    trainer.train(steps)
    for random, normal, uniform in kept:
        random.stateless_normal, random.stateless_uniform = normal, uniform
    after = [v.numpy() for v in trainer.model.variables]
    return after, max(np.abs(a - b).max() for a, b in zip(after, before, strict=True))


def main(options, steps):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found, moved = weights(one, options, steps)
    other, _ = weights(two, options, steps)
    apart = max((np.abs(a - b) / (1 + np.abs(a))).max() for a, b in zip(found, other, strict=True))
    print(json.dumps({"apart": float(apart), "moved": float(moved)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
