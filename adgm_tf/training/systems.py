"""Every `--model` by name: rows of the family, classifiers that the loop trains, baselines that are fitted at once."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence

from adgm_tf import options
from adgm_tf.baselines import atlas_rbf, label_spreading, ladder, scikit, self_training, vat
from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import construction, engine, family
from adgm_tf.model.contract import ExampleSpec, Features
from adgm_tf.model.family import FAMILY, Row
from adgm_tf.objectives import loss

_CONDITIONALS = ("q_a", "q_y", "q_z", "p_a", "p_x")
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
    return construction.build(config, spec, features, has_teacher=config.consistency_target == "teacher")


def _classifier(build: Callable, config: Config, spec: ExampleSpec, features: Features | None = None) -> Model:
    del features
    return build(config, spec)


CLASSIFIERS = {name: System(name, functools.partial(_classifier, module.build), module.terms)
               for name, module in (("vat", vat), ("ladder", ladder))}
# From splits and a seed to probabilities of examples.
FITTED = {"label_spreading": label_spreading.fit, "self_training": self_training.fit, "atlas_rbf": atlas_rbf.fit,
          **scikit.FITS}


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
    """Imports plugins, registers a row of one's own and looks the model up.

    Returns:
      The names of options that are given and that the model does not use.

    Raises:
      UserError: there is no such model or plugin, or an option makes no sense with it.
    """
    import_plugins(config.plugin)
    _register_row(config)
    if config.model not in names():
        raise errors.unknown("model", config.model, names())
    loss.extra_weights(config)
    kind = "fitted" if config.model in FITTED else of(config.model).kind
    return tuple(config.in_vain(kind))


def with_row(config: Config) -> Config:
    """Checks a configuration and returns it with the row of a model of one's own.

    A run that stores it is loaded where nobody registers the row.

    Raises:
      UserError: as `check`.
    """
    check(config)
    if config.model in family.BUILT_IN or config.model not in FAMILY:
        return config
    parents = ((key, getattr(FAMILY[config.model], key)) for key in _CONDITIONALS)
    return dataclasses.replace(config, parents=tuple(f"{key}={of}" for key, of in parents if of is not None))


def _register_row(config: Config) -> None:
    if not config.parents:
        return
    given = dict(part.split("=", 1) if "=" in part else (part, None) for part in config.parents)
    for key in given:
        if key not in _CONDITIONALS:
            raise errors.unknown("parents", key, _CONDITIONALS)
    if given.get("q_z") is None or given.get("p_x") is None:
        raise errors.UserError(f"parents={options.shown(config.parents)}: must say what q_z and p_x look at, as "
                               "q_z=xy,p_x=yz")
    row = Row(**dict.fromkeys(_CONDITIONALS) | given)
    if config.model not in FAMILY or dataclasses.replace(FAMILY[config.model], source="") != row:
        family.register(config.model, row)


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
