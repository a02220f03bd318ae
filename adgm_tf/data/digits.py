"""scikit-learn's 1,797 handwritten digits of 8 x 8 pixels: 20 a class for test, the rest for training."""

from __future__ import annotations

import numpy as np

from adgm_tf.data import source


def load(name: str, data_dir: str) -> source.Source:
    """Returns the images as uint8 [N, 8, 8, 1], their 17 grey levels spread over 0 to 255."""
    del data_dir
    from sklearn.datasets import load_digits
    x, y = load_digits(return_X_y=True)
    images = np.round(x * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    return source.hold_out(name, images, y, 20, tuple(map(str, range(10))))
