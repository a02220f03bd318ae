"""What a run needs at least, against what the machine has: more than that ends in a killed process, not in an error."""

from __future__ import annotations

import dataclasses
import itertools

import psutil

from adgm_tf.config import Config
from adgm_tf.data.splits import Splits
from adgm_tf.host import errors
from adgm_tf.training import systems

BYTES = 4
# A weight, its gradient and Adam's two moments.
COPIES_OF_A_WEIGHT = 4


def check(config: Config, splits: Splits) -> None:
    """Makes sure that the machine can hold the weights and the widest layer of one batch.

    Raises:
      UserError: it cannot; the message names the option whose default would save most.
    """
    needed, total = needed_bytes(config, splits), psutil.virtual_memory().total
    if needed <= total:
        return
    defaults = {f.name: f.default for f in dataclasses.fields(Config) if f.name in config.given()}

    def saved(name: str) -> float:
        return needed - needed_bytes(dataclasses.replace(config, **{name: defaults[name]}), splits)

    name = max(defaults, key=saved, default="hidden_units")
    value = getattr(config, name)
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    raise errors.UserError(f"{name}={shown}: needs about {needed / 2**30:,.0f} GiB of memory, and this machine has "
                           f"{total / 2**30:,.0f}")


def needed_bytes(config: Config, splits: Splits) -> int:
    """Returns the bytes of the weights with all that belongs to them, and of the widest layer of a batch."""
    x_dim, num_classes = splits.x_dim, splits.num_classes
    batch = config.labelled_batch_size + config.unlabelled_batch_size
    row = systems.of(config.model).row
    if row is None:
        return BYTES * batch * x_dim
    sizes = dict(a=config.auxiliary_dim, x=x_dim, y=num_classes, z=config.latent_dim)
    weights = 0
    for key, parameters in (("q_a", 2), ("q_y", 1), ("q_z", 2), ("p_a", 2), ("p_x", 2)):
        if parents := getattr(row, key):
            own = config.classifier_units if key == "q_y" else ()
            layers = [sum(sizes[p] for p in parents), *(own or config.hidden_units), parameters * sizes[key[2]]]
            weights += sum(a * b for a, b in itertools.pairwise(layers))
    slots = num_classes if config.class_sum == "exact" else config.top_k + 1
    samples = 1 if config.share_latent else config.num_samples * config.num_importance_samples
    rows = config.labelled_batch_size * samples + config.unlabelled_batch_size * samples * max(slots, 1)
    widest = max(*config.hidden_units, x_dim, config.latent_dim)
    return BYTES * (COPIES_OF_A_WEIGHT * weights + rows * widest)
