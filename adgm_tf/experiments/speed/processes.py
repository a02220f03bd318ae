"""Figures that need a process of their own: seconds to the first step, peak memory, several devices or workers."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from adgm_tf.experiments.speed import cases
from adgm_tf.host import errors

WORKERS = 2
# glibc's own default; any such variable keeps cli.keep_freed_memory away.
_GIVES_BACK = {"MALLOC_ARENA_TEST": "8"}


def alone(name: str, replicas: int, steps: int) -> dict[str, float]:
    """Measures one case in this process: seconds from its start to the first step, seconds a step, peak memory."""
    case = errors.lookup(cases.FULL, "alone", name)
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    trainer = case.trainer(strategy)
    trainer.train(1)
    to_first_step = time.time() - psutil.Process().create_time()
    start = time.perf_counter()
    trainer.train(steps)
    seconds_per_step = (time.perf_counter() - start) / steps
    return {"seconds_from_start_to_first_step": to_first_step, "seconds_per_step": seconds_per_step,
            "peak_memory_mib": _peak_memory_mib()}


def _peak_memory_mib() -> float:
    """VmHWM of this process; getrusage would give that of the process which started it, where it was larger."""
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def start(name: str, replicas: int, steps: int, variables: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Starts `alone` in a process of its own, with these environment variables besides."""
    command = [sys.executable, "-m", "adgm_tf.benchmark", f"--alone={name}", f"--replicas={replicas}",
               f"--steps={steps}"]
    return subprocess.Popen(command, env={**os.environ, **(variables or {})}, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def finish(process: subprocess.Popen) -> dict[str, float]:
    """Waits for a process that `start` started; returns what it measured."""
    output, _ = process.communicate()
    if process.returncode:
        raise errors.UserError(f"benchmark: the process {' '.join(process.args[2:])} left with {process.returncode}")
    return json.loads(output.splitlines()[-1])


def alone_elsewhere(name: str) -> dict[str, float]:
    """Measures one case, its memory above all, in a process of its own: a few steps."""
    return finish(start(name, 1, 3))


def workers(name: str, steps: int) -> dict[str, float]:
    """Measures a case on two worker processes of this machine; returns what the first says."""
    sockets = [socket.socket() for _ in range(WORKERS)]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}} for i in range(WORKERS)]
    started = [start(name, 1, steps, {"TF_CONFIG": json.dumps(one)}) for one in cluster]
    first, *_ = [finish(process) for process in started]
    return first


def scaling(name: str, rounds: int, steps: int) -> dict[str, Any]:
    """Measures a case on one device, two logical devices and two processes, in turn, at the same global batch."""
    return _in_turn({"one_device": lambda: finish(start(name, 1, steps)),
                     "two_devices": lambda: finish(start(name, 2, steps)),
                     "two_processes": lambda: workers(name, steps)}, rounds)


def freed_memory(name: str, rounds: int, steps: int) -> dict[str, Any]:
    """Measures a case with freed memory kept by the process and given back to the system, in turn."""
    return _in_turn({"memory_kept": lambda: finish(start(name, 1, steps)),
                     "memory_given_back": lambda: finish(start(name, 1, steps, _GIVES_BACK))}, rounds)


def _in_turn(kinds: Mapping[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, Any]:
    measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, run in kinds.items():
            measured[kind].append(run())
    return {kind: {k: float(np.median([m[k] for m in runs])) for k in runs[0]} for kind, runs in measured.items()}
