"""Two half moons in the plane, the toy of the authors' 2016 paper: 1,000 points for training and 1,000 for test."""

from __future__ import annotations

import numpy as np

from adgm_tf.data import source


def load(name: str, data_dir: str) -> source.Source:
    """Returns the points as float32 [N, 2]; the same points in every run."""
    del data_dir
    from sklearn.datasets import make_moons
    x, y = make_moons(2000, noise=0.1, random_state=0)
    return source.hold_out(name, x.astype(np.float32), y, 500, ("upper", "lower"))
