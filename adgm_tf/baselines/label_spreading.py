"""scikit-learn's LabelSpreading on the pixels: what a user has at hand without a model."""

from __future__ import annotations

import numpy as np

from adgm_tf import metrics
from adgm_tf.data.splits import Examples, Splits

NEIGHBOURS = 10
UNKNOWN = -1


def error_percent(splits: Splits, examples: Examples) -> float:
    """Returns the error on `examples` of LabelSpreading fitted to the labelled and unlabelled examples, kNN kernel."""
    from sklearn.semi_supervised import LabelSpreading
    hidden = ~np.isin(splits.unlabelled.index, splits.labelled.index)
    x = np.concatenate([splits.scaling(splits.labelled.x), splits.scaling(splits.unlabelled.x[hidden])])
    y = np.concatenate([splits.labelled.y, np.full(hidden.sum(), UNKNOWN)])
    fitted = LabelSpreading(kernel="knn", n_neighbors=NEIGHBOURS, n_jobs=-1).fit(x, y)
    probs = fitted.predict_proba(splits.scaling(examples.x))
    full = np.zeros((len(probs), splits.num_classes))
    full[:, fitted.classes_] = probs
    return metrics.error_percent(full, examples.y)
