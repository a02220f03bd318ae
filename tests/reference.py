"""The conditionals of a model in NumPy float64, example by example."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


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
