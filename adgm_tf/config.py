"""The configuration of a run: one frozen dataclass, the only place with defaults; flags are made from its fields."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import numbers
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from adgm_tf.host import errors, files

# The format of a run directory: what a number stands for, `resume` of an older one says.
FORMAT = 2
_SINCE = {2: "takes the examples in another order"}


# What an option affects: what is learnt; what is measured of it; or neither, only where and how a run runs.
RESULT, MEASUREMENT, NOTHING = "result", "measurement", "nothing"
# Which systems use an option: rows of the family, the classifiers by name, what is fitted at once.
FAMILY, NOT_LADDER, TRAINED = ("family",), ("family", "vat"), ("family", "vat", "ladder")
ALL = (*TRAINED, "fitted")
# What it is to give one to a system that does not use it: rows of a table share files of options.
ERROR, REMARK = "error", "remark"
LARGEST_NUMBER = 1e30
LARGEST_WHOLE_NUMBER = 2**31 - 1


def option(default: Any, text: str, *, choices: Iterable[str] = (), minimum: float | None = None,
           maximum: float | None = None, affects: str = RESULT, used_by: tuple[str, ...] = TRAINED,
           in_vain: str = ERROR) -> Any:
    """Declares a field: default, help text, the rule that its value keeps, what it affects and which systems use it."""
    return dataclasses.field(default=default, metadata=dict(
        text=text, choices=tuple(choices), minimum=minimum, maximum=maximum, affects=affects, used_by=used_by,
        in_vain=in_vain))


# Options that only some systems use: the layers of a family, what else is its own, the terms on q(y|a,x), all systems.
layer_option = functools.partial(option, used_by=FAMILY, in_vain=REMARK)
family_option = functools.partial(option, used_by=FAMILY)
regulariser_option = functools.partial(option, used_by=NOT_LADDER)
shared_option = functools.partial(option, used_by=ALL)


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Where examples come from, and which serve as what."""

    dataset: str = shared_option("mnist5k", "mnist5k, digits, moons, mnist, or tfds:<name>.")
    data_dir: str = shared_option("", "Folder of prepared TFDS data sets.", affects=NOTHING)
    num_labels: str = shared_option("100", "Labelled examples, spread evenly over the classes; 'all' is the "
                                    "supervised setting, 0 the unsupervised.")
    num_valid: int = shared_option(0, "Examples held out of training for validation.", minimum=0)
    num_unlabelled: str = shared_option("all", "Unlabelled examples, drawn from all there are; 0 learns from the "
                                        "labelled ones alone.")
    unlabelled_order: str = option("shuffled", "shuffled anew at every epoch; class_sorted is an ablation: the "
                                   "examples class by class, in an order that gives their hidden labels away.",
                                   choices=("shuffled", "class_sorted"))
    labelled_in_unlabelled: bool = shared_option(True, "Keep the labelled examples among the unlabelled too.")
    split_seed: int = shared_option(0, "Seed that chooses the validation and then, among the rest, the labelled "
                                    "examples: another num_valid, other labels.", minimum=0, maximum=2**31 - 1)
    binarization: str = option("auto", "bernoulli draws pixels anew at every step, none keeps grey values; auto is "
                               "bernoulli for the Bernoulli likelihood.", choices=("auto", "bernoulli", "none"))
    input_noise: float = family_option(0.0, "Standard deviation of the Gaussian noise, drawn anew at every step, "
                                       "through which q(a|x), q(y|a,x) and q(z|.) see x in training; p(x|.) describes "
                                       "x without it, and the bound stays one.", minimum=0)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """What a model is made of."""

    model: str = shared_option("sdgm", "Row of the family (sdgm, adgm, adgm_deterministic, adgm_icml, m2, m1, avae, "
                               "or one of your own), a classifier (vat, ladder), or a baseline that is fitted at once "
                               "(label_spreading, self_training, atlas_rbf).")
    likelihood: str = family_option("auto", "Density of x given the rest: bernoulli or gaussian; auto is bernoulli for "
                                    "images, gaussian for real vectors and mixed for tables.")
    trunk: str = family_option("perceptron", "Layers between x and the rest, both ways: perceptron or convolutional.")
    hidden_units: tuple[int, ...] = layer_option((500, 500), "Hidden layers of every conditional.", minimum=1)
    classifier_units: tuple[int, ...] = layer_option((), "Hidden layers of q(y|a,x); hidden_units if empty.", minimum=1)
    classifier_noise: float = layer_option(0.0, "Standard deviation of the Gaussian noise, drawn anew at every step, "
                                           "after the normalisation of each hidden layer of q(y|a,x) in training.",
                                           minimum=0)
    filters: tuple[int, ...] = layer_option((32, 64), "Filters of the convolutional trunk, stride 2 each.", minimum=1)
    normalization: str = family_option("none", "Normalisation of the hidden layers; in training each replica has the "
                                       "statistics of its own part of a batch.", choices=("none", "layer", "batch"))
    auxiliary_dim: int = layer_option(100, "Units of a; 0 leaves a out.", minimum=0)
    latent_dim: int = layer_option(100, "Units of z.", minimum=1)
    freeze_auxiliary: bool = layer_option(False, "Leave q(a|x) at its random start: an ablation.")
    auxiliary_start: str = layer_option("narrow", "Mean and log variance of q(a|x) start close to 0, or as wide as "
                                        "the hidden layers, so that a says something of x before it is trained.",
                                        choices=("narrow", "wide"))
    features_run: str = family_option("", "Run directory of an m1 on the same data, whose z takes the place of x: the "
                                      "second stage of M1+M2.")
    class_prior: tuple[float, ...] = family_option((), "p(y), one probability a class; uniform if empty.", minimum=0)
    compute_dtype: str = option("float32", "Type of the matrix products: bfloat16 is faster where the processor has "
                                "it; weights, densities and sums stay in float32.", choices=("float32", "bfloat16"))
    seed: int = shared_option(0, "Seed of the weights, the noise and the order of the batches.",
                              minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class ObjectiveOptions:
    """What the loss is made of."""

    num_samples: int = layer_option(1, "Monte Carlo samples of a and z.", minimum=1)
    num_importance_samples: int = family_option(1, "Samples inside the logarithm of the bound; 1 is the ELBO, more "
                                                "need class_sum=exact.", minimum=1)
    share_latent: bool = layer_option(False, "In training, draw z once for all samples of a, and choose the classes "
                                      "of the sum over y for all of them: 10 samples at about twice the cost of 1. "
                                      "For models whose q(z|.) does not look at a.")
    mix_examples: bool = layer_option(False, "In training, take the log-weights of an unlabelled example from other "
                                      "examples of its batch, as the reshape of the authors' code of 2015 does with "
                                      "several samples: an ablation, for class_sum=exact.")
    class_sum: str = layer_option("topk", "Sum over y of the unlabelled bound: exact takes every class, topk the most "
                                  "probable and one drawn from the rest (unbiased outside a logarithm).",
                                  choices=("exact", "topk"))
    top_k: int = layer_option(1, "Classes that topk takes exactly.", minimum=1)
    classification_weight: float | None = option(None, "alpha: multiplies the classification term of a labelled "
                                                 "example; classification_beta N / N_labelled if not given.", minimum=0)
    classification_beta: float = layer_option(1.0, "beta of alpha = beta N / N_labelled.", minimum=0)
    kl_warmup_steps: int = family_option(0, "Steps over which the weight of the KL terms grows from 0 to 1.", minimum=0)
    weight_prior: bool = option(True, "Add -log N(weights|0,1) / N to the loss.")
    consistency: str = option("vat", "Consistency term on q(y|a,x).", choices=("none", "vat"))
    consistency_weight: float = regulariser_option(4.0, "Weight of the consistency term.", minimum=0)
    consistency_radius: float = regulariser_option(1.5, "Length of the virtual adversarial direction, in units of x.",
                                                   minimum=0)
    consistency_target: str = family_option("same", "What the answer at a changed x is held to in the consistency and "
                                            "interpolation terms: the answer at x with the same noise, without noise "
                                            "(clean), or that of averaged weights without noise (teacher).",
                                            choices=("same", "clean", "teacher"))
    teacher_decay: float = option(0.99, "Decay of the averaged weights of consistency_target=teacher.",
                                  minimum=0, maximum=1)
    interpolation_weight: float = family_option(0.0, "Weight of KL(u q(y|x) + (1 - u) q(y|x') || q(y|u x + (1 - u) "
                                                "x')), u uniform, x and x' examples of a batch.", minimum=0)
    entropy_weight: float = regulariser_option(0.0, "Weight of the entropy of q(y|a,x) of unlabelled examples.",
                                               minimum=0)
    balance_weight: float = regulariser_option(0.0, "Weight of KL(mean of q(y|a,x) over the unlabelled batch || "
                                               "p(y)), each replica's own, which keeps every class in use.", minimum=0)
    extra_terms: tuple[str, ...] = option((), "Terms of your own in the loss, each NAME=WEIGHT; NAME as registered by "
                                          "a module of --plugin.")
    consistency_warmup_steps: int = regulariser_option(0, "Steps over which the weights of the consistency, "
                                                       "interpolation, entropy and balance terms grow from 0 to what "
                                                       "is given.", minimum=0)


@dataclasses.dataclass(frozen=True)
class OptimiserOptions:
    """How the loss is made small."""

    num_steps: int = option(2400, "Training steps.", minimum=1)
    num_epochs: float = option(0.0, "If positive, replaces num_steps; an epoch is one pass over the unlabelled "
                               "examples (over the labelled ones if there are no others).", minimum=0)
    labelled_batch_size: int = option(100, "Labelled examples a step, over all replicas.", minimum=1)
    unlabelled_batch_size: int = option(100, "Unlabelled examples a step, over all replicas.", minimum=1)
    learning_rate: float = option(1e-3, "Adam's learning rate.", minimum=0)
    learning_rate_schedule: str = option("cosine", "constant, staircase (x 0.75 every 200 epochs), cosine to 0, or "
                                         "linear to 0 over the last third.",
                                         choices=("constant", "staircase", "cosine", "linear"))
    staircase_factor: float = option(0.75, "Factor of the staircase schedule.", minimum=0, maximum=1)
    staircase_epochs: float = option(200.0, "Epochs between two steps of the staircase.", minimum=0)
    learning_rate_floor: float = option(0.0, "The schedule never falls below this.", minimum=0)
    clip_norm: float = option(5.0, "Largest global norm of the gradient; 0 does not clip.", minimum=0)
    ema_decay: float = option(0.0, "Decay of the averaged weights used in evaluation; 0 uses the weights themselves.",
                              minimum=0, maximum=1)
    xla: bool = option(False, "Compile the loss and its gradient with XLA, which draws other noise from the same "
                       "seeds.")
    tf32: bool = option(True, "Let GPUs that have it use TensorFloat-32 in float32 products.")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where and how a run runs, and what is measured on the way."""

    plugin: tuple[str, ...] = shared_option((), "Modules to import first, which register rows, trunks, densities, "
                                            "sources or terms of your own.", affects=NOTHING)
    run_dir: str = shared_option("", "Run directory; a fresh runs/<dataset>-<model>-<time>-<process> if empty.",
                                 affects=NOTHING)
    strategy: str = shared_option("auto", "auto is multi_worker where TF_CONFIG is set, mirrored where there are "
                                  "several GPUs or several devices are named, else one_device.",
                                  choices=("auto", "one_device", "mirrored", "multi_worker"), affects=NOTHING)
    devices: tuple[str, ...] = option((), "Devices to mirror over, such as GPU:0,GPU:1; all GPUs if empty.",
                                      affects=NOTHING)
    worker_timeout: float = option(600.0, "Seconds that a worker waits for the others at the start.",
                                   minimum=0, affects=NOTHING)
    steps_per_call: int = option(100, "Training steps in one call of the compiled loop.", minimum=1, affects=NOTHING)
    eval_every: int = option(600, "Steps between two evaluations.", minimum=1, affects=NOTHING)
    checkpoint_every: int = option(600, "Steps between two checkpoints.", minimum=1, affects=NOTHING)
    patience: int = option(0, "Evaluations on the validation set without a better one after which training ends; 0 "
                           "takes all steps.", minimum=0)
    keep_checkpoints: int = option(3, "Newest checkpoints kept.", minimum=1, affects=NOTHING)
    profile_steps: int = option(0, "Steps after the first call that are traced for TensorBoard's profiler; those of "
                                "one call at most.", minimum=0, affects=NOTHING)
    num_eval_samples: int = layer_option(10, "Samples of a averaged by the classifier in evaluation.",
                                         minimum=1, affects=MEASUREMENT)
    eval_batch_size: int = option(500, "Examples at once in evaluation.", minimum=1, affects=MEASUREMENT)
    classifier: str = family_option("q_y", "In evaluation: q_y averages q(y|a,x) over samples of a; bound is the "
                                    "softmax over y of the estimate of log p(x,y) from as many importance samples.",
                                    choices=("q_y", "bound"), affects=MEASUREMENT)
    track_test: bool = option(False, "Also record the test error at every evaluation; it selects nothing.",
                              affects=NOTHING)


@dataclasses.dataclass(frozen=True)
class Config(RunOptions, OptimiserOptions, ObjectiveOptions, ModelOptions, DataOptions):
    """Everything that decides what a run computes; written to `config.json` of its run directory."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        self.label_count(total=None)
        self.unlabelled_count(total=0)
        if self.class_prior and min(self.class_prior) == 0:
            raise errors.UserError(f"class_prior={_shown(self.class_prior)}: every probability must be above 0")
        if self.class_prior and abs(sum(self.class_prior) - 1) > 1e-4:
            raise errors.UserError(f"class_prior={_shown(self.class_prior)}: must sum to 1, and sums to "
                                   f"{sum(self.class_prior):g}")
        if self.trunk == "convolutional" and not self.filters:
            raise errors.UserError("filters=: must name at least one for trunk=convolutional")
        if self.ema_decay == 1:
            raise errors.UserError("ema_decay=1.0: must be below 1, or the averages never move")
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

    def in_vain(self, system: str) -> list[str]:
        """Returns the names of options that are given and that `system`, a name in `used_by`, does not use.

        Raises:
          UserError: one of them is wrong there, not only in vain.
        """
        rules = {f.name: f.metadata for f in dataclasses.fields(self)}
        names = [name for name in self.given() if system not in rules[name]["used_by"]]
        for name in names:
            if system != "fitted" and rules[name]["in_vain"] == ERROR:
                raise errors.UserError(f"{name}={_shown(getattr(self, name))}: does not apply to {self.model}; "
                                       "leave it out")
        return names

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def _count(name: str, text: str, total: int | None) -> int | None:
    if text == "all":
        return total
    if not text.isdecimal():
        raise errors.UserError(f"{name}={text}: must be a whole number of at least 0, or all")
    return int(text)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _check_field(field: dataclasses.Field, value: Any) -> None:
    rule = field.metadata
    _check_type(field, value)
    if rule["choices"] and value not in rule["choices"]:
        raise errors.unknown(field.name, value, rule["choices"])
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise errors.UserError(f"{field.name}={_shown(value)}: must be finite")
        if rule["minimum"] is not None and number is not None and number < rule["minimum"]:
            raise errors.UserError(f"{field.name}={_shown(value)}: must be at least {rule['minimum']}")
        if isinstance(number, numbers.Real) and abs(number) > (largest := _largest(field)):
            raise errors.UserError(f"{field.name}={_shown(value)}: must be at most {largest}")
    if field.name == "hidden_units" and not value:
        raise errors.UserError("hidden_units=: must name at least one layer")


def _largest(field: dataclasses.Field) -> float:
    if field.metadata["maximum"] is not None:
        return field.metadata["maximum"]
    return LARGEST_NUMBER if "float" in field.type else LARGEST_WHOLE_NUMBER


def _check_type(field: dataclasses.Field, value: Any) -> None:
    kind = field.type.removeprefix("tuple[").removesuffix(", ...]").removesuffix(" | None")
    if field.type.endswith(" | None") and value is None:
        return
    if field.type in _ELEMENT and not isinstance(value, tuple):
        raise errors.UserError(f"{field.name}={value}: must be a tuple")
    for element in value if field.type in _ELEMENT else (value,):
        if not isinstance(element, _KIND[kind]) or (isinstance(element, bool) and kind != "bool"):
            raise errors.UserError(f"{field.name}={_shown(value)}: must be {_WORDS[kind]}")


_KIND = {"str": str, "int": numbers.Integral, "float": numbers.Real, "bool": bool}
_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
_DEFINE = {"str": flags.DEFINE_string, "int": flags.DEFINE_integer, "float": flags.DEFINE_float,
           "float | None": flags.DEFINE_float, "bool": flags.DEFINE_boolean,
           "tuple[int, ...]": flags.DEFINE_list, "tuple[float, ...]": flags.DEFINE_list,
           "tuple[str, ...]": flags.DEFINE_list}
_ELEMENT = {"tuple[int, ...]": int, "tuple[float, ...]": float, "tuple[str, ...]": str}


def define_flags() -> None:
    """Defines one absl flag for each field of `Config`."""
    for field in dataclasses.fields(Config):
        text = field.metadata["text"]
        if field.metadata["choices"]:
            text += f" One of: {', '.join(field.metadata['choices'])}."
        default = field.default
        if field.type in _ELEMENT:
            default = [str(v) for v in default]
        _DEFINE[field.type](field.name, default, text)


def given_flags(values: flags.FlagValues) -> dict[str, Any]:
    """Returns the fields whose flags stand on the command line or in a flagfile, as values of `Config`."""
    return {f.name: _parse(f, getattr(values, f.name)) for f in dataclasses.fields(Config) if values[f.name].present}


def _parse(field: dataclasses.Field, value: Any) -> Any:
    if field.type not in _ELEMENT:
        return value
    try:
        return tuple(_ELEMENT[field.type](v) for v in value if v.strip())
    except ValueError:
        kind = "whole numbers" if _ELEMENT[field.type] is int else "numbers"
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
        types = {f.name: f.type for f in dataclasses.fields(Config)}
        return Config(**{k: tuple(v) if types.get(k) in _ELEMENT else v for k, v in stored.items()})
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

    Where the learning rate does not depend on it, a run may also become longer. `features_run` may name another place:
    whether it holds the same weights is asked of the weights.

    Raises:
      UserError: a given field would make it another run; the message names every such field.
    """
    if "num_steps" in given and "num_epochs" not in given:
        given = {**given, "num_epochs": 0.0}
    if given.get("features_run"):
        given = {**given, "features_run": _from_here(given["features_run"])}
    changed = {k: v for k, v in given.items() if v != getattr(stored, k)}
    frozen = {f.name for f in dataclasses.fields(Config) if f.metadata["affects"] == RESULT}
    if stored.features_run:
        frozen -= {"features_run"}
    if stored.learning_rate_schedule not in ("cosine", "linear"):
        frozen -= {"num_steps", "num_epochs"}
    different = [f"{k} is {_shown(getattr(stored, k))}, not {_shown(v)}" for k, v in changed.items() if k in frozen]
    if different:
        raise errors.UserError(f"run_dir={given.get('run_dir', stored.run_dir)}: holds a run of another "
                               f"configuration: {'; '.join(different)}")
    return dataclasses.replace(stored, **changed)


def same(one: Config, other: Config, *kinds: str) -> bool:
    """Whether two configurations agree in every option that affects one of `kinds`: is it the same experiment?"""
    return all(getattr(one, f.name) == getattr(other, f.name) for f in dataclasses.fields(Config)
               if f.metadata["affects"] in kinds)


def markdown_table() -> str:
    """Returns the flags as the table that the README shows; `python -m adgm_tf.config` prints it."""
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Config):
        text = field.metadata["text"].replace("|", "\\|").replace("<", "&lt;")
        if field.metadata["choices"]:
            text += f" One of {', '.join(f'`{c}`' for c in field.metadata['choices'])}."
        default = "" if field.default in ("", (), None) else f"`{_shown(field.default)}`"
        rows.append(f"| `--{field.name}` | {default} | {text} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())
