"""Requests and answers of TensorFlow Serving's REST interface as tensors and back.

    {"instances": [{"age": 31, "job": "cook"}, ...]}        a row an example; the answer is {"predictions": [...]}
    {"inputs": {"age": [31, ...], "job": ["cook", ...]}}    an input a key; the answer is {"outputs": {...}}

Where there is one input its name can be left out, and where there is one output the answer has no name. Bytes are
{"b64": "..."}. Beyond TensorFlow Serving, null is a missing number or an empty string.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from adgm_tf.host import errors

SIGNATURE = "signature_name"
_KEYS = ("instances", "inputs")
_BYTES = "_bytes"  # Strings of outputs of such names are answered in base64.

Specs = Mapping[str, tf.TensorSpec]


class Request(NamedTuple):
    """What is asked: of which signature, in rows or in columns, and the JSON of the examples."""

    signature: str
    key: str
    values: Any


def request(body: bytes, default: str) -> Request:
    """Returns what the body of a request asks; `default` is its signature if it names none.

    Raises:
      UserError: it is no JSON, or has neither or both of `instances` and `inputs`.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.UserError(f"body: is no JSON ({error})") from None
    if not isinstance(given, dict):
        raise errors.UserError("body: must be an object with instances or inputs")
    if unknown := [key for key in given if key not in (*_KEYS, SIGNATURE)]:
        raise errors.unknown("key", unknown[0], (*_KEYS, SIGNATURE))
    keys = [key for key in _KEYS if key in given]
    if len(keys) != 1:
        raise errors.UserError(f"body: must have either instances or inputs, and has {'both' if keys else 'neither'}")
    return Request(str(given.get(SIGNATURE) or default), keys[0], given[keys[0]])


def tensors(asked: Request, specs: Specs) -> dict[str, np.ndarray]:
    """Returns the arrays of a request, by the names of the inputs.

    Raises:
      UserError: they are not those that the signature takes; the message names the input, the row and the value.
    """
    columns = _of_rows(asked.values, specs) if asked.key == "instances" else _of_columns(asked.values, specs)
    found = {name: _array(columns[name], specs[name], name) for name in specs}
    counts = {name: len(value) for name, value in found.items()}
    if len(set(counts.values())) > 1:
        raise errors.UserError("inputs: differ in their number of examples: "
                               + ", ".join(f"{name} has {count:,}" for name, count in counts.items()))
    return found


def answer(outputs: Mapping[str, np.ndarray], key: str) -> bytes:
    """Returns the body that answers a request in rows (`instances`) or in columns (`inputs`)."""
    listed = {name: _listed(value, name) for name, value in outputs.items()}
    only = len(listed) == 1
    if key == "inputs":
        return json.dumps({"outputs": next(iter(listed.values())) if only else listed}).encode()
    rows = next(iter(listed.values())) if only else [
        dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _is_value(given: Any) -> bool:
    """Whether this is a value and no object of named values."""
    return not isinstance(given, dict) or set(given) == {"b64"}


def _of_rows(rows: Any, specs: Specs) -> dict[str, list[Any]]:
    if not isinstance(rows, list):
        raise errors.UserError("instances: must be a list, an element an example")
    if not rows:
        raise errors.UserError("instances: is empty")
    if len(specs) == 1 and all(map(_is_value, rows)):
        return {next(iter(specs)): rows}
    for i, row in enumerate(rows):
        if _is_value(row):
            raise errors.UserError(f"instances: row {i} must be an object with {', '.join(specs)}")
        _check_names(row, specs, f"instances, row {i}")
    return {name: [row[name] for row in rows] for name in specs}


def _of_columns(columns: Any, specs: Specs) -> Mapping[str, Any]:
    if len(specs) == 1 and _is_value(columns):
        return {next(iter(specs)): columns}
    if not isinstance(columns, dict):
        raise errors.UserError(f"inputs: must be an object with {', '.join(specs)}")
    _check_names(columns, specs, "inputs")
    return columns


def _check_names(given: Mapping[str, Any], specs: Specs, what: str) -> None:
    for name in given:
        if name not in specs:
            raise errors.unknown(f"{what}, input", name, specs)
    if lacking := [name for name in specs if name not in given]:
        raise errors.UserError(f"{what}: has no {', '.join(lacking)}")


def _array(values: Any, spec: tf.TensorSpec, name: str) -> np.ndarray:
    if not isinstance(values, list):
        raise errors.UserError(f"input {name}: must be a list, an element an example")
    found = _strings(values, name) if spec.dtype == tf.string else _numbers(values, spec.dtype, name)
    if not len(found):
        found = found.reshape([0, *spec.shape[1:]])
    if not spec.shape.is_compatible_with(found.shape):
        raise errors.UserError(f"input {name}: an example is {_shown(found.shape[1:])}, and must be "
                               f"{_shown(spec.shape[1:].as_list())}")
    return found


def _shown(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) if len(shape) else "a single value"


def _strings(values: Sequence[Any], name: str) -> np.ndarray:
    found = np.empty(len(values), object)
    for i, value in enumerate(values):
        if isinstance(value, dict) and set(value) == {"b64"}:
            found[i] = _decoded(value["b64"], f"input {name}: row {i}")
        elif isinstance(value, str) or value is None:
            found[i] = (value or "").encode(errors="replace")
        else:
            raise errors.UserError(f"input {name}: row {i} is {_cut(value)}, and must be a string")
    return found


def _decoded(text: Any, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise errors.UserError(f"{what}: b64 is no base64") from None


def _numbers(values: list[Any], dtype: tf.DType, name: str) -> np.ndarray:
    try:
        found = np.array(values)
    except ValueError:
        raise errors.UserError(f"input {name}: its examples differ in shape") from None
    if found.dtype == object and dtype.is_floating:
        found = np.where(np.equal(found, None), np.nan, found)
        found = found.astype(np.float64) if all(isinstance(v, int | float) for v in found.flat) else found
    if found.size and found.dtype.kind not in ("iuf" if dtype.is_floating else "iu"):
        kind = "numbers" if dtype.is_floating else f"whole numbers from {dtype.min} to {dtype.max}"
        raise errors.UserError(f"input {name}: must be {kind}, and is like {_cut(values[0])}")
    if found.size and dtype.is_integer and not dtype.min <= found.min() <= found.max() <= dtype.max:
        raise errors.UserError(f"input {name}: has {found.min()} to {found.max()}, and must be from {dtype.min} to "
                               f"{dtype.max}")
    return found.astype(dtype.as_numpy_dtype)


def _cut(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(values: np.ndarray, name: str) -> list[Any]:
    if values.dtype != object:
        return values.tolist()
    if name.endswith(_BYTES):
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return [value.decode(errors="replace") for value in values]
