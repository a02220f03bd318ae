"""A run for ONNX Runtime and LiteRT: every signature, without strings; a table starts at what q sees.

What was fitted on the columns of a table travels beside as `preprocess.json`, numbers and words in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf.data import tabular
from adgm_tf.data.splits import Examples
from adgm_tf.data.tabular import Table
from adgm_tf.host import errors, files
from adgm_tf.runs import saved_model
from adgm_tf.runs.saved_model import Exportable
from adgm_tf.runs.signatures import BOUND, DEFAULT, Signatures
from adgm_tf.runs.stored import Run

OPSET = 17
LITERT, PREPROCESS, INT8 = "model.tflite", "preprocess.json", "int8.json"
REPRESENTATIVE, MEASURED = 200, 1000
_NEEDS = {"onnx": ("onnx", "tf2onnx"), "tflite": ("ai_edge_litert",)}

NamedArrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Int8Data:
    """By what numbers become 8 bits, and on what that is measured.

    Attributes:
      representative: examples of training: the range of every number is that which they give it.
      measured: examples on which the answers are compared with the live ones.
      name: what those are.
    """

    representative: Examples
    measured: Examples
    name: str


def int8_data(run: Run) -> Int8Data:
    """Returns 200 training examples of a run, and up to 1,000 test ones, or of training where there is no test set.

    Raises:
      UserError: the data of the run are not there.
    """
    splits = run.splits
    pool = splits.unlabelled if len(splits.unlabelled) else splits.labelled
    test = splits.test if len(splits.test) else pool
    return Int8Data(pool.drawn(REPRESENTATIVE), test.drawn(MEASURED), "test" if len(splits.test) else "training")


def write(folder: pathlib.Path, given: Exportable, form: str, num_samples: int | None = None,
          int8: Int8Data | None = None) -> pathlib.Path:
    """Writes `folder`/<version>/ for another runtime; returns it.

    Args:
      folder: where the versions stand.
      given: what is exported.
      form: onnx, a file for each signature; or tflite, one file of all.
      num_samples: samples of a that the classifier averages; those of the run if not given.
      int8: by what the numbers of a LiteRT model become 8 bits; they keep their 32 if not given.

    Raises:
      UserError: what converts is not installed.
    """
    if lacking := [name for name in _NEEDS[form] if importlib.util.find_spec(name) is None]:
        raise errors.UserError(f"format={form}: needs {', '.join(lacking)}; pip install 'adgm_tf[export]'")
    signatures = given.signatures(num_samples, portable=True)
    with saved_model.new_version(folder) as (temporary, version):
        if form == "onnx":
            what = _write_onnx(signatures, temporary)
        else:
            what = _write_litert(signatures, temporary, given, int8)
        if given.spec.is_table:
            files.write_json(temporary / PREPROCESS, _listed(given.spec.preprocess.to_arrays()))
        saved_model.write_beside(given, temporary, f"{what}, version {version}")
    return folder / str(version)


def read_preprocess(path: pathlib.Path) -> Table:
    """Returns what was fitted on a table, of a `preprocess.json`: the same answers, bit for bit."""
    found = files.read_json(path, "export")
    return tabular.of_arrays({key: np.array(value) if _is_array(value) else value for key, value in found.items()})


def _listed(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.items()}


def _is_array(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(v, str | dict) for v in value)


def _write_onnx(signatures: Signatures, folder: pathlib.Path) -> str:
    with _quiet("tf2onnx"):
        import tf2onnx
        for name, function in signatures.functions.items():
            tf2onnx.convert.from_function(function, function.input_signature, OPSET,
                                          output_path=str(folder / f"{name}.onnx"))
    return "ONNX files, one a signature"


def _write_litert(signatures: Signatures, folder: pathlib.Path, given: Exportable,
                  int8: Int8Data | None) -> str:
    with tempfile.TemporaryDirectory() as saved, _quiet("tensorflow"):
        tf.saved_model.save(signatures.module(), saved, signatures.concrete())
        plain = _converted(saved, signatures.functions)
        if int8 is None:
            (folder / LITERT).write_bytes(plain)
            return "a LiteRT file with all signatures"
        asked = _asked(signatures, given, int8.representative)
        small = _converted(saved, asked, lambda: _one_by_one(asked))
    (folder / LITERT).write_bytes(small)
    differences = _compared(small, _asked(signatures, given, int8.measured), signatures, int8.measured)
    files.write_json(folder / INT8, {"bytes": len(small), "bytes_float32": len(plain), "set": int8.name,
                                     "examples": len(int8.measured), "differences": differences})
    return "a LiteRT file with all signatures but the bound, in 8 bits" + _said(differences[DEFAULT], int8)


def _converted(saved: str, names: Iterable[str], representative: Callable | None = None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=sorted(names))
    if representative:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
    return converter.convert()


def _asked(signatures: Signatures, given: Exportable, examples: Examples) -> dict[str, dict[str, np.ndarray]]:
    """What is asked of each signature of 8 bits: examples, and for the generator z ~ N(0, I) and classes in turn.

    The bound is left out: a sum over all inputs, in 8 bits it was off by more than it differs between examples.
    """
    count, spec = len(examples), given.spec
    rng = np.random.default_rng(given.config.seed)
    if spec.is_table:
        values = dict(zip(("seen", "described", "observed"), spec.prepared(examples.x), strict=True))
    else:
        values = {"images": examples.x, "vectors": examples.x}
    values["label"] = np.arange(count, dtype=np.int32) % max(spec.num_classes, 1)
    values["z"] = rng.normal(size=(count, given.config.latent_dim)).astype(np.float32)
    return {name: {key: np.asarray(values[key], tensor.dtype.as_numpy_dtype) for key, tensor in of.specs.items()}
            for name, of in signatures.inputs.items() if name != BOUND}


def _one_by_one(asked: Mapping[str, NamedArrays]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for name, values in asked.items():
        for i in range(len(next(iter(values.values())))):
            yield name, {key: value[i: i + 1] for key, value in values.items()}


def _compared(small: bytes, asked: Mapping[str, NamedArrays], signatures: Signatures,
              examples: Examples) -> dict[str, Any]:
    """How far the answers of a model of 8 bits are from the live ones, by signature and output."""
    from ai_edge_litert.interpreter import Interpreter
    lite, found = Interpreter(model_content=small), {}
    for name, values in asked.items():
        answers = lite.get_signature_runner(name)(**values)
        live = {k: v.numpy() for k, v in _live(signatures, name, values).items()}
        found[name] = {key: _distance(answers[key], live[key], examples.y) for key in live}
    return found


def _said(differences: Mapping[str, Mapping[str, float]], int8: Int8Data) -> str:
    """What 8 bits do to the classes, in words."""
    if "label" not in differences:
        return f" ({INT8} has how far its answers are from those of 32 bits)"
    found = differences["label"]
    line = (f" ({found['other_percent']:.2f} % of {len(int8.measured):,} {int8.name} examples get another class than "
            "in 32 bits")
    if "error_percent" in found:
        line += f"; their error is {found['error_percent']:.2f} % in 8 and {found['error_percent_float32']:.2f} % in 32"
    return f"{line}; {INT8} has the rest)"


def _live(signatures: Signatures, name: str, values: NamedArrays) -> Mapping[str, tf.Tensor]:
    tensors = {key: tf.constant(value) for key, value in values.items()}
    return signatures.functions[name](tensors if len(tensors) > 1 else next(iter(tensors.values())))


def _distance(found: np.ndarray, live: np.ndarray, y: np.ndarray) -> dict[str, float]:
    if live.dtype.kind == "i":
        known = y >= 0
        errors_percent = [100 * float(np.mean(of[known] != y[known])) for of in (found, live)] if known.any() else []
        return {"other_percent": 100 * float(np.mean(found != live))} | dict(
            zip(("error_percent", "error_percent_float32"), errors_percent, strict=False))
    difference = np.abs(found.astype(np.float64) - live)
    return {"mean": float(difference.mean()), "largest": float(difference.max()), "stddev_of_live": float(live.std())}


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Drops the remarks that a converter logs."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
