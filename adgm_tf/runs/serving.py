"""A small server of an export: TensorFlow Serving's REST interface, in one process and without batching."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf.host import errors
from adgm_tf.runs import rest
from adgm_tf.runs.signatures import DEFAULT

_SAVED = "saved_model.pb"
# What Starlette says of an address or a method that it does not know.
_PLAIN = ("Not Found", "Method Not Allowed")
_TYPES = {tf.float32: "DT_FLOAT", tf.float64: "DT_DOUBLE"}


class Served:
    """A SavedModel, found under its folder or as the last version in it.

    Args:
      export_dir: RUN/export/<version>, or RUN/export.

    Attributes:
      version: its version.
      specs: inputs of each signature.

    Raises:
      UserError: there is none.
    """

    def __init__(self, export_dir: str):
        path = pathlib.Path(export_dir).resolve()
        versions = sorted(int(p.parent.name) for p in path.glob(f"*/{_SAVED}") if p.parent.name.isdecimal())
        if not (path / _SAVED).is_file() and versions:
            path = path / str(versions[-1])
        if not (path / _SAVED).is_file():
            raise errors.UserError(f"export_dir={export_dir}: holds no {_SAVED}, nor a version that does")
        self.version = path.name if path.name.isdecimal() else "1"
        self._loaded = tf.saved_model.load(str(path))
        self.specs = {name: dict(sorted(function.structured_input_signature[1].items()))
                      for name, function in self._loaded.signatures.items()}

    def answer(self, body: bytes) -> bytes:
        """Returns the answer to the body of a request.

        Raises:
          UserError: it cannot be answered; the message is one line.
        """
        asked = rest.request(body, DEFAULT)
        specs = errors.lookup(self.specs, rest.SIGNATURE, asked.signature)
        given = rest.tensors(asked, specs)
        try:
            found = self.call(asked.signature, {name: tf.constant(value, specs[name].dtype)
                                                for name, value in given.items()})
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise errors.UserError(f"{asked.signature}: {_first_line(error)}") from None
        return rest.answer(found, asked.key)

    def call(self, signature: str, given: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
        """Returns what a signature gives, in the order of the names."""
        found = self._loaded.signatures[signature](**given)
        return {name: found[name].numpy() for name in sorted(found)}

    def metadata(self, name: str) -> dict[str, Any]:
        """Returns the signatures as TensorFlow Serving describes them."""
        signatures = {signature: {
            "inputs": {k: _described(v) for k, v in self.specs[signature].items()},
            "outputs": {k: _described(v) for k, v in sorted(function.structured_outputs.items())},
            "method_name": "tensorflow/serving/predict"} for signature, function in self._loaded.signatures.items()}
        return {"model_spec": {"name": name, "signature_name": "", "version": self.version},
                "metadata": {"signature_def": {"signature_def": signatures}}}

    def status(self) -> dict[str, Any]:
        """Returns that the version is there, as TensorFlow Serving says it."""
        return {"model_version_status": [{"version": self.version, "state": "AVAILABLE",
                                          "status": {"error_code": "OK", "error_message": ""}}]}


def _described(spec: tf.TensorSpec) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    return {"dtype": _TYPES.get(spec.dtype, f"DT_{spec.dtype.name.upper()}"),
            "tensor_shape": {"dim": sizes, "unknown_rank": False}, "name": spec.name or ""}


def _first_line(error: Exception) -> str:
    """What an operation says, without the names of nodes."""
    text = str(getattr(error, "message", error)) if isinstance(error, tf.errors.OpError) else "cannot be read"
    said = re.search(r"assertion failed: \[(.*?)\]", text, re.DOTALL)
    plain = said.group(1) if said else re.sub(r"\{\{.*?\}\}|\[\[.*", "", text, flags=re.DOTALL)
    return " ".join(plain.split())[:300]


def app(served: Served, name: str) -> Any:
    """Returns the application that answers for a model by its name.

    Raises:
      UserError: FastAPI is not installed.
    """
    try:
        import fastapi
        from fastapi.concurrency import run_in_threadpool
    except ImportError:
        raise errors.UserError("serve: needs fastapi; pip install 'adgm_tf[serve]'") from None
    made = fastapi.FastAPI(title=f"{name}, version {served.version}")

    def check(model: str, version: str) -> None:
        if (model, version) != (name, served.version):
            raise fastapi.HTTPException(404, f"model {model}, version {version}: is not here; {name}, version "
                                             f"{served.version} is")

    async def predict(request, model: str, version: str = served.version):
        check(model, version)
        body = await request.body()
        return fastapi.Response(await run_in_threadpool(served.answer, body), media_type="application/json")

    def metadata(model: str, version: str = served.version):
        check(model, version)
        return served.metadata(name)

    def status(model: str, version: str = served.version):
        check(model, version)
        return served.status()

    def health():
        return {"status": "ok"}

    # FastAPI wants types, and those of this file are only their names.
    for endpoint in (predict, metadata, status):
        endpoint.__annotations__ = {"request": fastapi.Request} | dict.fromkeys(("model", "version"), str)
    for place in ("/v1/models/{model}", "/v1/models/{model}/versions/{version}"):
        made.add_api_route(f"{place}:predict", predict, methods=["POST"])
        made.add_api_route(f"{place}/metadata", metadata)
        made.add_api_route(place, status)
    made.add_api_route("/health", health)
    return _with_one_line_errors(made)


def _with_one_line_errors(made: Any) -> Any:
    from fastapi import exceptions, responses

    def failed(status: int, line: object) -> Any:
        return responses.JSONResponse({"error": " ".join(str(line).split())}, status)

    made.add_exception_handler(errors.UserError, lambda _, error: failed(400, error))
    made.add_exception_handler(exceptions.HTTPException, lambda _, error: failed(error.status_code, error.detail))
    for status, line in ((404, "there is no such address"), (405, "the address takes no such method")):
        made.add_exception_handler(status, lambda _, error, status=status, line=line: failed(
            status, line if error.detail in _PLAIN else error.detail))
    return made
