"""Auxiliary deep generative models for semi-supervised learning: a classifier from a few labels, and what goes with it.

import adgm_tf as adgm
model = adgm.SemiSupervisedClassifier().fit(X, y)     y: -1, None, NaN or "" where a label is unknown
model.predict(X_new); model.predict_proba(X_new)
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.3.0"

# What the package gives, by the module that has it: nothing of TensorFlow is imported before it is asked for.
_HOME = {
    "SemiSupervisedClassifier": "adgm_tf.estimator",
    "Config": "adgm_tf.config",
    "Row": "adgm_tf.model.family",
    "TrainedModel": "adgm_tf.runs.trained",
    "UserError": "adgm_tf.host.errors",
    "fit": "adgm_tf.registering",
    "load": "adgm_tf.runs.trained",
    "register_model": "adgm_tf.registering",
    "register_source": "adgm_tf.registering",
    "register_trunk": "adgm_tf.registering",
    "register_density": "adgm_tf.registering",
    "register_term": "adgm_tf.registering",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adgm_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
