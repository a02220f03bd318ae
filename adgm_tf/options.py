"""Options in groups: default, help, the rule that a value keeps, what it affects, and which systems use it."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Iterable
from typing import Any

from adgm_tf.host import errors

# What an option affects: what is learnt; what is measured of it; or neither, only where and how a run runs.
RESULT, MEASUREMENT, NOTHING = "result", "measurement", "nothing"
# Which systems use an option: rows of the family, the classifiers by name, what is fitted at once.
FAMILY, NOT_LADDER, TRAINED = ("family",), ("family", "vat"), ("family", "vat", "ladder")
ALL = (*TRAINED, "fitted")
# Words for p(y): as many as there are classes, or by the labels given.
UNIFORM, LABELS = "uniform", "labels"
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
not_ladder_option = functools.partial(option, used_by=NOT_LADDER)
shared_option = functools.partial(option, used_by=ALL)


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What a file of own data does not say of itself."""

    label_column: str = shared_option("", "Column of the labels of own data; if empty `label`, or else the last one "
                                      "called class, target or y.")
    unlabelled_value: str = shared_option("", "A word there that means an unknown label, as an empty cell does.")
    split_column: str = shared_option("", "Column that says train or test; if empty, `split` where it says nothing "
                                      "else.")
    test_fraction: float = shared_option(0.2, "Share of the labelled rows of each class held out for test, where no "
                                         "column and no file says which; 0 makes no test set.", minimum=0, maximum=0.99)
    ignore_columns: tuple[str, ...] = shared_option((), "Columns left out.")
    numeric_columns: tuple[str, ...] = shared_option((), "Columns that are numbers, whatever they look like.")
    categorical_columns: tuple[str, ...] = shared_option((), "Columns that are categories.")
    text_columns: tuple[str, ...] = shared_option((), "Columns that are text.")
    id_column: str = shared_option("", "Column that names the rows; left out, and carried along in predictions.")
    image_size: tuple[int, ...] = shared_option((), "Height and width of the images of a folder; theirs if empty and "
                                                "all have one.", minimum=1)
    max_words: int = shared_option(1000, "Most words of a text column that have a place, the most frequent ones.",
                                   minimum=1)
    max_categories: int = shared_option(100, "Most categories of a column that have a place of their own, the most "
                                        "frequent ones.", minimum=1)
    split_seed: int = shared_option(0, "Seed that chooses the test rows of own data, the validation and then, among "
                                    "the rest, the labelled examples: another num_valid, other labels.", minimum=0,
                                    maximum=2**31 - 1)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.image_size and len(self.image_size) != 2:
            raise errors.UserError(f"image_size={shown(self.image_size)}: must be a height and a width")


@dataclasses.dataclass(frozen=True)
class DataOptions(ReadOptions):
    """Where examples come from, and which serve as what."""

    dataset: str = shared_option("mnist5k", "mnist5k, digits, moons, mnist, tfds:<name>, or own data: csv:<file>, "
                                 "parquet:<file>, npz:<file>, npy:<folder> of arrays larger than memory, or "
                                 "folder:<folder>.")
    data_dir: str = shared_option("", "Folder of prepared TFDS data sets, and of files of own data.", affects=NOTHING)
    num_labels: str = shared_option("auto", "Labelled examples, spread evenly over the classes; given takes the labels "
                                    "as they are, 'all' is the supervised setting, 0 the unsupervised. auto is given "
                                    "for own data and where labels are unknown, else 100.")
    num_valid: int = shared_option(0, "Examples held out of training for validation.", minimum=0)
    num_unlabelled: str = shared_option("all", "Unlabelled examples, drawn from all there are; 0 learns from the "
                                        "labelled ones alone.")
    unlabelled_order: str = option("shuffled", "shuffled anew at every epoch; class_sorted is an ablation: the "
                                   "examples class by class, in an order that gives their hidden labels away.",
                                   choices=("shuffled", "class_sorted"))
    labelled_in_unlabelled: bool = shared_option(True, "Keep the labelled examples among the unlabelled too.")
    binarization: str = option("auto", "bernoulli draws pixels anew at every step, none keeps grey values; auto is "
                               "bernoulli for the Bernoulli likelihood.", choices=("auto", "bernoulli", "none"))
    input_noise: float = family_option(0.0, "Standard deviation of the Gaussian noise, drawn anew at every step, "
                                       "through which q(a|x), q(y|a,x) and q(z|.) see x in training; p(x|.) describes "
                                       "x without it, and the bound stays one.", minimum=0)
    shift: int = option(0, "In training the classifier and q see images shifted by up to so many pixels each way, "
                        "drawn anew at every step, which says that the class stays; p(x|.) describes them as they are.",
                        minimum=0)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """What a model is made of."""

    model: str = shared_option("sdgm", "Row of the family (sdgm, adgm, adgm_deterministic, adgm_icml, m2, m1, avae, "
                               "or one of your own), a classifier (vat, ladder), or a baseline that is fitted at once "
                               "(label_spreading, self_training, atlas_rbf, and of scikit-learn logistic_regression, "
                               "random_forest, boosted_trees, svc, self_trained_logistic_regression, "
                               "label_propagation).")
    parents: tuple[str, ...] = family_option((), "What each conditional of a model of your own looks at: q_a=x,q_y=ax,"
                                         "q_z=axy,p_a=yz,p_x=ayz, without q_a or q_y where there is no such variable; "
                                         "model names it.")
    likelihood: str = family_option("auto", "Density of x given the rest: bernoulli or gaussian; auto is bernoulli for "
                                    "images, gaussian for real vectors and mixed for tables.")
    trunk: str = family_option("perceptron", "Layers between x and the rest, both ways: perceptron or convolutional.")
    hidden_units: tuple[int, ...] = layer_option((500, 500), "Hidden layers of every conditional.", minimum=1)
    classifier_units: tuple[int, ...] = layer_option((), "Hidden layers of q(y|a,x); hidden_units if empty.", minimum=1)
    classifier_noise: float = layer_option(0.0, "Standard deviation of the Gaussian noise, drawn anew at every step, "
                                           "after the normalisation of each hidden layer of q(y|a,x) in training.",
                                           minimum=0)
    filters: tuple[int, ...] = layer_option((32, 64), "Filters of the convolutional trunk, stride 2 each.", minimum=1)
    normalization: str = family_option("none", "Normalisation of the hidden layers.",
                                       choices=("none", "layer", "batch"))
    auxiliary_dim: int = layer_option(100, "Units of a; 0 leaves a out.", minimum=0)
    latent_dim: int = layer_option(100, "Units of z.", minimum=1)
    freeze_auxiliary: bool = layer_option(False, "Leave q(a|x) at its random start: an ablation.")
    auxiliary_start: str = layer_option("narrow", "Mean and log variance of q(a|x) start close to 0, or as wide as "
                                        "the hidden layers, so that a says something of x before it is trained.",
                                        choices=("narrow", "wide"))
    features_run: str = family_option("", "Run directory of an m1 on the same data, whose z takes the place of x: the "
                                      "second stage of M1+M2.")
    class_prior: str = family_option(UNIFORM, "p(y): uniform, labels (their smoothed shares), or one probability a "
                                     "class with commas between.")
    compute_dtype: str = option("float32", "Type of the matrix products: bfloat16 is faster where the processor has "
                                "it; weights, densities and sums stay in float32.", choices=("float32", "bfloat16"))
    preset: str = not_ladder_option("", "auto sets what is not given from the data: radius, weights of the terms, "
                                    "layers and normalisation, batches, rate, steps; none takes the defaults as they "
                                    "are. Own data have auto if empty, bundled sets none.",
                                    choices=("", "auto", "none"))
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
    labelled_bound_weight: float = layer_option(1.0, "Weight of the bound of labelled examples beside that of the "
                                                "unlabelled ones.", minimum=0)
    classification_beta: float = layer_option(1.0, "beta of alpha = beta N / N_labelled.", minimum=0)
    kl_warmup_steps: int = family_option(0, "Steps over which the weight of the KL terms grows from 0 to 1.", minimum=0)
    weight_prior: bool = option(True, "Add -log N(weights|0,1) / N to the loss.")
    consistency: str = not_ladder_option("vat", "Consistency term on q(y|a,x).", choices=("none", "vat"),
                                         in_vain=REMARK)
    consistency_weight: float = not_ladder_option(4.0, "Weight of the consistency term.", minimum=0)
    consistency_radius: float = not_ladder_option(1.5, "Length of the virtual adversarial direction, in units of x.",
                                                  minimum=0)
    consistency_radius_start: float = not_ladder_option(1.0, "Factor of the radius at the first step; over two thirds "
                                                        "of the steps it goes evenly to 1. Above 1 the classes are "
                                                        "told apart by wide gaps first.", minimum=0)
    consistency_target: str = family_option("same", "What the answer at a changed x is held to in the consistency and "
                                            "interpolation terms: the answer at x with the same noise, without noise "
                                            "(clean), or that of averaged weights without noise (teacher).",
                                            choices=("same", "clean", "teacher"))
    teacher_decay: float = family_option(0.99, "Decay of the averaged weights of consistency_target=teacher.",
                                         minimum=0, maximum=1)
    interpolation_weight: float = family_option(0.0, "Weight of KL(u q(y|x) + (1 - u) q(y|x') || q(y|u x + (1 - u) "
                                                "x')), u uniform, x and x' examples of a batch.", minimum=0)
    invariance_weight: float = family_option(0.0, "Weight of KL(q(y|x) || q(y|x')), x and x' an example with two draws "
                                             "of its shift and input noise.", minimum=0)
    entropy_weight: float = not_ladder_option(0.0, "Weight of the entropy of q(y|a,x) of unlabelled examples.",
                                              minimum=0)
    balance_weight: float = not_ladder_option(0.0, "Weight of KL(mean of q(y|a,x) over the unlabelled batch || "
                                              "p(y)), which keeps every class in use.", minimum=0)
    propagation_weight: float = family_option(0.0, "Weight, at the first step, of the cross-entropy between what the "
                                              "labels say of unlabelled examples along their neighbours and q(y|a,x); "
                                              "over half of the steps it goes evenly to 0.", minimum=0)
    extra_terms: tuple[str, ...] = family_option((), "Terms of your own in the loss, each NAME=WEIGHT; NAME as "
                                                 "registered by a module of --plugin.")
    consistency_warmup_steps: int = not_ladder_option(0, "Steps over which the weights of the consistency, "
                                                      "interpolation, invariance, entropy and balance terms grow from "
                                                      "0 to what is given.", minimum=0)


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
    sync_statistics: bool = option(True, "Statistics of a batch, of batch normalisation and of the balance term, are "
                                   "those of the parts of all replicas, so that several devices learn what one does; "
                                   "else each replica's own, which needs no reductions within a step.")
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
    resident: str = option("auto", "Whether the training arrays are on the device as a whole, true or false; else each "
                           "call reads the rows of its steps, those of the next while the device trains, to the same "
                           "result. auto is false for npy: data of more than a quarter of the memory.",
                           choices=("auto", "true", "false"), affects=NOTHING)
    steps_per_call: int = option(100, "Training steps in one call of the compiled loop.", minimum=1, affects=NOTHING)
    eval_every: int = option(600, "Steps between two evaluations, of which the validation set takes the best weights; "
                             "without one it affects nothing.", minimum=1)
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
    calibration_folds: int = option(0, "Folds of the labelled examples for the temperature of the probabilities and "
                                    "for abstention: at the end so many models are trained without one fold each, "
                                    "which takes as many times the training. 0 fits both on the validation examples, "
                                    "if there are any.", minimum=0, maximum=100, affects=MEASUREMENT)
    track_test: bool = option(False, "Also record the test error at every evaluation; it selects nothing.",
                              affects=NOTHING)
    loggers: tuple[str, ...] = option((), "Other loggers that get the numbers too: mlflow, wandb; their packages are "
                                      "not installed with this one.", affects=NOTHING)


ELEMENT = {"tuple[int, ...]": int, "tuple[float, ...]": float, "tuple[str, ...]": str}


def shown(value: Any) -> str:
    """Returns a value as it is written in a flag."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def class_probabilities(given: str, num_classes: int) -> tuple[float, ...]:
    """Returns p(y) [C] of `--class_prior` with numbers in it.

    Raises:
      UserError: they are no probabilities of C classes.
    """
    try:
        found = [float(p) for p in given.split(",")]
    except ValueError:
        raise errors.UserError(f"class_prior={given}: must be {UNIFORM}, {LABELS}, or a number a class") from None
    if len(found) != num_classes:
        raise errors.UserError(f"class_prior={given}: has {len(found)} numbers, for {num_classes} classes")
    if not all(p > 0 for p in found) or not abs(sum(found) - 1) <= 1e-4:
        raise errors.UserError(f"class_prior={given}: every probability must be above 0, and their sum 1")
    return tuple(p / sum(found) for p in found)


def check_fields(options: Any) -> None:
    """Makes sure that every option keeps its own rule.

    Raises:
      UserError: one does not; the message names it, its value and the rule.
    """
    for field in dataclasses.fields(options):
        check_field(field, getattr(options, field.name))


def check_field(field: dataclasses.Field, value: Any) -> None:
    """Makes sure that one option keeps its rule."""
    rule = field.metadata
    _check_type(field, value)
    if rule["choices"] and value not in rule["choices"]:
        raise errors.unknown(field.name, value, rule["choices"])
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise errors.UserError(f"{field.name}={shown(value)}: must be finite")
        if rule["minimum"] is not None and number is not None and number < rule["minimum"]:
            raise errors.UserError(f"{field.name}={shown(value)}: must be at least {rule['minimum']}")
        if isinstance(number, numbers.Real) and abs(number) > (largest := _largest(field)):
            raise errors.UserError(f"{field.name}={shown(value)}: must be at most {largest}")
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
    if field.type in ELEMENT and not isinstance(value, tuple):
        raise errors.UserError(f"{field.name}={value}: must be a tuple")
    for element in value if field.type in ELEMENT else (value,):
        if not isinstance(element, _KIND[kind]) or (isinstance(element, bool) and kind != "bool"):
            raise errors.UserError(f"{field.name}={shown(value)}: must be {_WORDS[kind]}")


_KIND = {"str": str, "int": numbers.Integral, "float": numbers.Real, "bool": bool}
_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
