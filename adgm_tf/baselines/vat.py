"""Virtual adversarial training: a perceptron whose answer must not change in the direction in which it would most.

loss = mean_labelled( C ) + lambda mean( KL(q(y|x) || q(y|x+r)) ) + weight mean_unlabelled( H(q(y|x)) )

lambda and the length of r are `consistency_weight` and `consistency_radius`; `entropy_weight` is 0 in 2015, 1 in 2017.
`balance_weight`, which the authors do not have, adds KL( mean_unlabelled q(y|x) || uniform ).

Reference: Miyato et al. 2015, arXiv:1507.00677, and 2017, arXiv:1704.03976.
"""

from __future__ import annotations

import itertools
import math

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float

from adgm_tf.baselines import perceptron
from adgm_tf.model import seeds
from adgm_tf.model.contract import Auxiliary, Batch, ExampleSpec
from adgm_tf.model.phase import Phase
from adgm_tf.objectives import bounds, loss, regularisers
from adgm_tf.objectives.loss import Term
from adgm_tf.options import ModelOptions, ObjectiveOptions

tfd = tfp.distributions

# The authors' network for 100 labels. Theirs for all labels, 1200, 600, 300, 150, learns more slowly from few.
HIDDEN_UNITS = (1200, 1200)


class VirtualAdversarial(tf.Module):
    """q(y|x): hidden layers relu(gamma norm(W h) + beta), and logits gamma norm(W h) + beta.

    Without normalised logits the term is least where every unlabelled example gets the same answer, and training ends
    there; the authors' code normalises them too. The class keeps as much of the models' contract as classification and
    consistency see.

    Args:
      sizes: its dimensions.
      seed: seed of the initial weights.
    """

    has_classes, is_generative = True, False

    def __init__(self, sizes: perceptron.LayerSizes, seed: int):
        super().__init__(name="vat")
        self.sizes, self.input_dim = sizes, sizes.x_dim
        self.log_prior = [-math.log(sizes.num_classes)] * sizes.num_classes
        self.kernels = [perceptron.kernel(fan_in, n, seed, i)
                        for i, (fan_in, n) in enumerate(itertools.pairwise(sizes.layers))]
        self.gammas = [tf.Variable(tf.ones([n])) for n in sizes.layers[1:]]
        self.betas = [tf.Variable(tf.zeros([n])) for n in sizes.layers[1:]]
        self.running = [perceptron.Running(n) for n in sizes.layers[1:]]

    def logits(self, x: Float[tf.Tensor, "B D"], phase: Phase = Phase.EVALUATE) -> Float[tf.Tensor, "B C"]:
        """Logits of q(y|x); in training by the statistics of this batch."""
        h, logits = x, None
        for weights, gamma, beta, running in zip(self.kernels, self.gammas, self.betas, self.running, strict=True):
            h = perceptron.product(h, weights, self.sizes.compute_dtype)
            moments = perceptron.moments_of(h) if phase.training else running.moments()
            if phase.moves_averages:
                running.update(moments)
            logits = gamma * perceptron.normalized(h, moments) + beta
            h = tf.nn.relu(logits)
        return logits

    def sample_auxiliary(self, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor,
                         phase: Phase = Phase.EVALUATE) -> Auxiliary:
        """No a: A = 0."""
        del seed, phase
        return Auxiliary(tf.zeros([1, tf.shape(x)[0], 1, 0]), tf.zeros([1, tf.shape(x)[0], 1]), num_samples)

    def q_y(self, x: Float[tf.Tensor, "B D"], a: Float[tf.Tensor, "K B 1 A"], phase: Phase = Phase.EVALUATE, *,
            noise_seed: tf.Tensor | None = None) -> tfd.Categorical:
        """q(y|x), batch [1,B]."""
        del a, noise_seed
        return tfd.Categorical(logits=self.logits(x, phase)[None])

    def classify(self, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
        """q(y|x): probabilities [B,C]."""
        del num_samples, seed
        return tf.nn.softmax(self.logits(x))


def build(options: ModelOptions, spec: ExampleSpec) -> VirtualAdversarial:
    """Builds the classifier for examples of `spec`."""
    return VirtualAdversarial(perceptron.layers_of(options, spec, HIDDEN_UNITS), options.seed)


def terms(model: VirtualAdversarial, batch: Batch, options: ObjectiveOptions, seed: tf.Tensor, *,
          warmth: loss.Warmth = loss.WARM, phase: Phase = Phase.TRAIN) -> list[Term]:
    """The terms of the loss.

    Labelled and unlabelled examples are normalised apart. The running statistics follow the unlabelled examples as they
    are, not perturbed, or the labelled if there are no others.
    """
    L = batch.y.shape[0]
    parts = [x for x in (batch.seen[:L], batch.seen[L:]) if x.shape[0]]
    q_ys = [tfd.Categorical(logits=model.logits(x, phase if x is parts[-1] else phase.aside)[None]) for x in parts]
    found = [Term("classification", bounds.classification(q_ys[0], batch.y), "labelled", options.classification_weight)]
    if options.consistency == "vat":
        values = tf.concat([regularisers.virtual_adversarial(
            model, x, q_y, regularisers.Noise(1, seed, phase=phase.aside), seeds.fold(seed, seeds.Draw.DIRECTION, i),
            radius=warmth.radius * options.consistency_radius)
            for i, (x, q_y) in enumerate(zip(parts, q_ys, strict=True))], 0)
        found.append(Term("consistency", values, "all", warmth.classifier * options.consistency_weight))
    if batch.seen.shape[0] > L:
        found += [Term("unlabelled/entropy", q_ys[-1].entropy()[0], "unlabelled",
                       warmth.classifier * options.entropy_weight),
                  Term("unlabelled/balance", regularisers.class_balance(q_ys[-1], model.log_prior), "unlabelled",
                       warmth.classifier * options.balance_weight)]
    return found
