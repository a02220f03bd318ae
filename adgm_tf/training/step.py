"""One training step: batch, loss, gradient, update, under any strategy."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf
import tf_keras

from adgm_tf.config import Config
from adgm_tf.data.splits import Splits
from adgm_tf.host import errors
from adgm_tf.model import construction, precision, seeds, statistics
from adgm_tf.model.contract import Batch, ExampleSpec, Features
from adgm_tf.model.phase import Phase
from adgm_tf.objectives import loss
from adgm_tf.training import blocks, feed, schedules, systems
from adgm_tf.training.plan import Plan


class Trainer:
    """A model, its optimiser and the compiled loop of many steps.

    Args:
      config: the run's configuration.
      plan: what it comes to.
      splits: the data.
      strategy: where it runs; everything is created inside its scope.
      system: how the model is built and what its loss is made of; that of `config.model` if not given.
      features: what stands between the examples and the model; nothing if not given.
    """

    def __init__(self, config: Config, plan: Plan, splits: Splits, strategy: tf.distribute.Strategy, *,
                 system: systems.System | None = None, features: Features | None = None):
        self.config, self.plan, self.strategy = config, plan, strategy
        self.system = system or systems.of(config.model)
        self.options = dataclasses.replace(config, classification_weight=plan.classification_weight)
        self.is_table = splits.spec.is_table
        self.sizes = {"labelled": plan.labelled_batch_size, "unlabelled": plan.unlabelled_batch_size,
                      "all": plan.labelled_batch_size + plan.unlabelled_batch_size}
        self.seed = seeds.of_run(config.seed)
        self.syncs = syncs_statistics(config, strategy.num_replicas_in_sync)
        with strategy.scope():
            self.model = self.system.build(config, splits, features)
            self.schedule = schedules.Schedule(config, plan.steps_per_epoch, plan.num_steps)
            self.optimizer = tf_keras.optimizers.legacy.Adam(self.schedule)
            self.optimizer._create_all_weights(self.model.trainable_variables)
            self.averages = averages_of(self.model, config)
        self.batches = feed.Batches(
            plan.labelled_batch_size, plan.unlabelled_batch_size, len(splits.labelled), len(splits.unlabelled),
            strategy.num_replicas_in_sync, float(splits.spec.preprocess.scaling.scale) if splits.is_image else 1.0,
            binarizes(config, splits, features), config.input_noise, config.unlabelled_order == "shuffled", self.seed,
            config.shift, splits.x_shape)
        self.feed = blocks.feed_of(config, splits, self.batches, strategy,
                                   feed.propagated(splits) if plan.propagates else None)
        self._gradients = tf.function(self.loss_and_gradients, autograph=False, jit_compile=True) if config.xla \
            else self.loss_and_gradients
        self.term_names = self._traced_names(splits.num_classes)
        extra = ("weight_prior",) if config.weight_prior else ()
        self.names = (*self.term_names, *extra, "gradient_norm", "learning_rate")
        self._finite = tf.function(self._all_finite, autograph=False)
        self._vote = tf.function(self._count_votes, autograph=False)
        self._train = tf.function(self._steps, autograph=False, reduce_retracing=True)

    def _traced_names(self, num_classes: int) -> tuple[str, ...]:
        """The names of the terms, from one pass over a batch of zeros that is traced and never run."""
        found: list[str] = []

        def trace(batch: Batch) -> None:
            terms = self.system.terms(self.model, batch, self.options, self.seed, phase=Phase.EVALUATE)
            found.extend(term.name for term in terms)

        replicas, sizes = self.strategy.num_replicas_in_sync, self.model.sizes
        rows, labelled = self.sizes["all"] // replicas, self.sizes["labelled"] // replicas
        seen_dim = getattr(self.model, "seen_dim", sizes.x_dim)
        trace_function = tf.function(trace, autograph=False)
        propagated = tf.TensorSpec([rows - labelled, num_classes])
        trace_function.get_concrete_function(Batch(
            tf.TensorSpec([rows, seen_dim]), tf.TensorSpec([rows, sizes.x_dim]),
            tf.TensorSpec([rows, sizes.x_dim]) if self.is_table else None, tf.TensorSpec([labelled], tf.int32),
            propagated if self.plan.propagates else None,
            tf.TensorSpec([rows, seen_dim]) if self.plan.sees_twice else None))
        if twice := sorted({name for name in found if found.count(name) > 1}):
            raise errors.UserError(f"extra_terms={twice[0]}: is the name of another term of the loss")
        return (*found, "loss")

    @property
    def arrays(self) -> feed.TrainingArrays:
        """The training arrays on the device, or those of the block that the next step is in."""
        return self.feed.at(self.step, self.step + 1)[0]

    @property
    def sees_labels(self) -> bool:
        """Whether the classes that the model names are those of the data."""
        return self.plan.labelled_batch_size > 0

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return int(self.optimizer.iterations.numpy())

    def train(self, num_steps: int) -> tuple[dict[str, float], dict[str, float]]:
        """Takes `num_steps` steps in one call; stops inside it after the first step whose terms are not all finite.

        Returns:
          The mean of every term over the steps taken, and the terms of the last of them.
        """
        start, end = self.step, self.step + num_steps
        sums = last = tf.zeros([len(self.names)])
        taken, going = start, True
        while going and taken < end:
            arrays, until = self.feed.at(taken, end)
            wanted = min(until, end) - taken
            sums, last, count = self._train(tf.constant(taken, tf.int64), tf.constant(wanted, tf.int64), arrays,
                                            (sums, last))
            taken += int(count)
            going = int(count) == wanted
        mean = sums.numpy() / max(taken - start, 1)
        return tuple(dict(zip(self.names, v.tolist(), strict=True)) for v in (mean, last.numpy()))

    def weights_are_finite(self) -> bool:
        """Whether all weights are: a last step with a finite loss may still have spoilt them."""
        return bool(self._finite())

    def _all_finite(self) -> tf.Tensor:
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in self.model.trainable_variables])

    @contextlib.contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Puts the averages, if there are any, in the place of the weights for as long as the block lasts."""
        kept = [tf.identity(v) for v, _ in zip(self.model.trainable_variables, self.averages, strict=False)]
        for variable, average in zip(self.model.trainable_variables, self.averages, strict=False):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self.model.trainable_variables, kept, strict=False):
                variable.assign(value)

    def any_worker(self, flag: bool) -> bool:
        """Whether `flag` is set on any worker: all of them get the same answer."""
        if self.strategy.num_replicas_in_sync == 1:
            return flag
        votes = self._vote(tf.constant(float(flag)))
        return float(votes) > 0

    def _count_votes(self, vote: tf.Tensor) -> tf.Tensor:
        def total(v: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(v))

        return self.strategy.experimental_local_results(self.strategy.run(total, args=(vote,)))[0]

    def _steps(self, start: tf.Tensor, num_steps: tf.Tensor, arrays: feed.TrainingArrays,
               before: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """Takes steps; returns the sums of the terms with those of `before`, the last terms, and how many steps."""
        rows = self.feed.rows(start, num_steps)

        def body(sums, last, count):
            del last
            of_step = feed.RowNumbers(*(part[count] for part in rows))
            report = self.strategy.run(self._replica_step, args=(arrays, of_step, start + count))
            report = self.strategy.experimental_local_results(report)[0]
            self._update_averages(start + count)
            return sums + report, report, count + 1

        def going(sums, last, count):
            del sums
            return (count < num_steps) & tf.reduce_all(tf.math.is_finite(last))

        return tf.while_loop(going, body, (*before, tf.zeros([], tf.int64)), parallel_iterations=1)

    def _replica_step(self, arrays: feed.TrainingArrays, rows: feed.RowNumbers, step: tf.Tensor) -> tf.Tensor:
        """Takes one step on a replica's part of the rows; returns the terms of all, in the order of `names`."""
        context = tf.distribute.get_replica_context()
        replica = tf.convert_to_tensor(context.replica_id_in_sync_group)
        seed = seeds.fold(self.seed, step, replica)
        batch = self.batches.take(arrays, rows, replica, seed)
        if self.config.features_run:
            batch = self._with_features(batch, seeds.fold(seed, seeds.Draw.FEATURES))
        again = self.batches.changed(batch.seen, seeds.fold(seed, seeds.Draw.AGAIN)) if self.plan.sees_twice else None
        batch = batch._replace(seen=self.batches.changed(batch.seen, seed), again=again)
        terms, gradients = self._gradients(batch, seed, self._warmth(step))
        if self.strategy.num_replicas_in_sync > 1:
            terms, gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, (terms, gradients))
        variables = self.model.trainable_variables
        report = dict(zip(self.term_names, tf.unstack(terms), strict=True))
        if self.config.weight_prior:
            gradients = [g + v / self.plan.num_train for g, v in zip(gradients, variables, strict=True)]
            report["weight_prior"] = tf.add_n([tf.nn.l2_loss(v) for v in variables]) / self.plan.num_train
            report["loss"] += report["weight_prior"]
        report["gradient_norm"] = tf.linalg.global_norm(gradients)
        if self.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.clip_norm, use_norm=report["gradient_norm"])
        report["learning_rate"] = self.schedule(step)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True), experimental_aggregate_gradients=False)
        return tf.stack([report[name] for name in self.names])

    def _warmth(self, step: tf.Tensor) -> loss.Warmth:
        config = self.config
        return loss.Warmth(schedules.warm_up(step, config.kl_warmup_steps),
                           schedules.warm_up(step, config.consistency_warmup_steps),
                           schedules.radius_factor(step, config.consistency_radius_start, self.plan.num_steps),
                           schedules.propagation_factor(step, self.plan.num_steps))

    def _with_features(self, batch: Batch, seed: tf.Tensor) -> Batch:
        L = batch.y.shape[0]
        x = tf.concat([self.model.observe(batch.x[:L], seeds.fold(seed, 0)),
                       self.model.observe(batch.x[L:], seeds.fold(seed, 1))], 0)
        return batch._replace(seen=x, x=x)

    def loss_and_gradients(self, batch: Batch, seed: tf.Tensor,
                           warmth: loss.Warmth = loss.WARM) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One replica's share of the terms, in the order of `term_names`, and of the gradient of J.

        Sums over examples are divided by the global batch sizes, so that shares add up over replicas.
        """
        variables = self.model.trainable_variables
        with (tf.GradientTape() as tape, precision.weights_cast_once(),
              statistics.of_all_replicas(self.syncs)):
            terms = self.system.terms(self.model, batch, self.options, seed, warmth=warmth)
            total, report = loss.total(terms, self.sizes)
        gradients = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.stack([*report.values(), total]), [tf.convert_to_tensor(g) for g in gradients]

    def _update_averages(self, step: tf.Tensor) -> None:
        """average += (1 - decay) (weight - average), decay rising from 1/10 to that of the averages or the teacher."""
        def follow(pairs, decay):
            steps = tf.cast(step, tf.float32)
            rate = 1 - tf.minimum(decay, (1 + steps) / (10 + steps))
            for average, variable in pairs:
                self.strategy.extended.update(average, lambda a, v: a.assign_add(rate * (v - a)), args=(variable,))

        follow(zip(self.averages, self.model.trainable_variables, strict=False), self.config.ema_decay)
        follow(getattr(self.model, "teacher_pairs", ()), self.config.teacher_decay)


def syncs_statistics(config: Config, num_replicas: int) -> bool:
    """Whether the statistics of a batch are those of all replicas.

    Raises:
      UserError: XLA compiles the step, and cannot reduce within it.
    """
    has_some = config.normalization == "batch" or config.balance_weight > 0 or systems.of(config.model).row is None
    if config.xla and config.sync_statistics and num_replicas > 1 and has_some:
        raise errors.UserError(f"sync_statistics=true: not with xla=true on {num_replicas} replicas, whose compiled "
                               "step cannot reduce; use --nosync_statistics or --noxla")
    return config.sync_statistics and not config.xla


def averages_of(model: tf.Module, config: Config) -> list[tf.Variable]:
    """Returns the averages of the weights, at first the weights themselves; none unless they are asked for."""
    return [tf.Variable(v, trainable=False) for v in (model.trainable_variables if config.ema_decay else [])]


def binarizes(config: Config, spec: ExampleSpec, features: Features | None = None) -> bool:
    """Whether training draws binary pixels; where an m1 sees them first, whether its own training did.

    Raises:
      UserError: real vectors cannot be binarised.
    """
    if config.binarization == "bernoulli" and not spec.is_image:
        raise errors.UserError(f"binarization=bernoulli: {config.dataset} has real vectors; use none")
    if config.binarization != "auto":
        return config.binarization == "bernoulli"
    if features is not None:
        return features.binarizes
    if systems.of(config.model).row is None or not spec.is_image:
        return False
    return construction.likelihood(config, spec).name == "bernoulli"
