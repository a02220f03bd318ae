"""What a model says of a set of examples: probabilities, error, bound, KL of each unit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import special

from adgm_tf.analysis import metrics, uncertainty
from adgm_tf.analysis.uncertainty import Uncertainty
from adgm_tf.config import Config
from adgm_tf.data.splits import Examples
from adgm_tf.model import engine, seeds
from adgm_tf.objectives import estimates

Prepared = Callable[[Any], tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]
# Samples of a in one call, and how many q(y|a,x) may have before a call takes fewer examples.
SAMPLES_AT_ONCE = 1000
SAMPLES_OF_A_FULL_BATCH = 10


class Evaluator:
    """A model's answers, batch by batch, on grey values; bound and KL are those of generative models alone.

    Args:
      model: the model.
      prepared: takes examples as the source gives them to what q sees, what p describes and where it is known.
      num_samples: samples of a that the classifier averages.
      batch_size: examples at once.
      seed: seed of the run.
      classifier: a key of `estimates.CLASSIFY_BY`.
    """

    def __init__(self, model: tf.Module, prepared: Prepared, *, num_samples: int, batch_size: int, seed: int,
                 classifier: str):
        self.model, self.prepared, self.batch_size = model, prepared, batch_size
        self.num_samples, self.classifier = num_samples, classifier
        self.seed = seeds.fold(seeds.of_run(seed), seeds.Draw.EVALUATION)
        self._bound, self._bound_alone = (self._compile(functools.partial(_bound, model, shared_noise=shared))
                                          for shared in (False, True))
        self._kl = self._compile(lambda seen, seed, described: model.kl_per_unit(seen, seed, *described))
        self._encode = self._compile(lambda seen, seed, described: model.encode(seen).z)
        self._blocks: dict[tuple[Callable, int], Callable] = {}

    def probs(self, examples: Examples) -> np.ndarray:
        """Returns what the classifier says, [N,C]."""
        if self.classifier == "bound":
            return special.softmax(self._in_blocks(examples, self.num_samples, estimates.log_joint_of,
                                                   estimates.log_mean_of_blocks, same_noise=True), -1)
        return self._in_blocks(examples, self.num_samples, estimates.CLASSIFY_BY[self.classifier],
                               estimates.mean_of_blocks, same_noise=True)

    def uncertainty(self, examples: Examples) -> Uncertainty:
        """Returns what q(y|a_k,x) say in the mean over k, and how far they disagree."""
        found = self._in_blocks(examples, self.num_samples, probs_and_entropy, estimates.mean_of_blocks,
                                same_noise=True)
        return uncertainty.of_means(found[:, :-1], found[:, -1])

    def error_percent(self, examples: Examples) -> float:
        """Returns the error of the classifier on the examples whose labels are known."""
        known = examples.known
        return metrics.error_percent(self.probs(known), known.y)

    def bound_nats(self, examples: Examples) -> float:
        """Returns the mean of -U(x), one sample an example and every class."""
        return float(self.bounds_nats(examples).mean())

    def bounds_nats(self, examples: Examples) -> np.ndarray:
        """Returns -U(x) of each example [N], one sample an example and every class."""
        return np.concatenate(self._batches(self._bound, examples))

    def bounds_alone_nats(self, examples: Examples) -> np.ndarray:
        """Returns `bounds_nats` with noise that the examples share: a row has one bound, whatever is around it."""
        return np.concatenate(self._batches(self._bound_alone, examples, same_noise=True))

    def latent_means(self, examples: Examples) -> np.ndarray:
        """Returns E[z|.] [N,Z], with a at its mean and the most probable class."""
        return np.concatenate(self._batches(self._encode, examples))

    def kl_per_unit(self, examples: Examples) -> dict[str, np.ndarray]:
        """Returns {letter: KL [units]}, the mean over the examples, nats."""
        sums = self._batches(self._kl, examples)
        return {letter: sum(s[letter] for s in sums) / len(examples) for letter in sums[0]}

    def log_likelihood_nats(self, examples: Examples, num_importance_samples: int) -> float:
        """Returns the mean of log p(x), estimated with that many importance samples and every class."""
        return float(self._in_blocks(examples, num_importance_samples, estimates.log_likelihood_of,
                                     estimates.log_mean_of_blocks).mean())

    def _in_blocks(self, examples: Examples, num_samples: int, of_block: Callable, join: Callable,
                   *, same_noise: bool = False) -> np.ndarray:
        """Answers from many samples in blocks of some, joined by their sizes: memory does not grow with the samples."""
        found, sizes = [], [min(SAMPLES_AT_ONCE, num_samples - i) for i in range(0, num_samples, SAMPLES_AT_ONCE)]
        of_every_class = of_block in (estimates.log_joint_of, estimates.log_likelihood_of)
        at_once = 1 if of_every_class else SAMPLES_OF_A_FULL_BATCH
        rows = max(1, self.batch_size * at_once // max(at_once, sizes[0]))
        for block, size in enumerate(sizes):
            seed = self.seed if block == 0 else seeds.fold(self.seed, seeds.Draw.EVALUATION, block)
            found.append(np.concatenate(self._batches(self._of_block(of_block, size), examples, rows, seed,
                                                      same_noise=same_noise)))
        return join(found, sizes) if len(found) > 1 else found[0]

    def _of_block(self, of_block: Callable, size: int) -> Callable:
        """Returns the compiled answer from `size` samples, the same at every call."""
        if (of_block, size) not in self._blocks:
            self._blocks[of_block, size] = self._compile(lambda seen, seed, described: of_block(
                self.model, seen, size, seed, described=described))
        return self._blocks[of_block, size]

    def _compile(self, function: Callable) -> Callable:
        """Compiles (seen, seed, described) -> answers, for any number of examples."""
        def answer(seen: tf.Tensor, seed: tf.Tensor, *described: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
            return function(seen, seed, estimates.Described(*described))

        @functools.cache
        def compiled(*widths: int) -> Callable:
            seen, *described = (tf.TensorSpec([None, width]) for width in widths)
            return tf.function(answer, [seen, tf.TensorSpec([2], tf.int32), *described], autograph=False)

        return lambda seen, seed, *described: compiled(*(v.shape[1] for v in (seen, *described)))(
            seen, seed, *described)

    def _batches(self, function: Callable, examples: Examples, rows: int | None = None, seed: tf.Tensor | None = None,
                 *, same_noise: bool = False) -> list:
        size, seed = rows or self.batch_size, self.seed if seed is None else seed
        found = []
        for i in range(0, len(examples), size):
            seen, *described = (tf.constant(v) for v in self.prepared(examples.take(slice(i, i + size)).x)
                                if v is not None)
            answer = function(seen, seed if same_noise else seeds.fold(seed, i), *described)
            found.append(tf.nest.map_structure(lambda t: t.numpy(), answer))
        return found


def of(model: tf.Module, prepared: Prepared, config: Config) -> Evaluator:
    """Returns what evaluates the model as `config` says."""
    return Evaluator(model, prepared, num_samples=config.num_eval_samples, batch_size=config.eval_batch_size,
                     seed=config.seed, classifier=config.classifier)


def probs_and_entropy(model: tf.Module, seen: tf.Tensor, num_samples: int, seed: tf.Tensor, *,
                      described: estimates.Described = estimates.AS_SEEN) -> tf.Tensor:
    """mean_K q(y|a_k,x) [B,C] and, in one more column, mean_K H(q(y|a_k,x)), nats: the samples of `classify`."""
    del described
    if isinstance(model, engine.GenerativeModel):
        x = model.observe(seen)
        probs = model.q_y(x, model.sample_auxiliary(x, num_samples, seed, shared_noise=True).value).probs_parameter()
    else:
        probs = model.classify(seen, num_samples, seed)[None]
    entropy = -tf.reduce_sum(tf.math.xlogy(probs, probs), -1, keepdims=True)
    return tf.reduce_mean(tf.concat([probs, entropy], -1), 0)


def _bound(model: tf.Module, seen: tf.Tensor, seed: tf.Tensor, described: estimates.Described, *,
           shared_noise: bool) -> tf.Tensor:
    return estimates.unlabelled_bound_of(model, seen, 1, seed, described=described, shared_noise=shared_noise)
