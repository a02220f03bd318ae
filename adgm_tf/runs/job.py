"""One training job, from the given options to the results of its run directory."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf import config as config_lib
from adgm_tf.analysis import evaluator
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.config import Config
from adgm_tf.data import catalogue
from adgm_tf.data import splits as splits_lib
from adgm_tf.host import errors, files
from adgm_tf.host.interrupts import Interrupts
from adgm_tf.runs import actions, features, fitted, results
from adgm_tf.training import checkpoints, loop, memory, systems
from adgm_tf.training import plan as plan_lib
from adgm_tf.training import strategy as strategy_lib
from adgm_tf.training.step import Trainer


def run(given: Mapping[str, Any]) -> dict[str, Any]:
    """Trains the run that the given fields of `Config` name, or goes on with it; returns its results.

    Raises:
      UserError: something given cannot be; nothing has been written then.
      Interrupted: a signal came; the run has been saved.
    """
    run_dir = _run_dir(given)
    # The lock comes first: what is read and written of the run is this process's from here on.
    with _written_to(run_dir, given) as write_dir:
        config = _settled({**given, "run_dir": str(run_dir)})
        unused = systems.check(config)
        if config.model in systems.FITTED:
            return fitted.run(config, unused)
        strategy = strategy_lib.make(config)
        splits = splits_lib.split(catalogue.load(config.dataset, config.data_dir), config)
        if (run_dir / splits_lib.FILE).exists():
            splits_lib.check(splits, run_dir)
        plan = plan_lib.make(config, splits)
        memory.check(config, splits)
        with strategy.scope():
            before = features.of(config, splits)
        trainer = Trainer(config, plan, splits, strategy, features=before)
        notes = [splits_lib.describe(splits), *plan.notes]
        print("\n".join([f"{config.model} on {config.dataset}: {config.run_dir}", *notes]), flush=True)
        return _train(config, trainer, splits, write_dir, notes)


def _run_dir(given: Mapping[str, Any]) -> pathlib.Path:
    """Returns the given run directory or a fresh one.

    Raises:
      UserError: it cannot be one.
    """
    run_dir = given.get("run_dir", "")
    files.check_local(run_dir, "run_dir")
    if not run_dir:
        if strategy_lib.has_several_workers(given.get("strategy", Config.strategy)):
            raise errors.UserError("run_dir=: must be given to several workers, the same to each")
        return pathlib.Path(fresh_run_dir(Config(**given)))
    path = pathlib.Path(run_dir)
    if path.exists() and not (path / "config.json").exists() and (not path.is_dir() or files.contents(path)):
        raise errors.UserError(f"run_dir={run_dir}: exists and holds no run; name a folder that is empty or new")
    return path


@contextlib.contextmanager
def _written_to(run_dir: pathlib.Path, given: Mapping[str, Any]) -> Iterator[pathlib.Path]:
    """Yields the locked run directory; to all but the first of several workers a folder that vanishes."""
    kind = given.get("strategy")
    if kind is None and (run_dir / "config.json").exists():
        kind = config_lib.read(run_dir).strategy
    if strategy_lib.leads(kind or Config.strategy):
        with files.held(run_dir):
            yield run_dir
    else:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield pathlib.Path(elsewhere)


def _settled(given: Mapping[str, Any]) -> Config:
    """Returns the configuration of a fresh run, or of the one in the run directory."""
    run_dir = given["run_dir"]
    if not (pathlib.Path(run_dir) / "config.json").exists():
        return Config(**given)
    config = config_lib.resume(config_lib.read(run_dir), given)
    config_lib.check_can_go_on(run_dir)
    return config


def fresh_run_dir(config: Config) -> str:
    """Returns runs/<dataset>-<model>-<time>-<process>, a folder that does not exist yet, whatever else is started."""
    now = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    name = f"runs/{config.dataset.replace(':', '-')}-{config.model}-{now}-{os.getpid()}"
    taken = (f"{name}-{i}" for i in range(2, 10**6))
    return name if not pathlib.Path(name).exists() else next(n for n in taken if not pathlib.Path(n).exists())


def _train(config: Config, trainer: Trainer, splits: splits_lib.Splits, write_dir: pathlib.Path,
           notes: list[str]) -> dict[str, Any]:
    kept = checkpoints.Checkpoints(trainer, pathlib.Path(config.run_dir), write_dir, config.keep_checkpoints)
    features = _values(trainer.model)
    for line in kept.restore():
        print(line, flush=True)
    if not all(map(np.array_equal, features, _values(trainer.model))):
        raise errors.UserError(f"features_run={config.features_run}: its m1 has other weights than the one that this "
                               "run was begun with")
    if trainer.step > trainer.plan.num_steps:
        raise errors.UserError(f"num_steps={trainer.plan.num_steps}: the run has taken {trainer.step} steps already")
    if (finished := _finished(config, trainer)) is not None:
        print("has been trained", flush=True)
        return finished
    if trainer.step:
        print(f"goes on from step {trainer.step}", flush=True)
    with files.whole_or_not_at_all(write_dir):
        config_lib.write(config, write_dir)
        splits_lib.write(splits, write_dir)
        record = actions.Record(write_dir, trainer.step)
        actions.describe_run(record, config, notes)
    answers = evaluator.of(trainer.model, splits.scaling, config)
    validation = actions.Validation(record, trainer, answers, splits, kept, config.track_test)
    planned = [
        loop.Action(config.eval_every, validation),
        loop.Action(None, actions.Log(record, trainer, validation, config.steps_per_call)),
        loop.Action(config.checkpoint_every, lambda event: kept.save()),
    ]
    if trainer.model.is_generative:
        pictures = actions.Pictures(record, trainer, answers, splits, config.seed)
        planned.insert(2, loop.Action(config.eval_every, pictures))
    with Interrupts() as interrupts:
        try:
            profiler = loop.Profiler(str(write_dir / "train"), config.profile_steps)
            spent = loop.train(trainer, planned, interrupts, config.steps_per_call, profiler, record.seconds)
        except loop.Interrupted as stop:
            kept.save()
            stop.run_dir = config.run_dir
            raise
    _check_not_spoilt(trainer, answers, splits)
    measured = _results(config, trainer, splits, answers, kept, spent)
    files.write_json(write_dir / "results.json", measured)
    actions.describe_results(record, trainer.step, measured)
    return measured


def _check_not_spoilt(trainer: Trainer, evaluator: Evaluator, splits: splits_lib.Splits) -> None:
    """Makes sure that the last step, whose loss was finite before it, has left a model that says something.

    Raises:
      UserError: it has not.
    """
    pool = splits.unlabelled if len(splits.unlabelled) else splits.labelled
    some = pool.take(np.arange(min(len(pool), 100)))
    with trainer.evaluation_weights():
        found = evaluator.bound_nats(some) if trainer.model.is_generative else evaluator.probs(some)
    if not np.all(np.isfinite(found)):
        raise errors.UserError(f"loss: not finite after step {trainer.step}, the last one; a new run with a lower "
                               "--learning_rate may help")


def _values(model: systems.Model) -> list[np.ndarray]:
    """Returns the weights of the features before the model, if there are any."""
    features = getattr(model, "features", None)
    return [v.numpy() for v in features.variables] if features else []


def _finished(config: Config, trainer: Trainer) -> dict[str, Any] | None:
    """Returns the results of a run that has nothing left to do: they are those of the machine that trained it."""
    path = pathlib.Path(config.run_dir) / "results.json"
    if trainer.step < trainer.plan.num_steps or not path.is_file():
        return None
    if not config_lib.same(config_lib.read(config.run_dir), config, config_lib.RESULT, config_lib.MEASUREMENT):
        return None
    found = files.read_json(path, "run_dir")
    return found if found.get("steps") == trainer.step else None


def _results(config: Config, trainer: Trainer, splits: splits_lib.Splits, evaluator: Evaluator,
             kept: checkpoints.Checkpoints, spent: tuple[float, float]) -> dict[str, Any]:
    sees_labels = actions.sees_labels(trainer)
    with trainer.evaluation_weights():
        measured = {"model": config.model, "dataset": config.dataset, "num_labels": len(splits.labelled),
                    "num_valid_labels": len(splits.valid), "run_dir": config.run_dir,
                    "steps": trainer.step, "seconds": spent[0], "seconds_between_calls": spent[1],
                    "classification_weight": trainer.plan.classification_weight,
                    **results.measure(evaluator, splits, sees_labels)}
    if len(splits.valid):
        measured |= _best_results(trainer, splits, evaluator, kept, sees_labels)
    return measured | results.circumstances(config)


def _best_results(trainer: Trainer, splits: splits_lib.Splits, evaluator: Evaluator, kept: checkpoints.Checkpoints,
                  sees_labels: bool) -> dict[str, Any]:
    """Measures the weights that were best on the validation set and puts the last ones back.

    All workers measure or none does: reading a variable of several replicas takes all of them.
    """
    weights = [*trainer.model.variables, *trainer.averages]
    last = [tf.identity(v) for v in weights]
    step, problem = 0, ""
    try:
        try:
            step, _ = checkpoints.restore_weights(trainer.model, trainer.averages, kept.best_source)
        except errors.UserError as error:
            problem = str(error)
        if trainer.any_worker(bool(problem)):
            print(f"the best weights are not measured: {problem or 'another worker cannot read them'}", flush=True)
            return {}
        best = {f"best_valid_{k}": v for k, v in results.measure(evaluator, splits, sees_labels).items()}
        return {"best_valid_step": step, **best}
    finally:
        for variable, value in zip(weights, last, strict=True):
            variable.assign(value)
