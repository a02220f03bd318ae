"""Steps of this version and of another checkout in turn: processes, of which one steps while the others wait.

`python -m adgm_tf.benchmark --against=CHECKOUT` runs it. This file is also the process itself, a script that imports
the version which PYTHONPATH names, so it asks of that version no more than cases and trainers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

CASES = ("exact", "topk", "icml_exact", "exact_layer", "three_terms")
TURNS, SECONDS_A_TURN = 15, 0.5


def run(checkout: str) -> dict[str, Any]:
    """Returns the milliseconds a step of both by case, and how many times as fast this version is.

    Raises:
      UserError: `checkout` holds no adgm_tf whose steps can be measured.
    """
    from adgm_tf.config import Config
    from adgm_tf.host import errors
    from adgm_tf.runs import results
    other = pathlib.Path(checkout).resolve()
    if not (other / "adgm_tf" / "__init__.py").is_file():
        raise errors.UserError(f"against={checkout}: holds no adgm_tf")
    found: dict[str, Any] = {**results.circumstances(Config()), "turns": TURNS, "cases": {}}
    with worker(other) as that, worker() as this:
        try:
            for name in CASES:
                found["cases"][name] = _compared(in_turn({"that": that, "this": this}, name))
        except (ValueError, BrokenPipeError):
            raise errors.UserError(f"against={checkout}: its steps of {name} cannot be measured") from None
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the figures as a Markdown table."""
    lines = [f"| {name} | {one['that_ms']:.1f} | {one['this_ms']:.1f} | {one['times_as_fast']:.2f} "
             f"({one['ratios'][0]:.2f} to {one['ratios'][-1]:.2f}) |" for name, one in found["cases"].items()]
    return "\n".join(["| case | ms a step, before | ms a step, now | times as fast |", "|---|---|---|---|", *lines])


@contextlib.contextmanager
def worker(root: pathlib.Path = pathlib.Path(__file__).parents[3], *, script: str = __file__,
           **environment: str) -> Iterator[subprocess.Popen]:
    """Starts a process that takes steps of the adgm_tf in `root`, with these environment variables besides.

    Another script than this one may say what it is asked for.
    """
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    with subprocess.Popen([sys.executable, "-P", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, cwd=root, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def in_turn(workers: Mapping[str, subprocess.Popen], name: str) -> dict[str, list[float]]:
    """Returns the seconds a step of a case by worker, one for every turn.

    Raises:
      ValueError, BrokenPipeError: a worker has ended.
    """
    steps = max(2, round(SECONDS_A_TURN / max(_ask(one, name, 3) for one in workers.values())))
    seconds: dict[str, list[float]] = {which: [] for which in workers}
    for turn in range(TURNS):
        for which in (list(workers), list(workers)[::-1])[turn % 2]:
            seconds[which].append(_ask(workers[which], name, steps))
    return seconds


def _compared(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    ratios = sorted(a / b for a, b in zip(seconds["that"], seconds["this"], strict=True))
    return {**{f"{which}_ms": 1000 * statistics.median(spent) for which, spent in seconds.items()},
            "times_as_fast": statistics.median(ratios), "ratios": ratios}


def _ask(process: subprocess.Popen, name: str, steps: int) -> float:
    """Seconds a step."""
    from adgm_tf.experiments.speed import cases
    fields = {field: value for field, value in dataclasses.asdict(cases.FULL[name]).items()
              if value != getattr(cases.BASE, field)}
    print(json.dumps([fields, steps]), file=process.stdin, flush=True)
    return float(process.stdout.readline())


def _answer() -> None:
    """Takes the steps that each line asks for and says how long one took."""
    from adgm_tf.data import splits as splits_lib
    from adgm_tf.experiments.speed import cases
    from adgm_tf.host import cli
    from adgm_tf.training import plan
    from adgm_tf.training.step import Trainer
    cli.keep_freed_memory()
    # As its training has them; an earlier version has no such choice.
    getattr(cli, "one_core_an_operation", lambda: None)()
    import tensorflow as tf
    built: dict[str, Trainer] = {}
    for line in sys.stdin:
        fields, steps = json.loads(line)
        key = json.dumps(fields)
        if key not in built:
            # A field that an earlier version's Case has not is an option of the same name there.
            known = {field: fields.pop(field) for field in cases.Case.__dataclass_fields__ if field in fields}
            config = dataclasses.replace(cases.Case(**known).config(), **fields)
            splits = splits_lib.split(cases.synthetic(10), config)
            built[key] = Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
            built[key].train(2)
        start = time.perf_counter()
        built[key].train(steps)
        print((time.perf_counter() - start) / steps, flush=True)


if __name__ == "__main__":
    _answer()
