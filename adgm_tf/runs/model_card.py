"""The model card of an export: what it learnt from, how often it errs, and what it is not for."""

from __future__ import annotations

import dataclasses
import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from adgm_tf import options
from adgm_tf.config import Config
from adgm_tf.data import splits
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import files
from adgm_tf.runs import results
from adgm_tf.runs.answers import Answers
from adgm_tf.runs.stored import Run

_SETS = {"test": "held out for the final figure", "transductive": "the unlabelled training examples, by labels that "
         "the model never saw", "valid": "held out for selection and for the temperature"}
_PARTS = {"valid": "validation"}
_SHOWN = 30


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run knows of itself beyond its model; nothing, of a model that has no run.

    Attributes:
      counts: examples that served as what, by the name of the part.
      errors: error in percent and number of labels, None where not known, by the name of the set.
      results: `results.json`.
      step: steps of training.
      weights: last, or best: those with the lowest validation error.
    """

    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    errors: Mapping[str, tuple[float, int | None]] = dataclasses.field(default_factory=dict)
    results: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    step: int = 0
    weights: str = "last"


def of_run(run: Run) -> Measured:
    """Returns what a run knows of itself: its errors, if they are those of these weights."""
    found = files.read_json(run.path / "results.json", "run_dir") if (run.path / "results.json").is_file() else {}
    prefix = "best_valid_" if run.weights == "best" else ""
    fits = found.get("best_valid_step" if prefix else "steps") == run.step
    percent = {name: found[key] for name in _SETS if fits and (key := f"{prefix}{name}_error_percent") in found}
    measured = {name: (value, found.get(f"{prefix}{name}_num_labels")) for name, value in percent.items()}
    return Measured(_counts(run.path / splits.FILE), measured, found, run.step, run.weights)


def _counts(path: pathlib.Path) -> dict[str, int]:
    try:
        with np.load(path) as stored:
            return {name: len(stored[name]) for name in ("labelled", "unlabelled", "valid")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return {}


def interval(error_percent: float, num_labels: int) -> tuple[float, float]:
    """Returns Clopper and Pearson's 95 % interval of an error in percent, over that many labels."""
    from scipy import stats
    wrong = round(error_percent / 100 * num_labels)
    found = stats.binomtest(wrong, num_labels).proportion_ci(0.95, "exact")
    return 100 * float(found.low), 100 * float(found.high)


def text(config: Config, spec: DataSpec, answers: Answers, measured: Measured, *, what: str) -> str:
    """Returns the card as Markdown; `what` says in what form the model is."""
    sections = {
        "Data": _data(config, spec), "Split": _split(config, measured), "Classes": _classes(spec),
        "Errors": _errors(measured), "Calibration": _calibration(spec, answers),
        "Training": _training(config, measured), "Versions": _versions(config, measured),
        "Intended use": _use(spec, answers), "Limits": _limits(spec, measured)}
    head = f"# Model card: {config.model} on {config.dataset}\n\nThis is {what}.\n"
    return head + "".join(f"\n## {title}\n\n{body}\n" for title, body in sections.items())


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(str(line).split())}" for line in lines)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")


def _data(config: Config, spec: DataSpec) -> str:
    kind = "rows of a table" if spec.is_table else "images" if spec.is_image else "vectors of numbers"
    return f"`{config.dataset}`: {kind}.\n\n" + _list(spec.preprocess.describe())


def _split(config: Config, measured: Measured) -> str:
    if not measured.counts:
        return f"Not recorded with this model (split seed {config.split_seed})."
    parts = ", ".join(f"{count:,} {_PARTS.get(name, name)}" for name, count in measured.counts.items())
    return (f"{parts} examples. Labelled and validation examples are chosen by the split seed {config.split_seed}. An "
            "example that is labelled can be among the unlabelled ones too.")


def _classes(spec: DataSpec) -> str:
    if not spec.has_labels:
        return "The model was trained without labels and names no class."
    return f"{spec.num_classes}, in the order of `probs` and `label`: {_some(spec.class_names)}."


def _errors(measured: Measured) -> str:
    if not measured.errors:
        return "Not measured with these weights."
    rows = ["| set | error % | 95 % interval | labels |", "|---|---|---|---|"]
    for name, (error, count) in measured.errors.items():
        low, high = interval(error, count) if count else (float("nan"), float("nan"))
        shown = f"{low:.2f} to {high:.2f}" if count else ""
        rows.append(f"| {name}: {_SETS[name]} | {error:.2f} | {shown} | {f'{count:,}' if count else 'not known'} |")
    return "\n".join(rows) + ("\n\nThe interval is Clopper and Pearson's: it holds for examples that come as those "
                              "of the set do, and says nothing of other seeds.")


def _calibration(spec: DataSpec, answers: Answers) -> str:
    if not spec.has_labels:
        return "There are no classes."
    lines = [f"`probs`, {answers.describe()[0].removeprefix('probabilities: ')}."]
    if answers.calibration:
        before, after = (found.calibration_error for found in (answers.calibration.before, answers.calibration.after))
        lines.append(f"The expected calibration error was {before:.3f} before and is {after:.3f} after it; "
                     f"{answers.calibration.after.calibration_error_by_chance:.3f} is what so few labels give by "
                     "chance.")
    else:
        lines.append("They may be surer than they are right.")
    return " ".join(lines)


def _training(config: Config, measured: Measured) -> str:
    given = {name: value for name, value in config.given().items() if name not in ("run_dir", "data_dir")}
    flags = " ".join(f"--{name}={options.shown(value)}" for name, value in given.items())
    steps = f" after {measured.step:,} steps" if measured.step else ""
    return f"Seed {config.seed}, weights `{measured.weights}`{steps}. Options not at their defaults: `{flags}`."


def _versions(config: Config, measured: Measured) -> str:
    here = results.circumstances(config)["versions"]
    there = measured.results.get("versions", {})
    return _list(f"{name} {version}" + (f" (trained with {there[name]})" if there.get(name, version) != version else "")
                 for name, version in here.items())


def _use(spec: DataSpec, answers: Answers) -> str:
    lines = ["Examples of the kind that it was trained on, from the same source."]
    if spec.has_labels:
        lines.append("`probs` for ranking, for a threshold below which a person decides, and for the class itself.")
    if len(answers.reference_bounds):
        lines.append("`novelty` near 1 marks an example that is unlike those of training; its class means little.")
    return _list(lines)


def _limits(spec: DataSpec, measured: Measured) -> str:
    learnt = f"It learnt from {measured.counts['labelled']:,} labels. " if "labelled" in measured.counts else ""
    known = "The interval above says how well its error is known." if measured.errors else "Its error is not known."
    lines = [f"{learnt}{known} Wrong labels were not looked for.",
             "Examples from elsewhere, or from later, may differ from those of training; `probs` do not say so.",
             "Errors of groups within the data were not compared. It is no ground for a decision about a person "
             "without such a comparison."]
    if spec.is_table:
        lines.append("The export holds names of categories, words that at least two training texts share, and the "
                     "smallest and largest numbers of the training rows.")
    return _list(lines)
