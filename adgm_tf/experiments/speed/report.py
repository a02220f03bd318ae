"""The benchmark as a whole: what it runs, the table, the check against stored ratios."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import pandas as pd

from adgm_tf.config import Config
from adgm_tf.experiments.speed import cases, measure, processes
from adgm_tf.host import errors
from adgm_tf.runs import results

# Ratios of which less is better; of all others more is.
SMALLER_IS_BETTER = ("topk_1000_over_10_classes", "exact_1000_over_10_classes", "non_matmul_share_float32",
                     "ten_over_one_samples", "shared_10_over_1_samples", "layer_normalization_over_none",
                     "batch_normalization_over_none", "two_devices_over_one", "two_processes_over_one")


# The target of a ratio: at least or at most a number, or that share of the counted ratio of the same name.
TARGETS = {
    "exact_of_matmul_peak_float32": (">=", 0.8, False),
    "exact_over_naive": (">=", 1.0, True),
    "topk_over_exact": (">=", 0.9, True),
    "topk_over_exact_10_samples": (">=", 0.9, True),
    "topk_1000_over_10_classes": ("<=", 1.3, False),
    "ten_over_one_samples": ("<=", 10.0, False),
    "non_matmul_share_float32": ("<=", 0.2, False),
    "layer_normalization_over_none": ("<=", 1.15, False),
    "batch_normalization_over_none": ("<=", 1.15, False),
    "bfloat16_over_float32_batch_100": (">=", 1.4, False),
    "bfloat16_over_float32_batch_500": (">=", 2.0, False),
}


def run(only: Sequence[str], rounds: int, *, quick: bool) -> dict[str, Any]:
    """Measures the quick cases, or all, or those named; returns everything that was found."""
    table = cases.QUICK if quick else cases.FULL
    chosen = {name: errors.lookup(table, "only", name) for name in only} if only else table
    measured = measure.measure(chosen, rounds)
    found = {**results.circumstances(Config()), "rounds": rounds, "product_gflops": measured["product_gflops"],
             "cases": measured["cases"], **measured["ratios"]}
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, alone in zip(chosen, pool.map(processes.alone_elsewhere, chosen), strict=True):
            found["cases"][name]["peak_memory_mib"] = alone["peak_memory_mib"]
    if not only:
        found["processes"] = processes.scaling("exact", 1 if quick else 3, 20)
        one = found["processes"]["one_device"]["seconds_per_step"]
        for kind in ("two_devices", "two_processes"):
            found["ratios"][f"{kind}_over_one"] = found["processes"][kind]["seconds_per_step"] / one
        found["processes"] |= (memory := processes.freed_memory("defaults_topk", 3 if quick else 7, 100))
        found["ratios"]["freed_memory_kept_over_given_back"] = (
            memory["memory_given_back"]["seconds_per_step"] / memory["memory_kept"]["seconds_per_step"])
    return found


def text(found: Mapping[str, Any]) -> str:
    """Returns the figures as tables."""
    rates = {f"{d} product, GFLOP/s": _shown(rate) for d, rate in found["product_gflops"].items()}
    lines = [f"{found['hardware']['cpu']}, {os.cpu_count()} cores, {platform.system()}, "
             f"tensorflow {found['versions']['tensorflow']}", *(f"{k}: {v}" for k, v in rates.items()), ""]
    table = pd.DataFrame([_row(figures) for figures in found["cases"].values()])
    lines += [table.to_string(index=False), "", pd.Series(found["ratios"]).to_string(float_format="%.3f")]
    if "processes" in found:
        lines += ["", pd.DataFrame(found["processes"]).T.to_string(float_format="%.3f")]
    return "\n".join(lines)


def _row(figures: Mapping[str, Any]) -> dict[str, str]:
    return {"case": figures["case"], "ms a step": _shown(figures["milliseconds"]),
            "steps/s": f"{figures['steps_per_second']:.2f}", "examples/s": f"{figures['examples_per_second']:,.0f}",
            "first call s": f"{figures['seconds_to_first_step']:.1f}",
            "GFLOP a step": f"{figures['gigaflop_per_step']:.2f}", "GFLOP/s": f"{figures['gflops']:.0f}",
            "of product rate": f"{figures['of_product_rate']:.2f}",
            "peak MiB": f"{figures['peak_memory_mib']:.0f}" if "peak_memory_mib" in figures else ""}


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the cases, and the ratios beside their targets, as the tables that the README shows."""
    rows = [_row(figures) for figures in found["cases"].values()]
    return "\n\n".join((_grid(list(rows[0]), [list(row.values()) for row in rows]),
                        _grid(["ratio", "measured", "target", "met"], _targets(found["ratios"]))))


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def _targets(ratios: Mapping[str, float]) -> list[list[str]]:
    rows = []
    for name, value in ratios.items():
        if name.endswith("_counted"):
            continue
        row = [name.replace("_", " "), f"{value:.3f}", "", ""]
        if name in TARGETS:
            sign, bound, of_counted = TARGETS[name]
            bound *= ratios[f"{name}_counted"] if of_counted else 1
            row[2:] = [f"{sign} {bound:.2f}" + (" (counted)" if of_counted else ""),
                       "yes" if (value >= bound if sign == ">=" else value <= bound) else "no"]
        rows.append(row)
    return rows


def check(found: Mapping[str, Any], stored: Mapping[str, float], tolerance: float) -> None:
    """Compares ratios with stored ones.

    Raises:
      UserError: one is worse by more than the tolerance; the message names all of them.
    """
    worse = []
    for name, value in found["ratios"].items():
        if name.endswith("_counted") or name not in stored:
            continue
        change = value / stored[name] if name in SMALLER_IS_BETTER else stored[name] / value
        if change > 1 + tolerance:
            worse.append(f"{name} is {value:.3f}, was {stored[name]:.3f}")
    if worse:
        raise errors.UserError(f"check: worse by more than {tolerance:.0%}: {'; '.join(worse)}")


def _shown(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.1f} ({spread['min']:.1f} to {spread['max']:.1f})"
