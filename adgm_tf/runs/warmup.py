"""Warm-up requests of TensorFlow Serving: a record of PredictionLog for each signature, without its package.

The messages are written as protocol buffers are on the wire, a number of the field, a length and the content:

    PredictionLog.predict_log = 6   PredictLog.request = 1
    PredictRequest.model_spec = 1   PredictRequest.inputs = 2 (of each: key = 1, value = 2)
    ModelSpec.name = 1              ModelSpec.signature_name = 3
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

PLACE = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")


def write(folder: pathlib.Path, model_name: str, examples: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes the requests to the place in the folder of an export where TensorFlow Serving looks for them.

    Args:
      folder: that of the version.
      model_name: the name that it is served by.
      examples: tensors by name, for each signature.
    """
    path = folder / PLACE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, tensors in examples.items():
            records.write(_log(model_name, signature, tensors))


def _log(model_name: str, signature: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    request = _field(1, _field(1, model_name.encode()) + _field(3, signature.encode()))
    for name, value in tensors.items():
        request += _field(2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString()))
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number with the wire type 2, the length, the content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
