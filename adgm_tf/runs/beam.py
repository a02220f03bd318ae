"""Predictions over shards of rows by Apache Beam, with an exported SavedModel: on one machine or on a cluster."""

from __future__ import annotations

import glob
import io
import math
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from adgm_tf.host import errors, files

BATCH_ROWS = 1000
KINDS = (".npy", ".npz")


def predict_shards(pattern: str, export_dir: str, output: str, runner: str = "DirectRunner",
                   options: Iterable[str] = ()) -> list[str]:
    """Writes the probabilities of the rows of every shard to `<output>/<shard>.npz`; returns the shards left to do.

    A shard is one unit of work: written whole under its own name, tried again where a worker is lost, and left out
    where it has been written before, so that a run that was broken off goes on.

    Args:
      pattern: shards, .npy of rows [n, ...] or .npz with an array x, as `data/x-*.npy`.
      export_dir: a SavedModel of `python -m adgm_tf.export`; the workers read it from there.
      output: folder for the answers.
      runner: Beam's runner: DirectRunner here, FlinkRunner, SparkRunner, DataflowRunner where there is one.
      options: what else Beam is to know, `--name=value` each.

    Raises:
      UserError: Beam is not installed, no shard matches, or a shard or the export cannot be read.
    """
    shards = _shards(pattern)
    if not pathlib.Path(export_dir, "saved_model.pb").is_file():
        raise errors.UserError(f"export_dir={export_dir}: holds no SavedModel (there is no saved_model.pb in it)")
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise errors.UserError("runner: needs Apache Beam; pip install adgm_tf[beam]") from None
    left = [shard for shard in shards if not pathlib.Path(answers_of(shard, output)).is_file()]
    pathlib.Path(output).mkdir(parents=True, exist_ok=True)
    if left:
        pipeline = beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *options]))
        # Without the shuffle all shards would be one unit of work.
        _ = pipeline | beam.Create(left) | beam.Reshuffle() | beam.ParDo(_answering(beam, export_dir, output))
        pipeline.run().wait_until_finish()
    return left


def answers_of(shard: str, output: str) -> str:
    """Returns where the answers to a shard are written."""
    return str(pathlib.Path(output, f"{pathlib.Path(shard).stem}.npz"))


def _shards(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern))  # noqa: PTH207  (a pattern of any depth)
    if not found:
        raise errors.UserError(f"pattern={pattern}: matches no file")
    if wrong := [path for path in found if pathlib.Path(path).suffix not in KINDS]:
        raise errors.UserError(f"pattern={pattern}: matches {wrong[0]}, and a shard must end in {' or '.join(KINDS)}")
    names = [pathlib.Path(path).stem for path in found]
    if doubled := next((path for path, name in zip(found, names, strict=True) if names.count(name) > 1), None):
        raise errors.UserError(f"pattern={pattern}: matches {doubled} and another file of that name, and their answers "
                               "would be one file")
    return found


def _answering(beam: Any, export_dir: str, output: str) -> Any:
    """The function of Beam that answers a shard: loads the export once a worker."""
    class Answering(beam.DoFn):
        def setup(self) -> None:
            import tensorflow as tf
            self.answer = tf.saved_model.load(export_dir).signatures["serving_default"]

        def process(self, shard: str) -> Iterator[str]:
            yield answer_shard(self.answer, shard, answers_of(shard, output))

    return Answering()


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
