"""What other implementations do, for comparison only: parents repeated for every class and concatenated."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from adgm_tf.config import Config
from adgm_tf.model import construction, densities, engine
from adgm_tf.model.contract import ExampleSpec
from adgm_tf.model.phase import Phase

tfd = tfp.distributions


class Concatenated(tf_keras.Model):
    """density(W_out relu(... relu(W [a, x, onehot(y), z] + b) ...)), each row with its own copy of every parent."""

    def __init__(self, name: str, parents: Mapping[str, int], dim: int, density: densities.Density,
                 hidden_units: tuple[int, ...]):
        super().__init__(name=name)
        self.sizes = dict(parents)
        self.stack = [tf_keras.layers.Dense(n, "relu") for n in hidden_units]
        self.last = tf_keras.layers.Dense(density.num_parameters(dim))
        self.density = tfp.layers.DistributionLambda(density.function, convert_to_tensor_fn=tfd.Distribution.mean)

    def call(self, parents: Mapping[str, tf.Tensor], phase: Phase = Phase.EVALUATE,
             noise_seed: tf.Tensor | None = None) -> tfd.Distribution:
        """Returns the distribution of the variable given its parents, arguments as of `conditionals.Conditional`."""
        del phase, noise_seed
        values = [tf.one_hot(v, self.sizes[p]) if p == "y" else v for p, v in parents.items()]
        rows = [1, 1, 1]
        for value in values:
            rows = tf.broadcast_static_shape(tf.TensorShape(rows), value.shape[:3])
        h = tf.concat([tf.broadcast_to(v, [*rows, v.shape[-1]]) for v in values], -1)
        for dense in self.stack:
            h = dense(h)
        return self.density(self.last(h))


def build(config: Config, spec: ExampleSpec, features: None = None) -> engine.GenerativeModel:
    """Builds the model that `config` names with concatenated conditionals; arguments as of `construction.build`."""
    model = construction.build(config, spec, features)
    dims = dict(a=config.auxiliary_dim, x=model.sizes.x_dim, y=spec.num_classes, z=config.latent_dim)
    names = dict(q_a="gaussian", q_y="categorical", q_z="gaussian", p_a="gaussian")
    of = {key: densities.DENSITIES[name] for key, name in names.items()} | {"p_x": model.sizes.likelihood}
    for key in model.conditionals:
        parents = {p: dims[p] for p in getattr(model.row, key)}
        model.conditionals[key] = Concatenated(key, parents, dims[key[2]], of[key], config.hidden_units)
    model.create_variables()
    return model
