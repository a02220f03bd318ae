"""scikit-learn's classifiers as they come, on what q sees: what a user has at hand without a model.

Those that know no unlabelled examples learn from the labelled ones alone.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from adgm_tf.baselines import partly_labelled
from adgm_tf.data.splits import Examples, Splits


def _logistic_regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(max_iter=1000, random_state=seed)


def _self_trained(seed: int) -> Any:
    from sklearn.semi_supervised import SelfTrainingClassifier
    return SelfTrainingClassifier(_logistic_regression(seed))


def _label_propagation(seed: int) -> Any:
    del seed
    from sklearn.semi_supervised import LabelPropagation
    return LabelPropagation(kernel="knn", n_neighbors=7, max_iter=1000)


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    return RandomForestClassifier(random_state=seed)


def _boosted_trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    return HistGradientBoostingClassifier(min_samples_leaf=2, random_state=seed)


def _svc(seed: int) -> Any:
    from sklearn.svm import SVC
    return SVC(random_state=seed)


# Name, maker, and whether it takes unlabelled examples.
_MAKERS = {"logistic_regression": (_logistic_regression, False), "random_forest": (_random_forest, False),
           "boosted_trees": (_boosted_trees, False), "svc": (_svc, False),
           "self_trained_logistic_regression": (_self_trained, True), "label_propagation": (_label_propagation, True)}


def _fit(make: Callable[[int], Any], splits: Splits, seed: int, *, takes_unlabelled: bool) -> partly_labelled.Predict:
    if takes_unlabelled:
        x, y = partly_labelled.training_set(splits)
    else:
        x, y = splits.prepared(splits.labelled.x)[0], splits.labelled.y
    model = make(seed)
    if "n_neighbors" in model.get_params():
        model.set_params(n_neighbors=min(model.n_neighbors, len(x)))
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        fitted = model.fit(x, y)

    def predict_proba(examples: Examples) -> np.ndarray:
        seen = splits.prepared(examples.x)[0]
        with np.errstate(invalid="ignore"):
            probs = fitted.predict_proba(seen) if hasattr(fitted, "predict_proba") else (
                fitted.predict(seen)[:, None] == fitted.classes_)
        full = partly_labelled.for_every_class(np.nan_to_num(probs, nan=0.0), fitted.classes_, splits.num_classes)
        return np.where(full.sum(1, keepdims=True) > 0, full, 1 / splits.num_classes)

    return predict_proba


FITS = {name: functools.partial(_fit, make, takes_unlabelled=unlabelled)
        for name, (make, unlabelled) in _MAKERS.items()}
