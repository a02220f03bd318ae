"""The conditionals of a model in NumPy float64, example by example."""

import building
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# Two numbers, three bits, a category of four, a number, a category of two.
BLOCKS = (("gaussian", 2), ("bernoulli", 3), ("categorical", 4), ("gaussian", 1), ("categorical", 2))
WIDTH = 12


def log_normal(value, mean, variance):
    return -0.5 * np.sum(np.log(2 * np.pi * variance * np.ones_like(value)) + (value - mean) ** 2 / variance)


def drawn(mean, variance, noise):
    return mean + np.sqrt(variance) * noise


def mean_and_variance(parameters):
    mean, raw = np.split(parameters, 2)
    return mean, np.exp(10 * np.tanh(raw / 10))


def perceptron(conditional, **parents):
    h = float64(conditional.first_bias)
    for letter, value in parents.items():
        h = h + value @ float64(conditional.parts[letter].weights[0])
    for layer in (*conditional.hidden, conditional.last):
        h = np.maximum(h, 0) @ float64(layer.kernel) + float64(layer.bias)
    return h


def float64(value):
    return np.asarray(value).astype(np.float64)


def noise_of(shape, seed):
    return float64(tfd.Normal(tf.zeros(shape), 1.0).sample(seed=seed))


def by_unit(parameters, x):
    """log p(x_j) of BLOCKS in NumPy; that of a category at its unit."""
    found, p = [], 0
    for (name, width), unit in zip(BLOCKS, np.cumsum([0, *(w for _, w in BLOCKS)]), strict=False):
        part = x[..., unit: unit + width]
        if name == "gaussian":
            mean, raw = parameters[..., p: p + width], parameters[..., p + width: p + 2 * width]
            variance = np.exp(10 * np.tanh(raw / 10))
            found.append(-0.5 * (np.log(2 * np.pi * variance) + (part - mean) ** 2 / variance))
            p += 2 * width
            continue
        own = parameters[..., p: p + width]
        if name == "bernoulli":
            probs = 1 / (1 + np.exp(-own))
            found.append(np.log(np.where(part == 1, probs, 1 - probs)))
        else:
            found.append(part * np.log(np.exp(own) / np.exp(own).sum(-1, keepdims=True)))
        p += width
    return np.concatenate(found, -1)


def rows_of_blocks(count):
    """Rows that BLOCKS may describe [B,D]."""
    x = building.normal([count, WIDTH], 6).numpy()
    x[:, 2:5] = x[:, 2:5] > 0
    x[:, 5:9], x[:, 10:] = np.eye(4)[np.arange(count) % 4], np.eye(2)[np.arange(count) % 2]
    return tf.constant(x)
