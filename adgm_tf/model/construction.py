"""From options and data to a model: its sizes, layers, density and prior."""

from __future__ import annotations

import dataclasses

from adgm_tf.host import errors
from adgm_tf.model import densities, engine, trunks
from adgm_tf.model.contract import ExampleSpec, Features
from adgm_tf.model.family import FAMILY
from adgm_tf.model.trunks import Trunk
from adgm_tf.options import UNIFORM, ModelOptions, class_probabilities


def build(options: ModelOptions, spec: ExampleSpec, features: Features | None = None, *,
          has_teacher: bool = False) -> engine.GenerativeModel:
    """Builds the model that `options` name for examples of `spec`, or for features of them.

    Raises:
      UserError: an option does not fit the data.
    """
    row = errors.lookup(FAMILY, "model", options.model)
    if options.trunk == "convolutional" and (features or not spec.is_image):
        raise errors.UserError(f"trunk=convolutional: {_source_of_x(options)} no images; use perceptron")
    errors.lookup(trunks.TRUNKS, "trunk", options.trunk)
    if options.freeze_auxiliary and not (row.q_a and options.auxiliary_dim):
        raise errors.UserError(f"freeze_auxiliary=true: {options.model} has no q(a|x) to freeze")
    trunk = Trunk(options.hidden_units, options.trunk, options.normalization, options.filters,
                  spec.x_shape if spec.is_image and not features else (), options.compute_dtype)
    classifier = dataclasses.replace(trunk, hidden_units=options.classifier_units or options.hidden_units,
                                     noise=options.classifier_noise)
    x_dim = features.dim if features else spec.x_dim
    sizes = engine.Sizes(x_dim, options.auxiliary_dim, options.latent_dim, spec.num_classes, likelihood(options, spec),
                         trunk, seen_dim=x_dim if features else spec.seen_dim,
                         class_prior=_prior(options, spec.num_classes), classifier_trunk=classifier,
                         has_teacher=has_teacher)
    frozen = ("q_a",) if options.freeze_auxiliary else ()
    wide = ("q_a",) if options.auxiliary_start == "wide" else ()
    return engine.GenerativeModel(row, sizes, options.seed, frozen=frozen, wide=wide, features=features)


def _prior(options: ModelOptions, num_classes: int) -> tuple[float, ...]:
    """p(y) [C] as numbers; empty if it is uniform."""
    return () if options.class_prior == UNIFORM else class_probabilities(options.class_prior, num_classes)


def likelihood(options: ModelOptions, spec: ExampleSpec) -> densities.Density:
    """Returns the density of p(x|.): as given, or bernoulli for images, gaussian for vectors, mixed for tables.

    Raises:
      UserError: Bernoulli for real vectors, or no such density.
    """
    observes_images = spec.is_image and not options.features_run
    if options.likelihood == "bernoulli" and not observes_images:
        raise errors.UserError(f"likelihood=bernoulli: {_source_of_x(options)} real vectors; use gaussian")
    if options.likelihood != "auto":
        return errors.lookup(densities.DENSITIES, "likelihood", options.likelihood)
    if spec.blocks and not options.features_run:
        return densities.mixed(spec.blocks)
    return densities.DENSITIES["bernoulli" if observes_images else "gaussian"]


def _source_of_x(options: ModelOptions) -> str:
    return f"the features of {options.features_run} are" if options.features_run else "the data have"
