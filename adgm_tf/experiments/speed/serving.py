"""How many requests a second the server of an export answers, and how long one takes, against the rows of a request."""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import requests
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.runs import rest, results
from adgm_tf.runs.serving import Served
from adgm_tf.runs.signatures import BYTES, DEFAULT

ROWS = (1, 8, 64, 512)
CLIENTS = (1, 4)
_START_SECONDS = 120


def run(export_dir: str, seconds: float, rows: Sequence[int] = ROWS) -> dict[str, Any]:
    """Measures each signature that classifies, for `seconds` a figure; returns everything that was found.

    The model alone, the answer with reading and writing JSON, and over HTTP with one client and with several at once,
    which run on the same machine and take their share of it.

    Raises:
      UserError: there is no export, or its server does not start.
    """
    served, lines, load = Served(export_dir), [], os.getloadavg()[0]
    gc.collect()
    gc.freeze()  # As `adgm_tf.serve` does.
    with _server(export_dir) as address:
        for signature in (name for name in (DEFAULT, BYTES) if name in served.specs):
            for count in rows:
                body = _body(served.specs[signature], signature, count)
                lines += [{"signature": signature, "rows": count, "what": what, **figures}
                          for what, figures in _figures(served, body, address, seconds)]
    return {**results.circumstances(Config()), "seconds": seconds, "load_average": load, "lines": lines}


def _figures(served: Served, body: bytes, address: str, seconds: float) -> Iterator[tuple[str, dict[str, float]]]:
    asked = rest.request(body, DEFAULT)
    specs = served.specs[asked.signature]
    given = {name: tf.constant(value, specs[name].dtype) for name, value in rest.tensors(asked, specs).items()}
    yield "model", _timed(lambda: served.call(asked.signature, given), seconds)
    yield "with JSON", _timed(lambda: served.answer(body), seconds)
    for clients in CLIENTS:
        yield f"HTTP, {clients} client{'s' if clients > 1 else ''}", _over_http(address, body, clients, seconds)


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the figures as a Markdown table."""
    head = "| signature | rows a request | what | requests/s | rows/s | p50 ms | p99 ms |"
    lines = [f"| {line['signature']} | {line['rows']} | {line['what']} | {line['requests_per_second']:,.1f} | "
             f"{line['requests_per_second'] * line['rows']:,.0f} | {line['p50_ms']:,.1f} | {line['p99_ms']:,.1f} |"
             for line in found["lines"]]
    return "\n".join([head, "|---|---|---|---|---|---|---|", *lines])


@contextlib.contextmanager
def _server(export_dir: str) -> Iterator[str]:
    """Yields the address of a server in a process of its own."""
    command = [sys.executable, "-m", "adgm_tf.serve", f"--export_dir={export_dir}", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise errors.UserError(f"serve={export_dir}: {process.stderr.read().strip().removeprefix('error: ')}")
            yield f"{line.split(': ', 1)[1].strip()}:predict"
        finally:
            process.terminate()


def _body(specs: Mapping[str, tf.TensorSpec], signature: str, count: int) -> bytes:
    """A request of that many rows: noise for numbers, words that are missing for strings, pictures of noise as PNG."""
    rng = np.random.default_rng(0)

    def value(spec: tf.TensorSpec) -> Any:
        if spec.dtype == tf.string:
            return _picture(rng) if signature == BYTES else ""
        size = spec.shape[1:]
        return (rng.integers(0, 256, size) if spec.dtype == tf.uint8 else rng.normal(size=size)).tolist()

    rows = [{name: value(spec) for name, spec in specs.items()} for _ in range(count)]
    return json.dumps({"signature_name": signature, "instances": rows}).encode()


def _picture(rng: np.random.Generator) -> dict[str, str]:
    from PIL import Image
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (28, 28)).astype(np.uint8)).save(stream, "png")
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def _timed(act: Callable[[], Any], seconds: float) -> dict[str, float]:
    act()
    spent, begun = [], time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        act()
        spent.append(time.perf_counter() - start)
    return _summary(spent, time.perf_counter() - begun)


def _over_http(address: str, body: bytes, clients: int, seconds: float) -> dict[str, float]:
    spent: list[list[float]] = [[] for _ in range(clients)]
    begun = time.perf_counter()

    def ask(found: list[float]) -> None:
        with requests.Session() as session:
            while time.perf_counter() - begun < seconds:
                start = time.perf_counter()
                session.post(address, body, timeout=_START_SECONDS).raise_for_status()
                found.append(time.perf_counter() - start)

    threads = [threading.Thread(target=ask, args=(found,)) for found in spent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _summary([value for found in spent for value in found], time.perf_counter() - begun)


def _summary(spent: Sequence[float], seconds: float) -> dict[str, float]:
    return {"requests": len(spent), "requests_per_second": len(spent) / seconds,
            "p50_ms": 1000 * statistics.median(spent), "p99_ms": 1000 * float(np.quantile(spent, 0.99))}
