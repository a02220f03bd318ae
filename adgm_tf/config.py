"""The configuration of a run: one frozen dataclass, the only place with defaults; flags are made from its fields."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from adgm_tf import options
from adgm_tf.host import errors, files
from adgm_tf.options import ERROR, MEASUREMENT, NOTHING, RESULT  # noqa: F401

# The format of a run directory: what a number stands for, `resume` of an older one says.
FORMAT = 2
_SINCE = {2: "takes the examples in another order"}


@dataclasses.dataclass(frozen=True)
class Config(options.RunOptions, options.OptimiserOptions, options.ObjectiveOptions, options.ModelOptions,
             options.DataOptions):
    """Everything that decides what a run computes; written to `config.json` of its run directory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.label_count(total=None)
        self.unlabelled_count(total=0)
        if self.trunk == "convolutional" and not self.filters:
            raise errors.UserError("filters=: must name at least one for trunk=convolutional")
        if self.ema_decay == 1:
            raise errors.UserError("ema_decay=1.0: must be below 1, or the averages never move")
        if self.calibration_folds == 1:
            raise errors.UserError("calibration_folds=1: must be 0 or at least 2")
        if self.learning_rate == 0:
            raise errors.UserError("learning_rate=0.0: must be above 0")
        if self.learning_rate_schedule == "staircase" and self.staircase_epochs == 0:
            raise errors.UserError("staircase_epochs=0.0: must be above 0")

    def label_count(self, total: int | None) -> int | None:
        """Returns how many labels are asked for; `total` is what 'all' stands for."""
        return _count("num_labels", self.num_labels, total)

    def unlabelled_count(self, total: int) -> int:
        """Returns how many unlabelled examples are asked for; `total` is what 'all' stands for."""
        return _count("num_unlabelled", self.num_unlabelled, total)

    def given(self) -> dict[str, Any]:
        """Returns the options that are not at their defaults."""
        return {f.name: value for f in dataclasses.fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def used_by(cls, name: str) -> tuple[str, ...]:
        """Returns the kinds of system that use the option `name`."""
        return cls.__dataclass_fields__[name].metadata["used_by"]

    def in_vain(self, system: str) -> list[str]:
        """Returns the names of options that are given and that `system`, a name in `used_by`, does not use.

        Raises:
          UserError: one of them is wrong there, not only in vain.
        """
        rules = {f.name: f.metadata for f in dataclasses.fields(self)}
        names = [name for name in self.given() if system not in self.used_by(name)]
        for name in names:
            if system != "fitted" and rules[name]["in_vain"] == ERROR:
                raise errors.UserError(f"{name}={options.shown(getattr(self, name))}: does not apply to {self.model}; "
                                       "leave it out")
        return names

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def _count(name: str, text: str, total: int | None) -> int | None:
    if text == "all" or (name == "num_labels" and text in ("given", "auto")):
        return total
    if not text.isdecimal():
        rule = "all" if name == "num_unlabelled" else "all, given or auto"
        raise errors.UserError(f"{name}={text}: must be a whole number of at least 0, or {rule}")
    return int(text)


_DEFINE = {"str": flags.DEFINE_string, "int": flags.DEFINE_integer, "float": flags.DEFINE_float,
           "float | None": flags.DEFINE_float, "bool": flags.DEFINE_boolean,
           "tuple[int, ...]": flags.DEFINE_list, "tuple[float, ...]": flags.DEFINE_list,
           "tuple[str, ...]": flags.DEFINE_list}


def define_flags() -> None:
    """Defines one absl flag for each field of `Config`."""
    for field in dataclasses.fields(Config):
        text = field.metadata["text"]
        if field.metadata["choices"]:
            text += f" One of: {', '.join(field.metadata['choices'])}."
        default = field.default
        if field.type in options.ELEMENT:
            default = [str(v) for v in default]
        _DEFINE[field.type](field.name, default, text)


def given_flags(values: flags.FlagValues) -> dict[str, Any]:
    """Returns the fields whose flags stand on the command line or in a flagfile, as values of `Config`."""
    return {f.name: _parse(f, getattr(values, f.name)) for f in dataclasses.fields(Config) if values[f.name].present}


def _parse(field: dataclasses.Field, value: Any) -> Any:
    if field.type not in options.ELEMENT:
        return value
    try:
        return tuple(options.ELEMENT[field.type](v) for v in value if v.strip())
    except ValueError:
        kind = "whole numbers" if options.ELEMENT[field.type] is int else "numbers"
        raise errors.UserError(f"{field.name}={','.join(value)}: must be {kind} with commas between") from None


def read(run_dir: os.PathLike | str) -> Config:
    """Reads the configuration of the run in `run_dir`.

    Raises:
      UserError: there is no run, or its `config.json` cannot be read.
    """
    files.check_local(run_dir, "run_dir")
    path = pathlib.Path(run_dir) / "config.json"
    if not path.is_file():
        raise errors.UserError(f"run_dir={run_dir}: holds no run (there is no {path.name} in it)")
    try:
        stored = json.loads(path.read_text())
        if stored.pop("format", 1) > FORMAT:
            raise errors.UserError("it comes from a later version of the package")
        if stored.get("features_run"):
            stored["features_run"] = _from_here(path.parent.resolve() / stored["features_run"])
        if isinstance(stored.get("class_prior"), list):
            stored["class_prior"] = options.shown(tuple(stored["class_prior"])) or options.UNIFORM
        types = {f.name: f.type for f in dataclasses.fields(Config)}
        return Config(**{k: tuple(v) if types.get(k) in options.ELEMENT else v for k, v in stored.items()})
    except (ValueError, TypeError, AttributeError, errors.UserError) as error:
        raise errors.UserError(f"run_dir={run_dir}: {path.name} cannot be read ({error})") from None


def write(config: Config, run_dir: os.PathLike | str) -> None:
    """Writes `config.json` to `run_dir`; `features_run` as seen from there, so that both runs can move together."""
    stored = {"format": FORMAT, **config.to_json()}
    if config.features_run:
        stored["features_run"] = os.path.relpath(os.path.realpath(config.features_run), os.path.realpath(run_dir))
    files.write_json(pathlib.Path(run_dir) / "config.json", stored)


def _from_here(folder: os.PathLike | str) -> str:
    return os.path.relpath(os.path.realpath(folder))


def check_can_go_on(run_dir: os.PathLike | str) -> None:
    """Makes sure that this version computes what the one that began the run did.

    Raises:
      UserError: it does not; the message says what has changed.
    """
    begun = json.loads((pathlib.Path(run_dir) / "config.json").read_text()).get("format", 1)
    if begun < FORMAT:
        since = "; ".join(_SINCE[number] for number in range(begun + 1, FORMAT + 1))
        raise errors.UserError(f"run_dir={run_dir}: was begun by an earlier version (format {begun}), and this one "
                               f"(format {FORMAT}) {since}; the run can be evaluated and exported, not trained further")


def resume(stored: Config, given: Mapping[str, Any]) -> Config:
    """Returns `stored` with those of the `given` fields that a resumed run may change: those that affect no result.

    Where nothing on the way depends on it, a run may also become longer, and without validation examples it may be
    evaluated at other steps. `features_run` may name another place: whether it holds the same weights is asked of the
    weights.

    Raises:
      UserError: a given field would make it another run; the message names every such field.
    """
    if "num_steps" in given and "num_epochs" not in given:
        given = {**given, "num_epochs": 0.0}
    if given.get("features_run"):
        given = {**given, "features_run": _from_here(given["features_run"])}
    if given.get("class_prior") == options.LABELS and stored.class_prior != options.UNIFORM:
        # A run stores what the shares of its labels came to.
        given = {**given, "class_prior": stored.class_prior}
    changed = {k: v for k, v in given.items() if v != getattr(stored, k)}
    frozen = {f.name for f in dataclasses.fields(Config) if f.metadata["affects"] == RESULT}
    if stored.features_run:
        frozen -= {"features_run"}
    if not _depends_on_length(stored):
        frozen -= {"num_steps", "num_epochs"}
    if not stored.num_valid:
        frozen -= {"eval_every"}
    different = [f"{k} is {options.shown(getattr(stored, k))}, not {options.shown(v)}" for k, v in changed.items()
                 if k in frozen]
    if different:
        raise errors.UserError(f"run_dir={given.get('run_dir', stored.run_dir)}: holds a run of another "
                               f"configuration: {'; '.join(different)}")
    return dataclasses.replace(stored, **changed)


def _depends_on_length(stored: Config) -> bool:
    """Whether the learning rate, the radius or the weight of propagation takes its course over the steps of the run."""
    radius = stored.consistency == "vat" and stored.consistency_radius_start != 1
    return stored.learning_rate_schedule in ("cosine", "linear") or radius or stored.propagation_weight > 0


def same(one: Config, other: Config, *kinds: str) -> bool:
    """Whether two configurations agree in every option that affects one of `kinds`: is it the same experiment?"""
    return all(getattr(one, f.name) == getattr(other, f.name) for f in dataclasses.fields(Config)
               if f.metadata["affects"] in kinds)


GROUPS = (options.DataOptions, options.ModelOptions, options.ObjectiveOptions, options.OptimiserOptions,
          options.RunOptions)


def markdown_table() -> str:
    """Returns `docs/flags.md`, the flags by the groups of `options`; `python -m adgm_tf.config` prints it."""
    return "\n\n".join([_ABOUT_FLAGS, *map(_table_of, GROUPS)])


_ABOUT_FLAGS = """# Flags of train

`python -m adgm_tf.config` prints this page. `fit` and `Config` take the same names without the dashes. The column
*affects* says what an option changes: the *result* of training, a *measurement* of that result, or *nothing*.
A resumed run keeps every option that affects its result."""


def _table_of(group: type) -> str:
    lines = [f"## {group.__name__.removesuffix('Options')}", "", group.__doc__, "",
             "| flag | default | affects | meaning |", "|---|---|---|---|"]
    own = [f for f in dataclasses.fields(group) if f.name in group.__annotations__]
    for field in (*own, *(f for f in dataclasses.fields(group) if f not in own)):
        text = field.metadata["text"].replace("|", "\\|").replace("<", "&lt;")
        if field.metadata["choices"]:
            text += f" One of {', '.join(f'`{c}`' for c in field.metadata['choices'])}."
        default = "" if field.default in ("", (), None) else f"`{options.shown(field.default)}`"
        lines.append(f"| `--{field.name}` | {default} | {field.metadata['affects']} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
