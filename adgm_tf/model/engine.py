"""The model that a row of the family stands for: one contract for all of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from jaxtyping import Float, Int

from adgm_tf.model import densities, seeds
from adgm_tf.model.conditionals import Conditional
from adgm_tf.model.contract import Auxiliary, Encoding, Features, Terms
from adgm_tf.model.family import Row
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import Trunk

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Sizes:
    """D, A, Z and C, and the densities and trunks of the conditionals.

    Attributes:
      x_dim: D, units of x that p describes.
      auxiliary_dim: A.
      latent_dim: Z.
      num_classes: C.
      likelihood: density of p(x|.).
      trunk: layers of the conditionals.
      seen_dim: units of what q sees of x; D if None.
      class_prior: p(y); uniform if empty.
      classifier_trunk: layers of q(y|a,x); those of the others if None.
      has_teacher: whether averaged weights of q(y|a,x) are kept.
    """

    x_dim: int
    auxiliary_dim: int
    latent_dim: int
    num_classes: int
    likelihood: densities.Density
    trunk: Trunk
    seen_dim: int | None = None
    class_prior: tuple[float, ...] = ()
    classifier_trunk: Trunk | None = None
    has_teacher: bool = False


class GenerativeModel(tf.Module):
    """A model of the family.

    Args:
      row: its parents.
      sizes: its dimensions.
      seed: seed of the initial weights.
      frozen: keys of the conditionals that keep their initial weights, such as q_a.
      wide: keys of those whose parameters of the density start as wide as the hidden layers, not close to zero.
      features: takes the examples to the x that the model observes, and back; None if they are x.
    """

    def __init__(self, row: Row, sizes: Sizes, seed: int, *, frozen: tuple[str, ...] = (),
                 wide: tuple[str, ...] = (), features: Features | None = None):
        super().__init__(name="model")
        self.frozen, self.features = frozen, features
        self.seen_dim = sizes.seen_dim or sizes.x_dim
        self.input_dim = features.input_dim if features else self.seen_dim
        self.row, self.sizes = row if sizes.auxiliary_dim else row.without_auxiliary(), sizes
        q_a = "deterministic" if self.row.deterministic else "gaussian"
        of = dict(q_a=q_a, q_y="categorical", q_z="gaussian", p_a="gaussian", p_x=sizes.likelihood)
        self.conditionals = {key: self._conditional(key, density, seed, wide_start=key in wide)
                             for key, density in of.items() if getattr(self.row, key)}
        self.teacher = None
        if sizes.has_teacher and self.row.q_y is not None:
            self.teacher = self._conditional("q_y", "categorical", seed)
        prior = sizes.class_prior or (1 / max(sizes.num_classes, 1),) * sizes.num_classes
        self.log_prior = [math.log(p) for p in prior]
        self.create_variables()

    is_generative = True

    def _conditional(self, key: str, density: str | densities.Density, seed: int, *,
                     wide_start: bool = False) -> Conditional:
        """The conditional `key`; q sees what it is given of x, p describes x."""
        sizes, parents = self.sizes, getattr(self.row, key)
        dims = dict(a=sizes.auxiliary_dim, x=self.seen_dim if key[0] == "q" else sizes.x_dim, y=sizes.num_classes,
                    z=sizes.latent_dim)
        trunk = sizes.classifier_trunk or sizes.trunk if key == "q_y" else sizes.trunk
        return Conditional(f"{key}_given_{parents}", {p: dims[p] for p in parents}, key[2], dims[key[2]], density,
                           trunk=trunk, seed=seed, wide_start=wide_start)

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The weights that training changes: all but those of the frozen conditionals."""
        kept = [*(self.conditionals[key] for key in self.frozen), *filter(None, (self.features, self.teacher))]
        refs = {v.ref() for module in kept for v in module.variables}
        return tuple(v for v in super().trainable_variables if v.ref() not in refs)

    @property
    def teacher_pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """The weights of the teacher, each with the weight of q(y|a,x) that it follows."""
        if self.teacher is None:
            return []
        return list(zip(self.teacher.trainable_variables, self.conditionals["q_y"].trainable_variables, strict=True))

    @property
    def has_classes(self) -> bool:
        """Whether the model has a y."""
        return self.row.q_y is not None

    def observe(self, examples: Float[tf.Tensor, "B E"], seed: tf.Tensor | None = None, *,
                shared_noise: bool = False) -> Float[tf.Tensor, "B D"]:
        """x: the examples themselves, or their features, drawn with a seed, their mean without."""
        return self.features(examples, seed, shared_noise=shared_noise) if self.features else examples

    def render(self, x: Float[tf.Tensor, "B D"]) -> Float[tf.Tensor, "B E"]:
        """The way back from x to examples."""
        return self.features.render(x) if self.features else x

    def sample_auxiliary(self, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor,
                         phase: Phase = Phase.EVALUATE, *, shared_noise: bool = False) -> Auxiliary:
        """a_k ~ q(a|x), k = 1..K.

        Args:
          x: examples [B,D].
          num_samples: K.
          seed: int32 [2]; the same seed gives the same noise for any x of the same shape.
          phase: what batch normalisation does.
          shared_noise: whether the examples share theirs, so that no answer depends on the rest of the batch.

        Returns:
          The samples and their log densities.
        """
        no_density = tf.zeros([1, tf.shape(x)[0], 1])
        if self.row.q_a is None:
            return Auxiliary(tf.zeros([1, tf.shape(x)[0], 1, 0]), no_density, num_samples)
        q_a_given_x = self.conditionals["q_a"]({"x": _over_samples(x)}, phase=phase)
        if self.row.deterministic:
            return Auxiliary(q_a_given_x.mean(), no_density, num_samples)
        a = draw(q_a_given_x, num_samples, seed, shared_noise=shared_noise)
        return Auxiliary(a, q_a_given_x.log_prob(a), num_samples)

    def q_y(self, x: Float[tf.Tensor, "B D"], a: Float[tf.Tensor, "K B 1 A"], phase: Phase = Phase.EVALUATE, *,
            noise_seed: tf.Tensor | None = None, teacher: bool = False) -> tfd.Categorical:
        """q(y|a,x), batch [K,B]; [1,B] where y has no a among its parents or a is a function of x.

        Args:
          x: examples [B,D].
          a: samples of a.
          phase: what batch normalisation does.
          noise_seed: int32 [2], of the noise between the layers; there is none without it.
          teacher: whether averaged weights answer in the place of the weights.

        Returns:
          The distribution.
        """
        parents = {"x": _over_samples(x), "a": a}
        conditional = self.teacher if teacher else self.conditionals["q_y"]
        q_y_given_ax = conditional({p: parents[p] for p in self.row.q_y}, phase=phase, noise_seed=noise_seed)
        return tfd.Categorical(logits=tf.squeeze(q_y_given_ax.logits_parameter(), 2))

    def terms(self, x: Float[tf.Tensor, "B D"], y: Int[tf.Tensor, "#K #B S"] | None, auxiliary: Auxiliary,
              seed: tf.Tensor, phase: Phase = Phase.EVALUATE, *, shared_noise: bool = False,
              seen: Float[tf.Tensor, "B seen"] | None = None,
              observed: Float[tf.Tensor, "B D"] | None = None) -> Terms:
        """The terms of log p(x,y,z,a) - log q(a|x) - log q(z|.), z ~ q(z|.) drawn inside.

        Args:
          x: examples [B,D].
          y: class indices, broadcastable to [K,B,S]; None where the model has no y, and then S = 1.
          auxiliary: samples of a given the same x, or `seen`.
          seed: int32 [2].
          phase: what batch normalisation does.
          shared_noise: whether the examples and classes share the noise of z.
          seen: what q(z|.) sees of the examples; x itself if not given.
          observed: 1 where a unit of x is known, 0 where p(x|.) says nothing of it and p(a|.) sees 0; None if all are.

        Returns:
          The terms, each broadcastable to [K,B,S].
        """
        given = {"x": _over_samples(x), "y": y, "a": auxiliary.value}
        given_seen = given if seen is None else given | {"x": _over_samples(seen)}
        q_z = self._of("q_z", given_seen, phase)
        z = draw(q_z, auxiliary.num_samples, seed, shared_noise=shared_noise)
        given["z"] = z
        reconstruction = densities.log_prob(self._of("p_x", given, phase), given["x"], observed)
        p_z = densities.standard_normal(self.sizes.latent_dim)
        kl_a = tf.zeros([1, 1, 1])
        if self.row.p_a is not None:
            known = given if observed is None else given | {"x": _over_samples(x * observed)}
            kl_a = auxiliary.log_q - self._p_a(known, phase).log_prob(auxiliary.value)
        log_p_y = tf.zeros([1, 1, 1]) if y is None else tf.gather(tf.constant(self.log_prior), y)
        return Terms(reconstruction, q_z.log_prob(z) - p_z.log_prob(z), kl_a, log_p_y)

    def log_weight(self, x: Float[tf.Tensor, "B D"], y: Int[tf.Tensor, "#K #B S"] | None, auxiliary: Auxiliary,
                   seed: tf.Tensor, **given: Any) -> Float[tf.Tensor, "K B S"]:
        """log p(x,y,z,a) - log q(a|x) - log q(z|.) [K,B,S], nats; arguments as of `terms`."""
        return self.terms(x, y, auxiliary, seed, **given).log_weight()

    def classify(self, x: Float[tf.Tensor, "B D"], num_samples: int, seed: tf.Tensor) -> Float[tf.Tensor, "B C"]:
        """mean_K q(y|a_k,x), a_k ~ q(a|x): probabilities [B,C].

        The noise of a is shared by the examples, so that an answer does not depend on the rest of the batch.
        """
        x = self.observe(x)
        a = self.sample_auxiliary(x, num_samples, seed, shared_noise=True).value
        return tf.reduce_mean(self.q_y(x, a).probs_parameter(), 0)

    def generate(self, y: Int[tf.Tensor, " B"] | None, z: Float[tf.Tensor, "B Z"],
                 seed: tf.Tensor | None = None) -> Float[tf.Tensor, "B D"]:
        """E[x|.] [B,D] given classes y [B] and z [B,Z]; a ~ p(a|.) where x depends on it, its mean without a seed."""
        given = {"z": _over_samples(z), "y": None if y is None else y[None, :, None]}
        if "a" in self.row.p_x:
            p_a = self._p_a(given)
            if seed is None:
                given["a"] = p_a.mean()
            else:
                # The prior is one for all examples, and each draws an a of its own.
                shape = [tf.shape(z)[0]] if self.row.p_a == "" else []
                given["a"] = tf.reshape(p_a.sample(shape, seed=seed), [1, -1, 1, self.sizes.auxiliary_dim])
        return self.render(self._of("p_x", given).mean()[0, :, 0])

    def encode(self, x: Float[tf.Tensor, "B D"], y: Int[tf.Tensor, " B"] | None = None) -> Encoding:
        """E[a|x] and E[z|.] with a at its mean; y is the most probable class unless given, zeros without classes."""
        x = self.observe(x)
        a = self._mean_auxiliary(x)
        if y is None:
            y = self.q_y(x, a).mode()[0] if self.has_classes else tf.zeros([tf.shape(x)[0]], tf.int32)
        z = self._of("q_z", {"x": _over_samples(x), "a": a, "y": y[None, :, None]}).mean()
        return Encoding(a[0, :, 0], z[0, :, 0], y)

    def reconstruct(self, x: Float[tf.Tensor, "B seen"]) -> Float[tf.Tensor, "B D"]:
        """E[x|.] [B,D] at the encoding of x."""
        code = self.encode(x)
        given = {"a": _over_samples(code.a), "y": code.y[None, :, None], "z": _over_samples(code.z)}
        return self.render(self._of("p_x", given).mean()[0, :, 0])

    def kl_per_unit(self, seen: Float[tf.Tensor, "B S"], seed: tf.Tensor, x: Float[tf.Tensor, "B D"] | None = None,
                    observed: Float[tf.Tensor, "B D"] | None = None) -> dict[str, tf.Tensor]:
        """KL(q(a|x) || p(a|.)) and KL(q(z|.) || p(z)) of each unit, summed over the examples: {letter: [units]}, nats.

        y is the most probable class, other parents are drawn from q; x is what q sees unless given.
        """
        seen = self.observe(seen, seeds.fold(seed, seeds.Draw.FEATURES))
        auxiliary = self.sample_auxiliary(seen, 1, seeds.fold(seed, seeds.Draw.AUXILIARY))
        y = self.q_y(seen, auxiliary.value).mode()[:, :, None] if self.has_classes else None
        given = {"x": _over_samples(seen), "y": y, "a": auxiliary.value}
        q_z = self._of("q_z", given)
        given["z"] = draw(q_z, 1, seeds.fold(seed, seeds.Draw.LATENT))
        pairs = {"z": (q_z, densities.standard_normal(self.sizes.latent_dim))}
        if self.row.p_a is not None:
            x = seen if x is None else x
            described = given | {"x": _over_samples(x if observed is None else x * observed)}
            pairs["a"] = (self._of("q_a", given), self._p_a(described))
        return {letter: tf.reduce_sum(_normal_kl(q, p), [0, 1, 2]) for letter, (q, p) in pairs.items()}

    def _of(self, key: str, given: dict[str, tf.Tensor], phase: Phase = Phase.EVALUATE) -> tfd.Distribution:
        return self.conditionals[key]({p: given[p] for p in getattr(self.row, key)}, phase=phase)

    def _p_a(self, given: dict[str, tf.Tensor], phase: Phase = Phase.EVALUATE) -> tfd.Distribution:
        if self.row.p_a == "":
            return densities.standard_normal(self.sizes.auxiliary_dim)
        return self._of("p_a", given, phase)

    def _mean_auxiliary(self, x: tf.Tensor) -> tf.Tensor:
        if self.row.q_a is None:
            return tf.zeros([1, tf.shape(x)[0], 1, 0])
        return self._of("q_a", {"x": _over_samples(x)}).mean()

    def create_variables(self) -> None:
        """Calls every conditional once, so that all variables exist."""
        x, seen, seed = tf.zeros([1, self.sizes.x_dim]), tf.zeros([1, self.seen_dim]), seeds.of_run(0)
        auxiliary = self.sample_auxiliary(seen, 1, seed)
        y = tf.zeros([1, 1, 1], tf.int32) if self.has_classes else None
        self.terms(x, y, auxiliary, seed, seen=seen)
        if self.has_classes:
            self.q_y(seen, auxiliary.value)
        if self.teacher is not None:
            self.q_y(seen, auxiliary.value, teacher=True)


def _over_samples(value: tf.Tensor) -> tf.Tensor:
    """[B,n] -> [1,B,1,n]: the same for every sample and class."""
    return value[None, :, None, :]


def draw(q: tfd.Distribution, num_samples: int, seed: tf.Tensor, *, shared_noise: bool = False) -> tf.Tensor:
    """Draws K samples a row: [K,B,S,n] from a batch [K,B,S], or from [1,B,S] without repeating its parameters."""
    if shared_noise:
        return q.mean() + q.stddev() * seeds.normal([num_samples, 1, 1, q.event_shape[0]], seed)
    if q.batch_shape[0] == num_samples:
        return q.sample(seed=seed)
    return tf.squeeze(q.sample(num_samples, seed=seed), 1)


def _normal_kl(q: tfd.Distribution, p: tfd.Distribution) -> tf.Tensor:
    """KL(N(m,s) || N(m',s')) of each unit."""
    variance, prior_variance = q.variance(), p.variance()
    return 0.5 * (tf.math.log(prior_variance / variance) + (variance + (q.mean() - p.mean()) ** 2) / prior_variance - 1)
