"""`results.json`: what a finished run measured, with what, on what."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Callable

import tensorflow as tf

import adgm_tf
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.training import plan

PACKAGES = ("tensorflow", "tf-keras", "tensorflow-probability", "tensorflow-datasets", "numpy",
            "scikit-learn")


def measure(evaluator: Evaluator, splits: Splits, *, sees_labels: bool) -> dict[str, float]:
    """Returns test error, bound, and transductive error: on the unlabelled images whose labels are hidden.

    A classifier has no bound; nothing is measured on examples that there are none of, nor an error without labels.
    """
    measured = {}
    if evaluator.model.is_generative and len(splits.test):
        measured["test_bound_nats"] = evaluator.bound_nats(splits.test)
        if not math.isfinite(measured["test_bound_nats"]):
            print(f"test bound: is {measured['test_bound_nats']}; a test example lies too far from those of training",
                  flush=True)
    return measured | (measure_errors(evaluator.error_percent, splits) if sees_labels else {})


def measure_errors(error_percent: Callable[[Examples], float], splits: Splits) -> dict[str, float]:
    """Returns the errors of a classifier on test, hidden and validation examples, where labels of such are known."""
    parts = {"test": splits.test, "transductive": splits.hidden, "valid": splits.valid}
    return {f"{name}_error_percent": error_percent(known) for name, examples in parts.items()
            if len(known := examples.known)}


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
