"""Where the time of a step goes, by kind of operation, from TensorFlow's profiler."""

from __future__ import annotations

import collections
import pathlib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.experiments.speed import cases
from adgm_tf.host import errors
from adgm_tf.runs import results

STEPS = 40
# The kind of an operation is the first whose pattern is found in its name:type.
KINDS = {
    "products": r":_?\w*MatMul\w*$",
    "normalisation": r"(batch|layer)_normalization\w*/",
    "random numbers": r":Stateless(Random|Truncated|Multinomial)\w*$",
    "optimiser": r"/Adam/|clip_by_global_norm|global_norm|:L2Loss$",
    "log-densities": r"/log_prob/|/sample/",
    "other": "",
}


def kind_of(operation: str) -> str:
    """Returns the kind of an operation `name:type` of a step."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, operation))


def seconds(run: Callable[[], object]) -> dict[str, float]:
    """Returns the seconds that each operation `name:type` on the CPU took while `run` ran."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        traced = xplane_pb2.XSpace.FromString(path.read_bytes())
    found: dict[str, float] = collections.defaultdict(float)
    for plane in (p for p in traced.planes if p.name.startswith("/host:CPU")):
        for event in (e for line in plane.lines for e in line.events):
            name = plane.event_metadata[event.metadata_id].name
            if re.fullmatch(r"[\w./]+:\w+", name):
                found[name] += 1e-12 * event.duration_ps
    return dict(found)


def shares(train: Callable[[int], object]) -> dict[str, float]:
    """Returns the share of each kind in the time of all operations of a step; `train` takes a number of steps."""
    train(3)
    found = collections.Counter(dict.fromkeys(KINDS, 0.0))
    for operation, spent in seconds(lambda: train(STEPS)).items():
        found[kind_of(operation)] += spent
    return {kind: spent / sum(found.values()) for kind, spent in found.items()}


def run(names: Sequence[str]) -> dict[str, Any]:
    """Returns the shares of the kinds in a step of each of these cases."""
    chosen = {name: errors.lookup(cases.FULL, "profile", name) for name in names}
    return {**results.circumstances(Config()),
            "cases": {name: shares(case.trainer().train) for name, case in chosen.items()}}


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the shares in % as a Markdown table."""
    lines = [f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in of.values())} |"
             for name, of in found["cases"].items()]
    return "\n".join([f"| case, % of the time | {' | '.join(KINDS)} |", "|---" * (1 + len(KINDS)) + "|", *lines])
