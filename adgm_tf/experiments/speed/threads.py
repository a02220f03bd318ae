"""Independent branches of a step on a core each against every product on all cores, in turn.

`python -m adgm_tf.benchmark --threads` runs it. TensorFlow has one pool of threads that operations start on (inter-op)
and one that the parts of an operation run on (intra-op).
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from adgm_tf.config import Config
from adgm_tf.experiments.speed import against
from adgm_tf.host import errors
from adgm_tf.runs import results

CASES = ("exact", "topk", "icml_exact", "three_terms")
# The first is TensorFlow's own: as many as there are cores.
DEFAULT = "both"


def run() -> dict[str, Any]:
    """Returns the milliseconds a step by case and by which pool has all cores, and how fast each is beside the default.

    Raises:
      UserError: a case cannot be measured.
    """
    cores = os.cpu_count()
    found: dict[str, Any] = {**results.circumstances(Config()), "turns": against.TURNS, "cores": cores, "cases": {}}
    with _pools(cores, cores) as both, _pools(cores, 1) as branches, _pools(1, cores) as products:
        workers = {DEFAULT: both, "branches": branches, "products": products}
        try:
            for name in CASES:
                found["cases"][name] = _compared(against.in_turn(workers, name))
        except (ValueError, BrokenPipeError):
            raise errors.UserError(f"threads: steps of {name} cannot be measured") from None
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the figures as a Markdown table."""
    lines = [f"| {name} | {one['ms'][DEFAULT]:.1f} | " + " | ".join(
        f"{one['times_as_fast'][which]:.2f} ({one['ratios'][which][0]:.2f} to {one['ratios'][which][-1]:.2f})"
        for which in one["ratios"]) + " |" for name, one in found["cases"].items()]
    return "\n".join([f"| case | ms a step, {found['cores']} threads in both pools | branches alone: times as fast | "
                      "products alone: times as fast |", "|---|---|---|---|", *lines])


def _pools(inter: int, intra: int) -> AbstractContextManager[subprocess.Popen]:
    return against.worker(TF_NUM_INTEROP_THREADS=str(inter), TF_NUM_INTRAOP_THREADS=str(intra))


def _compared(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    ratios = {which: sorted(a / b for a, b in zip(seconds[DEFAULT], spent, strict=True))
              for which, spent in seconds.items() if which != DEFAULT}
    return {"ms": {which: 1000 * statistics.median(spent) for which, spent in seconds.items()},
            "times_as_fast": {which: statistics.median(each) for which, each in ratios.items()}, "ratios": ratios}
