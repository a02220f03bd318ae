"""Every `--model` by name: rows of the family, classifiers that the loop trains, baselines that are fitted at once."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence

from adgm_tf.baselines import atlas_rbf, label_spreading, ladder, self_training, vat
from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import engine
from adgm_tf.model.contract import ExampleSpec, Features
from adgm_tf.model.family import FAMILY, Row
from adgm_tf.objectives import loss

Model = engine.GenerativeModel | vat.VirtualAdversarial | ladder.Ladder


@dataclasses.dataclass(frozen=True)
class System:
    """What the one training loop asks of a model.

    Attributes:
      kind: its name in `used_by` of the options.
      build: (config, spec, features) -> the model.
      terms: (model, batch, options, seed, *, warmth, phase) -> the terms of the loss.
      row: its row of the family; None of a classifier.
    """

    kind: str
    build: Callable[..., Model]
    terms: Callable[..., list[loss.Term]]
    row: Row | None = None


def _generative(config: Config, spec: ExampleSpec, features: Features | None = None) -> engine.GenerativeModel:
    return engine.build(config, spec, features, has_teacher=config.consistency_target == "teacher")


def _classifier(build: Callable, config: Config, spec: ExampleSpec, features: Features | None = None) -> Model:
    del features
    return build(config, spec)


CLASSIFIERS = {name: System(name, functools.partial(_classifier, module.build), module.terms)
               for name, module in (("vat", vat), ("ladder", ladder))}
# From splits and a seed to probabilities of examples.
FITTED = {"label_spreading": label_spreading.fit, "self_training": self_training.fit, "atlas_rbf": atlas_rbf.fit}


def names() -> tuple[str, ...]:
    """Returns every name that `--model` knows."""
    return (*FAMILY, *CLASSIFIERS, *FITTED)


def of(name: str) -> System:
    """Returns the system of that name, of those that the loop trains.

    Raises:
      UserError: there is none.
    """
    if name in CLASSIFIERS:
        return CLASSIFIERS[name]
    if name in FAMILY:
        return System("family", _generative, loss.terms, FAMILY[name])
    raise errors.unknown("model", name, names())


def check(config: Config) -> tuple[str, ...]:
    """Imports the plugins and looks the model up; returns the options that are given and that it does not use.

    Raises:
      UserError: there is no such model or plugin, or an option makes no sense with it.
    """
    import_plugins(config.plugin)
    if config.model not in names():
        raise errors.unknown("model", config.model, names())
    loss.extra_weights(config)
    kind = "fitted" if config.model in FITTED else of(config.model).kind
    return tuple(config.in_vain(kind))


def import_plugins(modules: Sequence[str]) -> None:
    """Imports modules that register rows, trunks, densities, sources or terms.

    Raises:
      UserError: one cannot be imported.
    """
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise errors.UserError(f"plugin={name}: cannot be imported ({error})") from None
