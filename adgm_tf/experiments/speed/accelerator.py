"""Steps a second on a GPU, by batch: plain, with XLA, in bfloat16, beside a port in PyTorch; on a CPU if there is none.

`python -m adgm_tf.benchmark --accelerator --minutes=8` runs it. What the minutes do not suffice for is not measured and
is said to be so. The most useful figures come first. This file is also the process that measures the package's own
steps; `torch_port.py` measures those of PyTorch, where that is installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.metadata
import importlib.util
import pathlib
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from adgm_tf.config import Config
from adgm_tf.experiments.speed import against, cases, figures
from adgm_tf.runs import results

# What launch/best_deep/flags.txt has that a step depends on, but for the batches and the type of the products.
BEST_DEEP = dict(model="sdgm", class_sum="topk", classifier_units=(1000, 500, 250, 250, 250), classifier_noise=0.3,
                 consistency="vat", consistency_weight=16.0, entropy_weight=4.0, balance_weight=16.0,
                 binarization="none", normalization="batch", learning_rate=2e-3, learning_rate_schedule="linear")
MODELS: dict[str, Config] = {
    "adgm": cases.BASE.config(),
    "sdgm": cases.FULL["three_terms"].config(),
    "best_deep": Config(num_labels="100", **BEST_DEEP),
    "sdgm_exact": cases.Case("sdgm").config(),
}
# The models of which the port has the same step, and the row that it is.
PORTED = {"adgm": "adgm", "sdgm_exact": "sdgm"}
BATCHES = (100, 500, 1000, 4000)
OWN = {"float32": {}, "xla": {"xla": True}, "xla_bfloat16": {"xla": True, "compute_dtype": "bfloat16"}}
VARIANTS = {"float32": "plain", "xla": "XLA", "xla_bfloat16": "XLA, bfloat16", "torch_eager": "PyTorch, eager",
            "torch_compiled": "compiled", "torch_graphs": "compiled, CUDA graphs",
            "torch_bfloat16": "CUDA graphs, bfloat16"}
# The order of measuring: at each batch these first, then all the rest.
_BATCHES_IN_TURN = (100, 4000, 1000, 500)
_FIRST = {"adgm": ("xla", "float32", "torch_graphs", "torch_compiled", "torch_eager"),
          "sdgm": ("float32", "xla"), "best_deep": ("float32", "xla")}
# One figure that hangs must not cost all others.
MOST_SECONDS = 120
_SCRIPTS = {"tensorflow": __file__, "torch": str(pathlib.Path(__file__).with_name("torch_port.py"))}
NOT_INSTALLED = "not installed"


@dataclasses.dataclass(frozen=True)
class Figure:
    """What is measured: a model, labelled and unlabelled examples a step, each so many, and a variant."""

    model: str
    batch: int
    variant: str

    @property
    def framework(self) -> str:
        """What measures it, a key of the scripts."""
        return "tensorflow" if self.variant in OWN else "torch"


def planned() -> list[Figure]:
    """Returns every figure, the most useful first."""
    batches = sorted(BATCHES, key=_BATCHES_IN_TURN.index)
    found = [Figure(model, batch, variant) for batch in batches for model, first in _FIRST.items() for variant in first]
    found += [Figure(model, batch, variant) for batch in batches for model in MODELS for variant in VARIANTS]
    return [figure for figure in dict.fromkeys(found) if figure.framework == "tensorflow" or figure.model in PORTED]


def run(minutes: float) -> dict[str, Any]:
    """Returns the figures that the minutes suffice for, and why there is no other."""
    end = time.monotonic() + 60 * minutes
    found = {**results.circumstances(Config()), "minutes": minutes, "calls": figures.CALLS,
             "most_steps_per_call": figures.STEPS_A_CALL, "figures": []}
    found["versions"]["torch"] = importlib.metadata.version("torch") if _has_torch() else NOT_INSTALLED
    with contextlib.ExitStack() as stack:
        running: dict[str, subprocess.Popen] = {}
        for figure in planned():
            measured = _measured(figure, running, stack, end)
            found["figures"].append({**dataclasses.asdict(figure), **measured})
            if time.monotonic() < end:
                print(f"{figure.model}, batch {figure.batch}, {figure.variant}: {_cell(measured)}", flush=True)
    return found


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _measured(figure: Figure, running: dict[str, subprocess.Popen], stack: contextlib.ExitStack,
              end: float) -> dict[str, Any]:
    """What a step costs, or why that is missing; starts the process that measures it if none is running."""
    if figure.framework == "torch" and not _has_torch():
        return {"missing": NOT_INSTALLED}
    left = end - time.monotonic()
    if left <= 0:
        return {"missing": "not measured"}
    if figure.framework not in running or running[figure.framework].poll() is not None:
        # TensorFlow would take all memory of a GPU, and leave none to the other process.
        running[figure.framework] = stack.enter_context(against.worker(
            script=_SCRIPTS[figure.framework], TF_FORCE_GPU_ALLOW_GROWTH="true"))
    model = figure.model if figure.framework == "tensorflow" else PORTED[figure.model]
    request = {"model": model, "batch": figure.batch, "variant": figure.variant}
    answered = figures.ask(running[figure.framework], request, min(left, MOST_SECONDS))
    if answered is None and time.monotonic() >= end:
        return {"missing": "not measured"}
    if answered is None:
        return {"missing": f"failed: its process ended, or took more than {MOST_SECONDS} seconds"}
    if "steps_per_second" in answered:
        answered["examples_per_second"] = 2 * figure.batch * answered["steps_per_second"]
    return answered


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the figures as a Markdown table, and below it on what they were measured and what is missing."""
    by_name = {(one["model"], one["batch"], one["variant"]): one for one in found["figures"]}
    rows = {(one["model"], one["batch"]) for one in found["figures"]}
    lines = [f"| {model}, {batch}+{batch} | "
             + " | ".join(_cell(by_name.get((model, batch, variant))) for variant in VARIANTS) + " |"
             for model, batch in sorted(rows, key=lambda row: (list(MODELS).index(row[0]), row[1]))]
    return "\n".join([f"| steps/s (examples/s) | {' | '.join(VARIANTS.values())} |", "|---" * (1 + len(VARIANTS)) + "|",
                      *lines, "", *_remarks(found)])


def _cell(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "no port"
    if "steps_per_second" in one:
        return f"{one['steps_per_second']:,.1f} ({one['examples_per_second']:,.0f})"
    return one["missing"].partition(":")[0]


def _remarks(found: Mapping[str, Any]) -> list[str]:
    """On what the figures were measured, and what is missing."""
    lines = [f"Medians of {found['calls']} calls of at most {found['most_steps_per_call']} steps."]
    for framework, package in (("tensorflow", "TensorFlow"), ("torch", "PyTorch")):
        of_it = [one for one in found["figures"] if (one["variant"] in OWN) == (framework == "tensorflow")]
        on = sorted({_device(one) for one in of_it if "device" in one})
        lines.append(f"{package} {found['versions'][framework]}" + (f" on {'; '.join(on)}." if on else "."))
    if left := sum(one.get("missing") == "not measured" for one in found["figures"]):
        lines.append(f"Not measured: {left} of {len(found['figures'])} figures, for which "
                     f"--minutes={found['minutes']:g} did not suffice.")
    return lines + [f"{one['model']}, {one['batch']}+{one['batch']}, {VARIANTS[one['variant']]}: {one['missing']}."
                    for one in found["figures"] if one.get("missing", "").startswith("failed")]


def _device(one: Mapping[str, Any]) -> str:
    if one["device"] == "CPU":
        return "CPU"
    return f"{one['device']}, TensorFloat-32 {'on' if one['tf32'] else 'off'}"


def _answer(model: str, batch: int, variant: str) -> dict[str, Any]:
    """What a step of the package costs, and on what."""
    import tensorflow as tf

    from adgm_tf.data import splits as splits_lib
    from adgm_tf.training import plan
    from adgm_tf.training.step import Trainer
    gc.collect()
    config = dataclasses.replace(MODELS[model], labelled_batch_size=batch, unlabelled_batch_size=batch, **OWN[variant])
    splits = splits_lib.split(cases.synthetic(10), config)
    trainer = Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
    gpus = tf.config.list_physical_devices("GPU")
    device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    return figures.timed(trainer.train) | {
        "device": device, "tf32": tf.config.experimental.tensor_float_32_execution_enabled()}


if __name__ == "__main__":
    from adgm_tf.host import cli
    cli.keep_freed_memory()
    cli.one_core_an_operation()
    figures.answer(_answer)
