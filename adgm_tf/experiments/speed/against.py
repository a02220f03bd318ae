"""Steps of this version and of another checkout in turn: two processes, of which one steps while the other waits.

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

# Fields of Case, and of Config where a case of an earlier version has none of that name.
CASES = {
    "exact": ({}, {}),
    "topk": ({"mode": "topk"}, {}),
    "icml_exact": ({"model": "adgm_icml"}, {}),
    "exact_layer": ({"normalization": "layer"}, {}),
    "three_terms": ({"model": "sdgm", "mode": "topk", "normalization": "batch", "consistency": "vat"},
                    {"entropy_weight": 2.0, "balance_weight": 1.0}),
}
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
    with _worker(other) as that, _worker(pathlib.Path(__file__).parents[3]) as this:
        try:
            for name in CASES:
                found["cases"][name] = _in_turn({"that": that, "this": this}, name)
        except (ValueError, BrokenPipeError):
            raise errors.UserError(f"against={checkout}: its steps of {name} cannot be measured") from None
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the figures as a Markdown table."""
    lines = [f"| {name} | {one['that_ms']:.1f} | {one['this_ms']:.1f} | {one['times_as_fast']:.2f} "
             f"({one['ratios'][0]:.2f} to {one['ratios'][-1]:.2f}) |" for name, one in found["cases"].items()]
    return "\n".join(["| case | ms a step, before | ms a step, now | times as fast |", "|---|---|---|---|", *lines])


@contextlib.contextmanager
def _worker(root: pathlib.Path) -> Iterator[subprocess.Popen]:
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, cwd=root, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _in_turn(workers: Mapping[str, subprocess.Popen], name: str) -> dict[str, Any]:
    steps = max(2, round(SECONDS_A_TURN / max(_ask(worker, name, 3) for worker in workers.values())))
    seconds: dict[str, list[float]] = {which: [] for which in workers}
    for turn in range(TURNS):
        for which in (list(workers), list(workers)[::-1])[turn % 2]:
            seconds[which].append(_ask(workers[which], name, steps))
    ratios = sorted(a / b for a, b in zip(seconds["that"], seconds["this"], strict=True))
    return {**{f"{which}_ms": 1000 * statistics.median(spent) for which, spent in seconds.items()},
            "times_as_fast": statistics.median(ratios), "ratios": ratios}


def _ask(worker: subprocess.Popen, name: str, steps: int) -> float:
    """Seconds a step."""
    print(json.dumps([*CASES[name], steps]), file=worker.stdin, flush=True)
    return float(worker.stdout.readline())


def _answer() -> None:
    """Takes the steps that each line asks for and says how long one took."""
    from adgm_tf.data import splits as splits_lib
    from adgm_tf.experiments.speed import cases
    from adgm_tf.host import cli
    from adgm_tf.training import plan
    from adgm_tf.training.step import Trainer
    cli.keep_freed_memory()
    import tensorflow as tf
    built: dict[str, Trainer] = {}
    for line in sys.stdin:
        case, options, steps = json.loads(line)
        key = json.dumps([case, options])
        if key not in built:
            config = dataclasses.replace(cases.Case(**case).config(), **options)
            splits = splits_lib.split(cases.synthetic(10), config)
            built[key] = Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
            built[key].train(2)
        start = time.perf_counter()
        built[key].train(steps)
        print((time.perf_counter() - start) / steps, flush=True)


if __name__ == "__main__":
    _answer()
