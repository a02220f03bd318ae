"""Small models, objectives and data for the tests."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from adgm_tf import config
from adgm_tf.data import source, splits
from adgm_tf.model import densities, engine, seeds
from adgm_tf.model.contract import Batch
from adgm_tf.model.family import FAMILY
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk
from adgm_tf.objectives import loss
from adgm_tf.training import feed

tf.config.experimental.enable_tensor_float_32_execution(False)

D, A, Z, C = 6, 3, 4, 5


def model(name="adgm", *, x_dim=D, auxiliary_dim=A, latent_dim=Z, num_classes=C, likelihood="gaussian",
          trunk=None, class_prior=(), scatter=0.3):
    """A model of the family whose weights lie far from where they start, so that no term is close to zero."""
    row = FAMILY[name]
    sizes = engine.Sizes(x_dim, auxiliary_dim, latent_dim, num_classes if row.q_y else 0,
                         densities.DENSITIES[likelihood], trunk or Trunk((9, 8)),
                         class_prior=class_prior if row.q_y else ())
    built = engine.GenerativeModel(row, sizes, seed=0)
    if scatter:
        scatter_weights(built, scatter)
    return built


def scatter_weights(module, stddev, seed=0):
    for i, variable in enumerate(module.trainable_variables):
        variable.assign(stddev * normal(variable.shape, seed, i))


def normal(shape, *tags):
    """Noise that depends on the tags alone."""
    return tf.random.stateless_normal(shape, seed(*tags))


def seed(*tags):
    return seeds.fold(seeds.of_run(17), *tags)


def examples(count, likelihood="gaussian", dim=D):
    x = normal([count, dim], 1)
    return tf.cast(x > 0, tf.float32) if likelihood == "bernoulli" else x


def classes(count, num_classes=C):
    return tf.range(count, dtype=tf.int32) % num_classes


def objective(**given):
    """Options of the loss, alpha included."""
    defaults = dict(class_sum="exact", classification_weight=1.5, consistency="none", consistency_weight=0.7,
                    consistency_radius=0.8)
    return config.Config(**(defaults | given))


def terms(built, x_labelled, y, x_unlabelled, options, seed_of_step, kl_weight=1.0, *, phase=Phase.TRAIN,
          of=loss.terms):
    """The terms of the loss."""
    return of(built, batch_of(x_labelled, y, x_unlabelled, options, seed_of_step), options, seed_of_step,
              warmth=loss.Warmth(kl_weight), phase=phase)


def per_example(*given, **named):
    """The values of every term of the loss by name."""
    return {term.name: term.values for term in terms(*given, **named)}


def total(found, labelled, unlabelled):
    """The loss of terms over so many labelled and unlabelled examples."""
    return loss.total(found, {"labelled": labelled, "unlabelled": unlabelled, "all": labelled + unlabelled})[0]


def batch_of(x_labelled, y, x_unlabelled, options, seed_of_step):
    """A batch as the feed gives it, through the noise of `input_noise`."""
    x = tf.concat([x_labelled, x_unlabelled], 0)
    seen = x
    if options.input_noise:
        noise = tf.random.stateless_normal(x.shape, seeds.fold(seed_of_step, seeds.Draw.NOISE))
        seen = x + options.input_noise * noise
    return Batch(seen, x, None, y)


def batch(built, labelled, unlabelled):
    """x_labelled, y, x_unlabelled for `per_example`; without labels where the model has no y."""
    labelled = labelled if built.has_classes else 0
    x = examples(labelled + unlabelled, built.sizes.likelihood.name, built.sizes.x_dim)
    return x[:labelled], classes(labelled, max(built.sizes.num_classes, 1)), x[labelled:]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model has to know of examples; of vectors unless said otherwise."""

    x_shape: tuple = (D,)
    num_classes: int = C
    blocks: tuple = ()
    seen_dim: int | None = None
    x_dim: int | None = None

    def __post_init__(self):
        for name in ("x_dim", "seen_dim"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, math.prod(self.x_shape))

    @property
    def is_image(self):
        return len(self.x_shape) == 3


def vectors(per_class=(20, 20, 20), dim=4, test_per_class=5):
    """A source of real vectors, in groups by class."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(per_class)), per_class).astype(np.int32)
    x = (rng.normal(size=(len(y), dim)) * 3 + 2 * y[:, None] + 1).astype(np.float32)
    test_y = np.repeat(np.arange(len(per_class)), test_per_class).astype(np.int32)
    test_x = rng.normal(size=(len(test_y), dim)).astype(np.float32)
    return source.Source("vectors", x, y, test_x, test_y, tuple("abcdefghij"[: len(per_class)]))


def images(per_class=(20, 20, 20), shape=(4, 3, 1)):
    """A source of grey images."""
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(len(per_class)), per_class).astype(np.int32)
    x = rng.integers(0, 256, (len(y), *shape)).astype(np.uint8)
    return source.Source("images", x, y, x[::4], y[::4], tuple("abcdefghij"[: len(per_class)]))


def split(config, src=None):
    return splits.split(src or vectors(), config)


def rows(batches, step):
    """The rows of the batch of one step."""
    return feed.RowNumbers(*(part[0] for part in batches.rows(tf.constant(step, tf.int64), tf.constant(1, tf.int64))))
