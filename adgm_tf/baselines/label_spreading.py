"""scikit-learn's LabelSpreading on the pixels: what a user has at hand without a model."""

from __future__ import annotations

import numpy as np

from adgm_tf.baselines import partly_labelled
from adgm_tf.data.splits import Examples, Splits

NEIGHBOURS = 10


def fit(splits: Splits, seed: int = 0) -> partly_labelled.Predict:
    """Spreads the labels over the graph of the nearest neighbours of all training examples; nothing in it is random."""
    del seed
    from sklearn.semi_supervised import LabelSpreading
    x, y = partly_labelled.training_set(splits)
    fitted = LabelSpreading(kernel="knn", n_neighbors=min(NEIGHBOURS, len(x)), n_jobs=-1).fit(x, y)

    def predict_proba(examples: Examples) -> np.ndarray:
        # No label reaches some parts of the graph: 0 / 0 there.
        with np.errstate(invalid="ignore"):
            probs = fitted.predict_proba(splits.prepared(examples.x)[0])
        full = partly_labelled.for_every_class(probs, fitted.classes_, splits.num_classes)
        return np.where(np.isnan(probs).any(1, keepdims=True), 1 / splits.num_classes, full)

    return predict_proba
