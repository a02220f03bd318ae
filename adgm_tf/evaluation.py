"""What a model says of a set of examples: probabilities, error, bound, KL of each unit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from adgm_tf import metrics, objectives, seeds
from adgm_tf.config import Config
from adgm_tf.data.splits import Examples, Scaling
from adgm_tf.systems import Model


class Evaluator:
    """A model's answers, batch by batch, on grey values; bound and KL are those of generative models alone.

    Args:
      model: the model.
      scaling: from what the source gives to what the model sees.
      num_samples: samples of a that the classifier averages.
      batch_size: examples at once.
      seed: seed of the run.
      classifier: a key of `objectives.CLASSIFIERS`.
    """

    def __init__(self, model: Model, scaling: Scaling, num_samples: int, batch_size: int, seed: int, classifier: str):
        self.model, self.scaling, self.batch_size = model, scaling, batch_size
        self.num_samples, self.classifier = num_samples, classifier
        self.seed = seeds.fold(seeds.of_run(seed), seeds.Draw.EVALUATION)
        self._classify = self._compile(lambda x, seed: objectives.CLASSIFIERS[classifier](
            model, x, num_samples, self.seed))
        self._bound = self._compile(lambda x, seed: objectives.unlabelled_bound_of(model, x, 1, seed))
        self._kl = self._compile(lambda x, seed: model.kl_per_unit(x, seed))

    def probs(self, examples: Examples) -> np.ndarray:
        """Returns what the classifier says, [N,C]."""
        rows = max(1, self.batch_size // self.num_samples) if self.classifier == "bound" else self.batch_size
        return np.concatenate(self._batches(self._classify, examples, rows))

    def error_percent(self, examples: Examples) -> float:
        """Returns the error of the classifier on the examples whose labels are known."""
        known = examples.known
        return metrics.error_percent(self.probs(known), known.y)

    def bound_nats(self, examples: Examples) -> float:
        """Returns the mean of -U(x), one sample an example and every class."""
        return float(np.concatenate(self._batches(self._bound, examples)).mean())

    def kl_per_unit(self, examples: Examples) -> dict[str, np.ndarray]:
        """Returns {letter: KL [units]}, the mean over the examples, nats."""
        sums = self._batches(self._kl, examples)
        return {letter: sum(s[letter] for s in sums) / len(examples) for letter in sums[0]}

    def log_likelihood_nats(self, examples: Examples, num_importance_samples: int) -> float:
        """Returns the mean of log p(x), estimated with that many importance samples and every class."""
        log_p = self._compile(lambda x, seed: objectives.log_likelihood_of(self.model, x, num_importance_samples, seed))
        rows = max(1, self.batch_size // num_importance_samples)
        return float(np.concatenate(self._batches(log_p, examples, rows)).mean())

    def _compile(self, function: Callable) -> Callable:
        spec = [tf.TensorSpec([None, self.model.input_dim], tf.float32), tf.TensorSpec([2], tf.int32)]
        return tf.function(function, input_signature=spec, autograph=False)

    def _batches(self, function: Callable, examples: Examples, batch_size: int | None = None) -> list:
        size = batch_size or self.batch_size
        return [tf.nest.map_structure(lambda t: t.numpy(), function(
            tf.constant(self.scaling(examples.x[i: i + size])), seeds.fold(self.seed, i)))
            for i in range(0, len(examples), size)]


def evaluator(model: Model, scaling: Scaling, config: Config) -> Evaluator:
    """Returns what evaluates the model as `config` says."""
    return Evaluator(model, scaling, config.num_eval_samples, config.eval_batch_size, config.seed, config.classifier)
