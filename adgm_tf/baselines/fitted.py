"""The table of baselines that are fitted at once, not trained by steps: from splits and a seed to probabilities."""

from __future__ import annotations

from adgm_tf.baselines import atlas_rbf, label_spreading, self_training

FITTED = {"label_spreading": label_spreading.fit, "self_training": self_training.fit, "atlas_rbf": atlas_rbf.fit}
