"""Figures that a process measures one by one when it is asked: the seconds a step, and what to do when it takes long.

Nothing here needs TensorFlow or PyTorch.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

# A call has at most as many steps, and fewer where these would take longer than so many seconds.
STEPS_A_CALL, SECONDS_A_CALL = 500, 2.0
CALLS = 3
# Steps after the first, in which kernels are chosen and graphs recorded; then those that tell how long one takes.
WARM_UP, PROBE = 5, 5


def timed(train: Callable[[int], object]) -> dict[str, Any]:
    """Returns the seconds a step of `train`, which takes a number of steps and returns when they are done."""
    def seconds(steps: int) -> float:
        start = time.perf_counter()
        train(steps)
        return time.perf_counter() - start

    first = seconds(1)
    train(WARM_UP)
    steps = max(1, min(STEPS_A_CALL, round(SECONDS_A_CALL * PROBE / seconds(PROBE))))
    spent = [seconds(steps) / steps for _ in range(CALLS)]
    return {"seconds_to_first_step": first, "steps_per_call": steps, "seconds_per_step": spent,
            "steps_per_second": 1 / statistics.median(spent)}


def answer(measure: Callable[..., dict[str, Any]]) -> None:
    """Calls `measure` with what each line of standard input holds, and answers in a line: what it found or why not."""
    # What libraries print must not come between the answers.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            try:
                found = measure(**json.loads(line))
            except Exception as error:  # noqa: BLE001  (the other figures can be measured all the same)
                found = {"missing": f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
            print(json.dumps(found), file=answers, flush=True)


def ask(process: subprocess.Popen, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
    """Returns what a process that answers finds; None where it ends or takes longer, and then it is ended."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(json.dumps(request), file=process.stdin, flush=True)
        if found := json.loads(process.stdout.readline()):
            timer.cancel()
            return found
    timer.cancel()
    process.kill()
    process.wait()
    # What it has not read would be written once more, when the pipe is closed.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    return None
