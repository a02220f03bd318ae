"""Entry points in processes of their own, for the tests.

`run` is `python -m adgm_tf.<entry> --flags`. `start` and `forked` are the same in a child of one process that has
imported TensorFlow already, which saves each of them the seconds of the import.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import pathlib
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from typing import NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 240
OF_OTHERS = ("TF_CONFIG", "TF_CPP_MIN_LOG_LEVEL", "EXTRA", "VENV", "PYTHON")
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9") | {
    "no_proxy": "", "NO_PROXY": ""}
TINY = ("--dataset=digits", "--hidden_units=16,16", "--auxiliary_dim=4", "--latent_dim=4", "--steps_per_call=10",
        "--eval_every=1000", "--checkpoint_every=10", "--num_eval_samples=2")
PLAIN = ("--consistency=none", "--class_sum=exact")


class Finished(NamedTuple):
    """A process that has ended: exit status (negative where a signal killed it) and what it wrote."""

    code: int
    out: str
    err: str


class Started:
    """A process that runs an entry point."""

    def __init__(self, pid: int, folder: str):
        self.pid, self.out, self.err = pid, pathlib.Path(folder, "out"), pathlib.Path(folder, "err")

    def wait(self, timeout: float = TIMEOUT) -> Finished:
        """Returns how it ended; kills it after `timeout` seconds."""
        code = _ask({"wait": self.pid, "timeout": timeout})
        return Finished(code, self.out.read_text(), self.err.read_text())

    def when(self, holds, number: int, timeout: float = TIMEOUT) -> Finished:
        """Sends the signal `number` as soon as `holds()`, then waits."""
        end = time.monotonic() + timeout
        while not holds() and time.monotonic() < end:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return self.wait(timeout)


def run(entry: str, *flags: str, cwd: os.PathLike | str, env: dict[str, str] | None = None,
        timeout: float = TIMEOUT) -> Finished:
    """Runs `python -m adgm_tf.<entry>` to its end."""
    done = subprocess.run([sys.executable, "-m", f"adgm_tf.{entry}", *flags], cwd=cwd, env=environment(env),
                          capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return Finished(done.returncode, done.stdout, done.stderr)


def start(entry: str, *flags: str, cwd: os.PathLike | str, env: dict[str, str] | None = None) -> Started:
    """Starts `adgm_tf.<entry>` in a child of the process that has imported TensorFlow."""
    folder = tempfile.mkdtemp(dir=_scratch())
    pid = _ask({"module": f"adgm_tf.{entry}", "flags": flags, "cwd": str(cwd), "env": env or {}, "folder": folder})
    return Started(pid, folder)


def forked(entry: str, *flags: str, cwd: os.PathLike | str, env: dict[str, str] | None = None,
           timeout: float = TIMEOUT) -> Finished:
    """Runs `adgm_tf.<entry>` to its end in a child of the process that has imported TensorFlow."""
    return start(entry, *flags, cwd=cwd, env=env).wait(timeout)


def environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a process: without what a cluster, a GPU or a terminal would change."""
    kept = {k: v for k, v in os.environ.items() if k not in OF_OTHERS}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"} | (changes or {})


def lines(run_dir: os.PathLike | str) -> list[dict]:
    """Returns the lines of metrics.jsonl written so far, whole ones only."""
    path = pathlib.Path(run_dir, "metrics.jsonl")
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def tensors(prefix: os.PathLike | str) -> dict[str, np.ndarray]:
    """Returns every tensor of a checkpoint by name, but the graph of objects and the count of saves."""
    import tensorflow as tf
    reader = tf.train.load_checkpoint(str(prefix))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n and "save_counter" not in n]
    return {name: reader.get_tensor(name) for name in names}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    """Whether two sets of tensors are equal bit for bit."""
    return left.keys() == right.keys() and all(
        left[k].dtype == right[k].dtype and left[k].tobytes() == right[k].tobytes() for k in left)


def is_one_error(done: Finished) -> bool:
    """Whether the process ended in one line on standard error, `error: ...`, and status 2."""
    return done.code == 2 and done.err.startswith("error: ") and done.err.count("\n") == 1 and done.err.endswith("\n")


def free_ports(count: int) -> list[int]:
    """Returns that many ports of this host that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


@functools.cache
def _scratch() -> str:
    folder = tempfile.mkdtemp(prefix="adgm-tf-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _server() -> subprocess.Popen:
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, env=environment({"TF_CPP_MIN_LOG_LEVEL": "3"}),
                              start_new_session=True)
    atexit.register(server.communicate)
    return server


def _ask(request: dict) -> int:
    server = _server()
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


def _serve() -> None:
    """Answers a request to start with a process id, and one to wait with an exit status; a child never returns."""
    import tensorflow_datasets  # noqa: F401

    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(_status(request["wait"], request["timeout"]), flush=True)
            continue
        pid = os.fork()
        if not pid:
            _become(request)
        print(pid, flush=True)


def _status(pid: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _become(request: dict) -> None:
    folder = pathlib.Path(request["folder"])
    for number, name in enumerate((pathlib.Path(os.devnull), folder / "out", folder / "err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = [request["module"], *request["flags"]]
    code = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001  (as the interpreter would)
        traceback.print_exc()
        code = 1
    # Taking the interpreter apart is a second of work that shows nothing.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
