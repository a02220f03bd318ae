"""`results.json`: what a finished run measured, with what, on what."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import adgm_tf
from adgm_tf.analysis import calibration, metrics
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.training import plan

PACKAGES = ("tensorflow", "tf-keras", "tensorflow-probability", "tensorflow-datasets", "numpy",
            "scikit-learn")


def measure(evaluator: Evaluator, splits: Splits, *, sees_labels: bool,
            temperature: float | None = None) -> dict[str, float]:
    """Returns test error, bound, and transductive error: on the unlabelled images whose labels are hidden.

    A classifier has no bound; nothing is measured on examples that there are none of, nor an error without labels.
    With a temperature the log loss and the calibration error of the test examples are also those after it.
    """
    measured = {}
    if evaluator.model.is_generative and len(splits.test):
        measured["test_bound_nats"] = evaluator.bound_nats(splits.test)
        if not math.isfinite(measured["test_bound_nats"]):
            print(f"test bound: is {measured['test_bound_nats']}; a test example lies too far from those of training",
                  flush=True)
    return measured | (measure_errors(evaluator.probs, splits, temperature) if sees_labels else {})


def measure_errors(probs_of: Callable[[Examples], np.ndarray], splits: Splits,
                   temperature: float | None = None) -> dict[str, float]:
    """Returns the errors of a classifier on test, hidden and validation examples, where labels of such are known.

    Of the test examples also what else is said of answers; of the others, labels and error alone.

    Args:
      probs_of: examples -> probabilities [N,C].
      splits: the data.
      temperature: of the probabilities, if one was fitted.
    """
    found: dict[str, float] = {}
    for name, examples in {"test": splits.test, "transductive": splits.hidden, "valid": splits.valid}.items():
        if len(known := examples.known):
            probs = probs_of(known)
            found |= {f"{name}_error_percent": metrics.error_percent(probs, known.y), f"{name}_num_labels": len(known)}
            if name == "test":
                found |= {f"test_{k}": v for k, v in figures_of_merit(probs, known.y, temperature).items()}
    return found


def figures_of_merit(probs: np.ndarray, y: np.ndarray, temperature: float | None = None) -> dict[str, float]:
    """Returns what is said of answers beside their error; after a temperature too, if there is one."""
    low, high = metrics.error_interval_percent(probs, y)
    found = {"error_low_percent": low, "error_high_percent": high,
             "balanced_error_percent": metrics.balanced_error_percent(probs, y),
             "macro_f1": metrics.macro_f1(probs, y), **_of_probabilities(probs, y)}
    if temperature is not None:
        found |= {f"calibrated_{k}": v for k, v in _of_probabilities(calibration.apply(probs, temperature), y).items()}
    return found


def _of_probabilities(probs: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {"log_loss_nats": metrics.log_loss_nats(probs, y),
            "calibration_error": calibration.reliability(probs, y).error}


def circumstances(config: Config) -> dict[str, object]:
    """Returns what a reader has to know: remarks, versions, hardware and seeds."""
    return {
        "remarks": plan.remarks(config), "seed": config.seed, "split_seed": config.split_seed,
        "versions": {"adgm_tf": adgm_tf.__version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "hardware": {"cpu": _cpu(), "cores": os.cpu_count(), "gpus": [
            tf.config.experimental.get_device_details(d).get("device_name", d.name)
            for d in tf.config.list_physical_devices("GPU")]}}


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as stream:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
