"""Data on disk against data in memory: peak memory by the size of the data, and the speed of a step.

`python -m adgm_tf.benchmark --on_disk` makes sparse files of zeros in a temporary folder and measures each size in a
process of its own, this module with the data set as its argument.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data import catalogue, splits
from adgm_tf.experiments.speed import processes
from adgm_tf.runs import results
from adgm_tf.training import plan
from adgm_tf.training.step import Trainer

GIBIBYTES = (1, 4, 16)
WIDTH = 3072
WIDTHS = (784, WIDTH)
STEPS = 100
SMALL = dict(model="m2", hidden_units=(200,), latent_dim=20, consistency="none", class_sum="exact", preset="none")
SPEED_MEBIBYTES, TURNS, STEPS_A_TURN = 256, 5, 40


def make(folder: pathlib.Path, num_bytes: int, width: int, dtype: str = "float32") -> str:
    """Makes x.npy [N, width] of zeros that take no disk and y.npy with a label in a thousand; returns its data set."""
    folder.mkdir(parents=True)
    count = num_bytes // (width * np.dtype(dtype).itemsize)
    y = np.where(np.arange(count) % 1000 < 2, np.arange(count) % 2, -1).astype(np.int8)
    np.save(folder / "y.npy", y)
    np.lib.format.open_memmap(folder / "x.npy", "w+", dtype, (count, width)).flush()
    return f"npy:{folder}"


def trainer(dataset: str, **options: object) -> Trainer:
    """Returns what trains on a data set."""
    config = Config(dataset=dataset, test_fraction=0.0, **options)
    found = splits.split(catalogue.load(dataset, options=config), config)
    return Trainer(config, plan.make(config, found), found, tf.distribute.get_strategy())


def memory(dataset: str) -> dict[str, float]:
    """Measures peak memory of this process and the seconds of opening and of a step."""
    start = time.perf_counter()
    built = trainer(dataset, resident="false", **SMALL)
    opened = time.perf_counter() - start
    at_start = processes._peak_memory_mib()
    built.train(STEPS)
    start = time.perf_counter()
    built.train(STEPS)
    return {"rows": len(built.feed.splits.unlabelled), "seconds_to_open": opened, "peak_mib_after_opening": at_start,
            "peak_mib": processes._peak_memory_mib(), "seconds_per_step": (time.perf_counter() - start) / STEPS}


def speed(dataset: str, options: dict[str, object]) -> dict[str, float]:
    """Measures steps with blocks and with resident arrays in turn; returns the median seconds and their ratio."""
    built = {resident: trainer(dataset, resident=resident, **options) for resident in ("true", "false")}
    seconds: dict[str, list[float]] = {resident: [] for resident in built}
    for turn in range(TURNS + 1):
        for resident, one in built.items():
            start = time.perf_counter()
            one.train(STEPS_A_TURN)
            if turn:
                seconds[resident].append((time.perf_counter() - start) / STEPS_A_TURN)
    ratios = [a / b for a, b in zip(seconds["true"], seconds["false"], strict=True)]
    return {"seconds_per_step_resident": statistics.median(seconds["true"]),
            "seconds_per_step_in_blocks": statistics.median(seconds["false"]),
            "speed_in_blocks_over_resident": statistics.median(ratios), "ratios": sorted(ratios)}


def run() -> dict[str, Any]:
    """Measures everything."""
    found: dict[str, Any] = {**results.circumstances(Config(**SMALL)), "memory": [], "speed": []}
    with tempfile.TemporaryDirectory() as folder:
        for size in GIBIBYTES:
            dataset = make(pathlib.Path(folder, f"memory_{size}"), size * 2**30, WIDTH)
            done = subprocess.run([sys.executable, "-m", __name__, dataset], check=True, text=True, capture_output=True)
            found["memory"].append({"gibibytes": size, **json.loads(done.stdout.splitlines()[-1])})
        for width in WIDTHS:
            dataset = make(pathlib.Path(folder, f"speed_{width}"), SPEED_MEBIBYTES * 2**20, width)
            found["speed"].append({"width": width, **speed(dataset, {"preset": "none"})})
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the memory by the size of the data, and the speed beside that of resident arrays, as Markdown."""
    memory_of = [f"| {line['gibibytes']} GiB | {line['rows']:,} | {line['seconds_to_open']:.1f} | "
                 f"{line['peak_mib_after_opening']:,.0f} | {line['peak_mib']:,.0f} | "
                 f"{1000 * line['seconds_per_step']:.1f} |" for line in found["memory"]]
    speed_of = [f"| {line['width']:,} | {1000 * line['seconds_per_step_resident']:.1f} | "
                f"{1000 * line['seconds_per_step_in_blocks']:.1f} | {line['speed_in_blocks_over_resident']:.2f} "
                f"({line['ratios'][0]:.2f} to {line['ratios'][-1]:.2f}) |" for line in found["speed"]]
    return "\n".join([
        "| data on disk | rows | seconds to open | peak MiB then | peak MiB after training | ms a step |",
        "|---|---|---|---|---|---|", *memory_of, "",
        "| columns | ms a step, resident | ms a step, in blocks | speed in blocks over resident |", "|---|---|---|---|",
        *speed_of])


if __name__ == "__main__":
    print(json.dumps(memory(sys.argv[1])))
