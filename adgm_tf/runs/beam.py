"""Predictions over shards of rows by Apache Beam, of a run or of an exported SavedModel: on a machine or a cluster."""

from __future__ import annotations

import dataclasses
import functools
import glob
import io
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from adgm_tf.host import errors, files
from adgm_tf.runs.predicting import Asked

BATCH_ROWS = 1000
ARRAYS = (".npy", ".npz")
# What the answers to a shard of a run end in, by what the shard ends in.
OF_RUN = {".csv": ".csv", ".txt": ".csv", ".tsv": ".tsv", ".parquet": ".parquet", ".pq": ".parquet", ".npz": ".npz"}


@runtime_checkable
class Answering(Protocol):
    """What answers a shard; it is sent to the workers, and each loads it once."""

    def check(self) -> None:
        """Makes sure that it can answer, before anything is started."""

    def target_of(self, shard: str) -> str | None:
        """Returns the name of the file of answers; None where it cannot answer such a file."""

    def load(self) -> Callable[[str, str], None]:
        """Returns what writes the answers to a shard to a file, whole or not at all."""


@dataclasses.dataclass(frozen=True)
class OfRun:
    """The answers of `predict`: tables and arrays, a file a shard of the same kind."""

    run_dir: str
    asked: Asked
    weights: str = "last"

    def check(self) -> None:
        """Makes sure that there is such a run."""
        from adgm_tf import config as config_lib
        config_lib.read(self.run_dir)

    def target_of(self, shard: str) -> str | None:
        """Returns the name of the shard, without .gz."""
        path = pathlib.PurePath(shard.removesuffix(".gz"))
        return f"{path.stem}{OF_RUN[path.suffix]}" if path.suffix in OF_RUN else None

    def load(self) -> Callable[[str, str], None]:
        """Loads the model: what it writes is class, probabilities, uncertainty and novelty of the rows."""
        from adgm_tf.runs import predicting, trained
        model = trained.load(self.run_dir, self.weights)
        return lambda shard, target: predicting.predict(model, shard, target, self.asked)


@dataclasses.dataclass(frozen=True)
class OfExport:
    """The answers of an export's classifier to arrays, .npy of rows [n, ...] or .npz with an array x, as .npz."""

    export_dir: str

    def check(self) -> None:
        """Makes sure that there is a SavedModel."""
        if not pathlib.Path(self.export_dir, "saved_model.pb").is_file():
            raise errors.UserError(f"export_dir={self.export_dir}: holds no SavedModel (there is no saved_model.pb in "
                                   "it)")

    def target_of(self, shard: str) -> str | None:
        """Returns the name of the shard, ending in .npz."""
        path = pathlib.PurePath(shard)
        return f"{path.stem}.npz" if path.suffix in ARRAYS else None

    def load(self) -> Callable[[str, str], None]:
        """Loads the SavedModel: what it writes are the outputs of the signature."""
        import tensorflow as tf
        return functools.partial(answer_shard, tf.saved_model.load(self.export_dir).signatures["serving_default"])


def predict_shards(pattern: str, output: str, answering: Answering, runner: str = "DirectRunner",
                   options: Iterable[str] = ()) -> list[str]:
    """Writes the answers to every shard under its name to the folder `output`; returns the shards that were left to do.

    A shard is one unit of work: written whole, tried again where a worker is lost, and left out where it has been
    written before, so that a run that was broken off goes on.

    Args:
      pattern: the shards, as `data/x-*.csv`.
      output: folder for the answers.
      answering: what answers them; the workers read its files where they are.
      runner: Beam's runner: DirectRunner here, FlinkRunner, SparkRunner, DataflowRunner where there is one.
      options: what else Beam is to know, `--name=value` each.

    Raises:
      UserError: Beam is not installed, no shard matches, or one cannot be answered.
    """
    answering.check()
    targets = _targets(pattern, output, answering)
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise errors.UserError(f"runner={runner}: needs Apache Beam; pip install adgm_tf[beam]") from None
    left = [shard for shard, target in targets.items() if not pathlib.Path(target).is_file()]
    if not left:
        return left
    pathlib.Path(output).mkdir(parents=True, exist_ok=True)
    pipeline = beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *options]))
    # Without the shuffle all shards would be one unit of work.
    work = pipeline | beam.Create([(shard, targets[shard]) for shard in left]) | beam.Reshuffle()
    _ = work | beam.Map(_answer, answering)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        if (said := re.search(r"UserError: ([^\n\[]+)", f"{type(error).__name__}: {error}")) is None:
            raise
        raise errors.UserError(said[1].strip()) from None
    return left


def _targets(pattern: str, output: str, answering: Answering) -> dict[str, str]:
    """Returns the file of answers of each shard."""
    found = sorted(glob.glob(pattern))  # noqa: PTH207  (a pattern of any depth)
    if not found:
        raise errors.UserError(f"input={pattern}: matches no file")
    names = {path: answering.target_of(path) for path in found}
    if wrong := [path for path, name in names.items() if name is None]:
        known = ", ".join(OF_RUN if isinstance(answering, OfRun) else ARRAYS)
        raise errors.UserError(f"input={pattern}: matches {wrong[0]}, and a shard must end in one of {known}")
    if doubled := next((path for path, name in names.items() if list(names.values()).count(name) > 1), None):
        raise errors.UserError(f"input={pattern}: matches {doubled} and another file of that name, and their answers "
                               "would be one file")
    return {path: os.fspath(pathlib.Path(output, name)) for path, name in names.items()}


def _answer(work: tuple[str, str], answering: Answering) -> str:
    _loaded(answering)(*work)
    return work[1]


@functools.cache
def _loaded(answering: Answering) -> Callable[[str, str], None]:
    """What answers, once a worker."""
    return answering.load()


def answer_shard(answer: Any, shard: str, target: str) -> str:
    """Writes what a signature answers to the rows of one shard, whole or not at all; returns where.

    Raises:
      UserError: the shard cannot be read.
    """
    import tensorflow as tf
    (name, spec), = answer.structured_input_signature[1].items()
    rows = _rows(shard)
    if math.prod(rows.shape[1:]) != math.prod(spec.shape[1:]):
        given, taken = (" x ".join(map(str, shape[1:])) for shape in (rows.shape, spec.shape))
        raise errors.UserError(f"shard {shard}: has rows of {given}, and the export takes {taken}")
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(rows), BATCH_ROWS):
        block = tf.reshape(tf.constant(np.asarray(rows[start: start + BATCH_ROWS])), [-1, *spec.shape[1:]])
        for key, value in answer(**{name: tf.cast(block, spec.dtype)}).items():
            found.setdefault(key, []).append(value.numpy())
    stream = io.BytesIO()
    np.savez(stream, **{key: np.concatenate(parts) for key, parts in found.items()})
    with files.replacing(pathlib.Path(target)) as path:
        pathlib.Path(path).write_bytes(stream.getvalue())
    return os.fspath(target)


def _rows(shard: str) -> Any:
    try:
        if shard.endswith(".npy"):
            return np.load(shard, mmap_mode="r", allow_pickle=False)
        with np.load(shard, allow_pickle=False) as stored:
            return stored["x"]
    except (OSError, ValueError, KeyError) as error:
        raise errors.UserError(f"shard {shard}: cannot be read ({' '.join(str(error).split())[:200]})") from None
