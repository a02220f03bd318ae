"""The job of a baseline that is fitted at once: the same data, splits and run directory, and no step of training."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import Any

from adgm_tf import config as config_lib
from adgm_tf.config import Config
from adgm_tf.data import catalogue
from adgm_tf.data import splits as splits_lib
from adgm_tf.host import errors, files
from adgm_tf.runs import record as record_lib
from adgm_tf.runs import results
from adgm_tf.training import strategy as strategy_lib
from adgm_tf.training import systems


def run(config: Config, unused: Sequence[str]) -> dict[str, Any]:
    """Fits and measures the baseline, unless that has been done; returns the results of its run directory, held here.

    `unused` names options that are given in vain.

    Raises:
      UserError: something given cannot be; nothing has been written then.
    """
    if config.label_count(None) == 0:
        raise errors.UserError(f"num_labels=0: {config.model} learns from labels; give at least one a class")
    run_dir = pathlib.Path(config.run_dir)
    if not strategy_lib.leads(config.strategy):
        print(f"{config.model} is fitted by the first worker alone; nothing to do here", flush=True)
        return {"run_dir": config.run_dir}
    splits = splits_lib.split(catalogue.load(config.dataset, config.data_dir, config), config)
    if (run_dir / splits_lib.FILE).exists():
        splits_lib.check(splits, run_dir)
    notes = [f"{config.model} on {config.dataset}: {run_dir}", splits_lib.describe(splits)]
    if unused:
        notes.append(f"{config.model} does not use {', '.join(unused)}")
    print("\n".join(notes), flush=True)
    return _fit(config, run_dir, splits)


def _fit(config: Config, run_dir: pathlib.Path, splits: splits_lib.Splits) -> dict[str, Any]:
    if (run_dir / "results.json").exists():
        print("the run is finished; its results are kept", flush=True)
        return files.read_json(run_dir / "results.json", "run_dir")
    with files.whole_or_not_at_all(run_dir):
        config_lib.write(config, run_dir)
        splits_lib.write(splits, run_dir)
        measured = _measure(config, splits)
        record_lib.describe_fitted(run_dir / "final", config, measured)
        files.write_json(run_dir / "results.json", measured)
    return measured


def _measure(config: Config, splits: splits_lib.Splits) -> dict[str, Any]:
    start = time.monotonic()
    predict_proba = systems.FITTED[config.model](splits, config.seed)
    seconds = time.monotonic() - start

    return {"model": config.model, "dataset": config.dataset, "num_labels": len(splits.labelled),
            "num_valid_labels": len(splits.valid), "run_dir": config.run_dir, "steps": 0, "seconds": seconds,
            **results.measure_errors(predict_proba, splits), **results.circumstances(config)}
