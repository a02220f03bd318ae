"""The cluster of a step of Slurm, from the variables that srun sets.

TensorFlow's own resolver sorts the hosts, so that host10 comes before host2 and a task takes another's address.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping

from adgm_tf.host import errors

_NEEDED = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID")
# Ports that a job takes, one a task of a node, by its number: two jobs on a node seldom meet.
FIRST_PORT, NUM_PORTS = 20_000, 10_000
_HOST = re.compile(r"([^,\[\]]+)(?:\[([^\]]+)\])?(?:,|$)")


def has_step(environment: Mapping[str, str]) -> bool:
    """Whether this process is a task of a step of Slurm."""
    return all(name in environment for name in _NEEDED)


def cluster(environment: Mapping[str, str]) -> str:
    """Returns TF_CONFIG of this task: a worker for each task, in the order of their numbers, of block distribution.

    Raises:
      UserError: the variables cannot be read.
    """
    nodes, tasks, number = (environment[name] for name in _NEEDED)
    try:
        first = FIRST_PORT + int(environment.get("SLURM_JOB_ID", 0)) * 16 % NUM_PORTS
        counts = list(itertools.chain.from_iterable(_tasks(part) for part in tasks.split(",")))
        addresses = [f"{host}:{first + i}" for host, count in zip(hosts(nodes), counts, strict=True)
                     for i in range(count)]
        addresses[int(number)]
    except (ValueError, IndexError):
        given = ", ".join(f"{name}={environment[name]}" for name in _NEEDED)
        raise errors.UserError(f"{given}: cannot be read as the nodes and tasks of a step of Slurm") from None
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": int(number)}})


def hosts(nodes: str) -> list[str]:
    """Returns the hosts of a list such as a[01-03,7],b, in its order.

    Raises:
      ValueError: it is no such list.
    """
    found, end = [], 0
    while end < len(nodes):
        match = _HOST.match(nodes, end)
        if not match:
            raise ValueError(nodes)
        prefix, ranges = match.groups()
        found += [prefix + number for part in ranges.split(",") for number in _numbers(part)] if ranges else [prefix]
        end = match.end()
    return found


def _numbers(part: str) -> list[str]:
    first, _, last = part.partition("-")
    return [str(i).zfill(len(first)) for i in range(int(first), int(last or first) + 1)]


def _tasks(part: str) -> list[int]:
    match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
    if not match:
        raise ValueError(part)
    return [int(match[1])] * int(match[2] or 1)
