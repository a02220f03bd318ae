"""The assessment of a run on a set of examples: figures of merit, and figures to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from adgm_tf.analysis import metrics, plots
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.baselines import label_spreading as label_spreading_lib
from adgm_tf.data.splits import Examples
from adgm_tf.host import errors, files
from adgm_tf.runs import results
from adgm_tf.runs.stored import Run


def assess(run: Run, evaluator: Evaluator, examples: Examples, split: str, dataset: str | None = None,
           num_importance_samples: int = 0, label_spreading: bool = False) -> dict[str, Any]:
    """Evaluates a run on examples; writes a file of `evaluation/` that is named by what it holds, and figures.

    Args:
      run: the run.
      evaluator: what evaluates its model.
      examples: what to evaluate on.
      split: their name.
      dataset: the data set that they are of; that of the run if not given.
      num_importance_samples: if positive, also estimate log p(x) with this many.
      label_spreading: whether to add the error of LabelSpreading, if the run has labels.

    Returns:
      The figures of merit, by name; a classifier has no bound, no log p(x) and no KL.

    Raises:
      UserError: log p(x) is asked of a classifier.
    """
    dataset = dataset or run.config.dataset
    found: dict[str, Any] = {"dataset": dataset, "split": split, "step": run.step, "num_examples": len(examples)}
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
        found |= {"classifier": evaluator.classifier, "num_samples": evaluator.num_samples, "num_labels": len(known)}
        found |= _classified(run, f"{dataset} by {evaluator.classifier}", known, evaluator.probs(known))
        if label_spreading:
            found["label_spreading_error_percent"] = _label_spreading(run, known)
    if run.model.is_generative:
        found |= _kl_per_unit(run, evaluator.kl_per_unit(examples))
    path = run.path / "evaluation" / f"{_name(run, evaluator, found)}.json"
    files.write_json(path, found | results.circumstances(run.config))
    return found


def _name(run: Run, evaluator: Evaluator, found: Mapping[str, Any]) -> str:
    """What an evaluation holds, in words: measuring something else overwrites nothing."""
    config, words = run.config, [found["split"]]
    if found["dataset"] != config.dataset:
        words.insert(0, found["dataset"].replace(":", "-").replace("/", "-"))
    if run.weights != "last":
        words.append(run.weights)
    if evaluator.classifier != config.classifier:
        words.append(evaluator.classifier)
    if evaluator.num_samples != config.num_eval_samples:
        words.append(f"samples{evaluator.num_samples}")
    if "num_importance_samples" in found:
        words.append(f"importance{found['num_importance_samples']}")
    return "-".join(words)


def _kl_per_unit(run: Run, kl: dict[str, np.ndarray]) -> dict[str, Any]:
    plots.write_png(run.figure_path("kl_per_unit"), plots.kl_per_unit(kl))
    found = {}
    for letter, values in sorted(kl.items()):
        found[f"active_units_{letter}"] = int(np.sum(values > plots.ACTIVE_NATS))
        found[f"kl_per_unit_{letter}_nats"] = np.sort(values)[::-1].tolist()
    return found


def _classified(run: Run, what: str, examples: Examples, probs: np.ndarray) -> dict[str, Any]:
    error = metrics.error_percent(probs, examples.y)
    title = f"{run.config.model} on {what}: {error:.2f} % error"
    picture = plots.confusion(metrics.confusion(probs, examples.y), run.spec.class_names, title)
    plots.write_png(run.figure_path("confusion_matrix"), picture)
    return {"error_percent": error, "log_loss_nats": metrics.log_loss_nats(probs, examples.y),
            "class_error_percent": dict(zip(run.spec.class_names, metrics.class_error_percent(probs, examples.y),
                                            strict=True))}


def _label_spreading(run: Run, examples: Examples) -> float:
    return metrics.error_percent(label_spreading_lib.fit(run.splits)(examples), examples.y)


def table(found: dict[str, Any]) -> str:
    """Returns the assessment as text."""
    plain = {k: v for k, v in found.items() if not isinstance(v, (list, dict))}
    text = pd.Series(plain, dtype=object).map(lambda v: f"{v:.3f}" if isinstance(v, float) else v).to_string()
    if "class_error_percent" in found:
        by_class = pd.Series(found["class_error_percent"], dtype=float, name="error %").rename_axis("class")
        text += "\n\n" + by_class.to_frame().T.to_string(float_format="%.2f")
    return text


def summary(found: dict[str, Any]) -> str:
    """Returns the assessment as one line."""
    if "error_percent" not in found:
        return f"{found['split']} bound {found['bound_nats']:.2f} nats"
    line = f"{found['split']} error {found['error_percent']:.2f} %"
    if "label_spreading_error_percent" in found:
        line += f"; scikit-learn's LabelSpreading on the same split {found['label_spreading_error_percent']:.2f} %"
    return line
