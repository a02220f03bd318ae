"""The assessment of a run on a set of examples: figures of merit, and figures to look at."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from adgm_tf.analysis import calibration, metrics, noise, plots, run_plots, uncertainty
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.baselines import label_spreading as label_spreading_lib
from adgm_tf.data import columns, rows
from adgm_tf.data.splits import Examples
from adgm_tf.host import errors, files
from adgm_tf.runs import answers as answers_lib
from adgm_tf.runs import results
from adgm_tf.runs.stored import Run

MOST = 5
NOVELTY_EXAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Assessed:
    """Examples and where they come from: a split of a data set, or a file of rows.

    Attributes:
      examples: the examples.
      split: test, valid, unlabelled or labelled; empty for those of a file.
      dataset: the data set that they are of.
      source: the file that they are of; empty for those of a data set.
    """

    examples: Examples
    split: str = ""
    dataset: str = ""
    source: str = ""

    @property
    def ending(self) -> str:
        """What the names of their figures end in."""
        return f"-{self.name}" if self.source else ""

    @property
    def name(self) -> str:
        """What an evaluation calls them."""
        return self.split or rows.file_of(self.source).name or "rows"


def assess(run: Run, evaluator: Evaluator, of: Assessed, *, num_importance_samples: int = 0,
           label_spreading: bool = False) -> dict[str, Any]:
    """Evaluates a run on examples; writes a file of `evaluation/` that is named by what it holds, and figures.

    Args:
      run: the run.
      evaluator: what evaluates its model.
      of: what to evaluate on.
      num_importance_samples: if positive, also estimate log p(x) with this many.
      label_spreading: whether to add the error of LabelSpreading, if the run has labels.

    Returns:
      The figures of merit, by name; a classifier has no bound, no log p(x) and no KL.

    Raises:
      UserError: log p(x) is asked of a classifier.
    """
    examples = of.examples
    found: dict[str, Any] = {"input": of.source} if of.source else {"dataset": of.dataset, "split": of.split}
    found |= {"step": run.step, "num_examples": len(examples)}
    if run.model.is_generative:
        found["bound_nats"] = evaluator.bound_nats(examples)
    elif num_importance_samples:
        raise errors.UserError(f"num_importance_samples={num_importance_samples}: {run.config.model} is a classifier "
                               "and has no log p(x)")
    if num_importance_samples:
        found["num_importance_samples"] = num_importance_samples
        found["log_likelihood_nats"] = evaluator.log_likelihood_nats(examples, num_importance_samples)
    known = examples.known
    if run.model.has_classes and run.spec.has_labels and len(known):
        found |= {"classifier": evaluator.classifier, "num_samples": evaluator.num_samples}
        found |= _classified(run, f"{of.dataset or of.name} by {evaluator.classifier}", known.y,
                             evaluator.probs(known), of.ending)
        if label_spreading:
            found["label_spreading_error_percent"] = _label_spreading(run, known)
    if run.model.is_generative:
        found |= _kl_per_unit(run, evaluator.kl_per_unit(examples), of.ending)
        found |= _novelty(run, evaluator, examples)
    path = run.path / "evaluation" / f"{_name(run, evaluator, of, num_importance_samples)}.json"
    files.write_json(path, found | results.circumstances(run.config))
    return found


def _name(run: Run, evaluator: Evaluator, of: Assessed, num_importance_samples: int) -> str:
    """What an evaluation holds, in words: measuring something else overwrites nothing."""
    config, words = run.config, [of.name]
    if of.dataset and of.dataset != config.dataset:
        words.insert(0, of.dataset.replace(":", "-").replace("/", "-"))
    if run.weights != "last":
        words.append(run.weights)
    if evaluator.classifier != config.classifier:
        words.append(evaluator.classifier)
    if evaluator.num_samples != config.num_eval_samples:
        words.append(f"samples{evaluator.num_samples}")
    if num_importance_samples:
        words.append(f"importance{num_importance_samples}")
    return "-".join(words)


def _novelty(run: Run, evaluator: Evaluator, examples: Examples) -> dict[str, float]:
    """How often the novelty of a row of noise is above that of a row of the examples, ties half."""
    reference = answers_lib.read(run.path).reference_bounds
    if not len(reference) or run.weights != "last" or not len(examples):
        return {}
    some = examples.drawn(NOVELTY_EXAMPLES)
    text = [c.name for c in run.spec.preprocess.columns if c.kind == columns.TEXT] if run.spec.is_table else ()
    usual, novel = (uncertainty.novelty(evaluator.bounds_alone_nats(of), reference)
                    for of in (some, dataclasses.replace(some, x=noise.like(some.x, text))))
    return {"novelty_auroc_of_noise": metrics.auroc(usual, novel)}


def _kl_per_unit(run: Run, kl: dict[str, np.ndarray], ending: str) -> dict[str, Any]:
    plots.write_png(run.figure_path(f"kl_per_unit{ending}"), plots.kl_per_unit(kl))
    found = {}
    for letter, values in sorted(kl.items()):
        found[f"active_units_{letter}"] = int(np.sum(values > plots.ACTIVE_NATS))
        found[f"kl_per_unit_{letter}_nats"] = np.sort(values)[::-1].tolist()
    return found


def _classified(run: Run, what: str, y: np.ndarray, probs: np.ndarray, ending: str) -> dict[str, Any]:
    """Figures of merit of answers to labelled rows; draws them to figures whose names end in `ending`."""
    names, kept = run.spec.class_names, answers_lib.read(run.path)
    temperature = kept.fitted_temperature if run.weights == "last" else None
    found = metrics.summary(probs, y, names) | results.figures_of_merit(probs, y, temperature)
    title = f"{run.config.model} on {what}: {found['error_percent']:.2f} % error"
    plots.write_png(run.figure_path(f"confusion_matrix{ending}"),
                    plots.confusion(metrics.confusion(probs, y), names, title))
    answers = {"as the model says": probs}
    if temperature is not None:
        answers["calibrated"] = calibration.apply(probs, temperature)
    plots.write_png(run.figure_path(f"reliability{ending}"), run_plots.reliability(
        {name: calibration.reliability(of, y) for name, of in answers.items()}))
    plots.write_png(run.figure_path(f"risk_coverage{ending}"), run_plots.risk_coverage(
        {name: uncertainty.risk_coverage(of, y) for name, of in answers.items()}))
    return found


def _label_spreading(run: Run, examples: Examples) -> float:
    return metrics.error_percent(label_spreading_lib.fit(run.splits)(examples), examples.y)


def table(found: dict[str, Any]) -> str:
    """Returns the assessment as text."""
    plain = {k: v for k, v in found.items() if not isinstance(v, (list, dict))}
    text = pd.Series(plain, dtype=object).map(lambda v: f"{v:.3f}" if isinstance(v, float) else v).to_string()
    if "class_error_percent" in found:
        by_class = pd.Series(found["class_error_percent"], dtype=float, name="error %").rename_axis("class")
        text += "\n\n" + by_class.to_frame().T.to_string(float_format="%.2f")
        text += "".join(f"\n{true} taken for {answer}: {count:,}" for true, answer, count in _confused(found)[:MOST])
    return text


def _confused(found: dict[str, Any]) -> list[tuple[str, str, int]]:
    """True class, answer and rows of what was confused, the most frequent first."""
    pairs = [(true, answer, count) for true, answers in found["confusion"].items() for answer, count in answers.items()
             if answer != true]
    return sorted(pairs, key=lambda pair: -pair[2])


def summary(found: dict[str, Any]) -> str:
    """Returns the assessment as one line."""
    what = found.get("split") or found["input"]
    if "error_percent" not in found:
        return f"{what} bound {found['bound_nats']:.2f} nats"
    line = (f"{what} error {found['error_percent']:.2f} % (95 % interval {found['error_low_percent']:.2f} to "
            f"{found['error_high_percent']:.2f})")
    if "label_spreading_error_percent" in found:
        line += f"; scikit-learn's LabelSpreading on the same split {found['label_spreading_error_percent']:.2f} %"
    return line
