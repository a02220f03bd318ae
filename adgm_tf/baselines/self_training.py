"""scikit-learn's SelfTrainingClassifier around logistic regression on random features of an RBF kernel."""

from __future__ import annotations

import warnings

import numpy as np

from adgm_tf.baselines import partly_labelled
from adgm_tf.data.splits import Examples, Splits

PCA_DIM = 50
FEATURES = 300
THRESHOLD = 0.9
ROUNDS = 10


def fit(splits: Splits, seed: int) -> partly_labelled.Predict:
    """Fits to the labelled examples, takes predictions of probability above THRESHOLD for labels, and fits again."""
    from sklearn.decomposition import PCA
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.semi_supervised import SelfTrainingClassifier
    x, y = partly_labelled.training_set(splits)
    pca = PCA(min(PCA_DIM, *x.shape), random_state=seed).fit(x)
    x = pca.transform(x)
    gamma = 1 / (2 * np.square(x).sum(1).mean())
    base = make_pipeline(Nystroem(gamma=gamma, n_components=min(FEATURES, len(splits.labelled)), random_state=seed),
                         LogisticRegression(C=100, max_iter=200))
    with warnings.catch_warnings():
        # Nothing unlabelled is no mistake here, and a fit on labels that are guesses need not converge.
        warnings.simplefilter("ignore", UserWarning)
        fitted = SelfTrainingClassifier(base, threshold=THRESHOLD, max_iter=ROUNDS).fit(x, y)

    def predict_proba(examples: Examples) -> np.ndarray:
        probs = fitted.predict_proba(pca.transform(splits.scaling(examples.x)))
        return partly_labelled.for_every_class(probs, fitted.classes_, splits.num_classes)

    return predict_proba
