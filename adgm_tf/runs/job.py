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
from adgm_tf.data import spec as spec_lib
from adgm_tf.data import splits as splits_lib
from adgm_tf.host import errors, files
from adgm_tf.host.interrupts import Interrupts
from adgm_tf.runs import answers as answers_lib
from adgm_tf.runs import features, fitted, results, run_page
from adgm_tf.runs import record as record_lib
from adgm_tf.runs.stored import Run
from adgm_tf.training import checkpoints, fit, loop, resolve, systems
from adgm_tf.training import strategy as strategy_lib
from adgm_tf.training.progress import Progress
from adgm_tf.training.step import Trainer
from adgm_tf.training.validation import Validation


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
        splits = splits_lib.split(catalogue.load(config.dataset, config.data_dir, config), config)
        if (run_dir / splits_lib.FILE).exists():
            splits_lib.check(splits, run_dir)
        else:
            config = resolve.resolve(config, splits, given)
        trainer = fit.prepare(config, splits, strategy, lambda: features.of(config, splits.spec))
        notes = [*_about_data(splits), splits_lib.describe(splits), *trainer.plan.notes]
        print("\n".join([f"{config.model} on {config.dataset}: {config.run_dir}", *notes]), flush=True)
        return _train(trainer, splits, write_dir, notes)


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


def _train(trainer: Trainer, splits: splits_lib.Splits, write_dir: pathlib.Path, notes: list[str]) -> dict[str, Any]:
    config = trainer.config
    kept = checkpoints.Checkpoints(trainer, pathlib.Path(config.run_dir), write_dir, config.keep_checkpoints)
    _restore(trainer, kept)
    if (finished := _finished(trainer)) is not None:
        print("the run is finished; its results are kept", flush=True)
        return finished
    if trainer.step:
        print(f"resuming from step {trainer.step}", flush=True)
    with files.whole_or_not_at_all(write_dir):
        config_lib.write(config, write_dir)
        splits_lib.write(splits, write_dir)
        spec_lib.write(splits.spec, write_dir)
        record = record_lib.Record(write_dir, trainer.step)
        record_lib.describe_run(record, config, notes)
    answers = evaluator.of(trainer.model, splits.prepared, config)
    validation = Validation(trainer, answers, splits, kept, write=lambda step, found: record.add("valid", step, found),
                            track_test=config.track_test, patience=config.patience)
    with Interrupts() as interrupts:
        try:
            profiler = loop.Profiler(str(write_dir / "train"), config.profile_steps)
            actions = _actions(trainer, splits, kept, record, validation)
            spent = (loop.Spent(record.seconds, 0.0, stopped_early=True) if _has_waited(trainer, validation) else
                     loop.train(trainer, actions, interrupts, profiler, seconds=record.seconds))
        except loop.Interrupted as stop:
            kept.save()
            stop.run_dir = config.run_dir
            raise
    kept.save()
    _check_not_spoilt(trainer, answers, splits)
    with trainer.evaluation_weights():
        found = answers_lib.measure(answers, splits, config, trainer.step)
    answers_lib.write(found, write_dir)
    measured = _results(trainer, splits, answers, kept, spent, temperature=found.fitted_temperature)
    files.write_json(write_dir / "results.json", measured)
    record_lib.describe_results(record, trainer.step, measured)
    with trainer.evaluation_weights():
        run_page.try_to_write(Run(write_dir, config, splits.spec, trainer.model, trainer.step), splits)
    return measured


def _about_data(splits: splits_lib.Splits) -> list[str]:
    """What was understood of a table, a line a column, and what the source has to say."""
    return [*(splits.spec.preprocess.describe() if splits.spec.is_table else ()), *splits.remarks]


def _restore(trainer: Trainer, kept: checkpoints.Checkpoints) -> None:
    """Goes back to the newest checkpoint, if there is one.

    Raises:
      UserError: the features are no longer those that the run was begun with, or it has taken more steps than planned.
    """
    config, features = trainer.config, _values(trainer.model)
    for line in kept.restore():
        print(line, flush=True)
    if not all(map(np.array_equal, features, _values(trainer.model))):
        raise errors.UserError(f"features_run={config.features_run}: its m1 has other weights than the one that this "
                               "run was begun with")
    if trainer.step > trainer.plan.num_steps:
        raise errors.UserError(f"num_steps={trainer.plan.num_steps}: the run has taken {trainer.step} steps already")


def _has_waited(trainer: Trainer, validation: Validation) -> bool:
    """Whether the run, as it was found, has ended early already and was cut off before its results were measured."""
    before_the_end = trainer.step < trainer.plan.num_steps
    return trainer.any_worker(before_the_end and validation.has_waited(trainer.step))


def _actions(trainer: Trainer, splits: splits_lib.Splits, kept: checkpoints.Checkpoints, record: record_lib.Record,
             validation: Validation) -> list[loop.Action]:
    """What happens between the calls of the loop, in order."""
    config = trainer.config
    actions = [loop.Action(config.eval_every, validation), loop.Action(None, record_lib.TermsWritten(record)),
               loop.Action(None, Progress(trainer, config.steps_per_call, validation.last)),
               loop.Action(config.eval_every, record_lib.Pictures(record, trainer, validation.evaluator, splits))]
    return [*actions, loop.Action(config.checkpoint_every, lambda event: kept.save())]


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


def _finished(trainer: Trainer) -> dict[str, Any] | None:
    """Returns the results of a run that has nothing left to do: they are those of the machine that trained it."""
    config = trainer.config
    path = pathlib.Path(config.run_dir) / "results.json"
    if not path.is_file() or not config_lib.same(config_lib.read(config.run_dir), config, config_lib.RESULT,
                                                 config_lib.MEASUREMENT):
        return None
    found = files.read_json(path, "run_dir")
    has_ended = trainer.step == trainer.plan.num_steps or found.get("stopped_early")
    return found if has_ended and found.get("steps") == trainer.step else None


def _results(trainer: Trainer, splits: splits_lib.Splits, evaluator: Evaluator, kept: checkpoints.Checkpoints,
             spent: loop.Spent, *, temperature: float | None) -> dict[str, Any]:
    config = trainer.config
    with trainer.evaluation_weights():
        measured = {"model": config.model, "dataset": config.dataset, "num_labels": len(splits.labelled),
                    "num_valid_labels": len(splits.valid), "run_dir": config.run_dir,
                    "steps": trainer.step, "seconds": spent.seconds, "seconds_between_calls": spent.between,
                    "classification_weight": trainer.plan.classification_weight,
                    **results.measure(evaluator, splits, sees_labels=trainer.sees_labels, temperature=temperature)}
    if spent.stopped_early:
        measured["stopped_early"] = True
    if len(splits.valid):
        measured |= _best_results(trainer, splits, evaluator, kept)
    return measured | results.circumstances(config)


def _best_results(trainer: Trainer, splits: splits_lib.Splits, evaluator: Evaluator,
                  kept: checkpoints.Checkpoints) -> dict[str, Any]:
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
        best = {f"best_valid_{k}": v for k, v in results.measure(
            evaluator, splits, sees_labels=trainer.sees_labels).items()}
        return {"best_valid_step": step, **best}
    finally:
        for variable, value in zip(weights, last, strict=True):
            variable.assign(value)
