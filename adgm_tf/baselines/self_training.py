"""scikit-learn's SelfTrainingClassifier around nearest neighbours in the leading principal components.

The base, its neighbours and the threshold were chosen on validation images of MNIST.
"""

from __future__ import annotations

import warnings

import numpy as np

from adgm_tf.baselines import partly_labelled
from adgm_tf.data.splits import Examples, Splits

PCA_DIM = 50
NEIGHBOURS = 3
THRESHOLD = 0.99
ROUNDS = 30


def fit(splits: Splits, seed: int) -> partly_labelled.Predict:
    """Takes predictions of probability above THRESHOLD for labels, round by round, until there are no more."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.semi_supervised import SelfTrainingClassifier
    x, y = partly_labelled.training_set(splits)
    pca = PCA(min(PCA_DIM, *x.shape), random_state=seed).fit(x)
    base = KNeighborsClassifier(min(NEIGHBOURS, len(splits.labelled)), weights="distance")
    with warnings.catch_warnings():
        # That nothing is unlabelled is the supervised setting and no mistake.
        warnings.filterwarnings("ignore", "y contains no unlabeled samples")
        fitted = SelfTrainingClassifier(base, threshold=THRESHOLD, max_iter=ROUNDS).fit(pca.transform(x), y)

    def predict_proba(examples: Examples) -> np.ndarray:
        probs = fitted.predict_proba(pca.transform(splits.prepared(examples.x)[0]))
        return partly_labelled.for_every_class(probs, fitted.classes_, splits.num_classes)

    return predict_proba
