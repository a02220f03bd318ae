"""Tables of finished runs."""

from __future__ import annotations

import glob
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from adgm_tf import errors, files

COLUMNS = ("row", "split_seed", "seed", "test_error_percent", "best_valid_test_error_percent",
           "transductive_error_percent", "steps", "seconds", "num_valid_labels", "test_bound_nats")
SUMMARISED = {"test_error_percent": "test error %", "best_valid_test_error_percent": "best on validation %",
              "transductive_error_percent": "transductive error %", "test_bound_nats": "test bound, nats",
              "seconds": "seconds"}


def collect(patterns: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the results of every finished run that a pattern names, with its row, sorted.

    Raises:
      UserError: no pattern names a finished run.
    """
    found = sorted({pathlib.Path(p) for pattern in patterns for p in glob.glob(pattern)})  # noqa: PTH207
    finished = [p for p in found if (p / "results.json").is_file()]
    if not finished:
        raise errors.UserError(f"runs={','.join(patterns)}: no finished run there (a folder with a results.json)")
    return [{"row": p.parent.name, **json.loads((p / "results.json").read_text())} for p in finished]


def read(path: os.PathLike | str) -> list[dict[str, Any]]:
    """Returns the lines of a CSV file that `write` wrote."""
    return pd.read_csv(path).to_dict("records")


def write(lines: Sequence[dict[str, Any]], path: os.PathLike | str) -> None:
    """Writes a line a run as CSV, and the versions and the hardware of all of them to `environment.json` beside it."""
    table = pd.DataFrame(lines).reindex(columns=COLUMNS)
    files.write_text(path, table.to_csv(index=False, float_format="%.4f"))
    distinct = {json.dumps({k: line[k] for k in ("versions", "hardware")}, sort_keys=True) for line in lines}
    files.write_json(pathlib.Path(path).with_name("environment.json"), [json.loads(d) for d in sorted(distinct)])


def markdown(lines: Sequence[dict[str, Any]]) -> str:
    """Returns a line a row: mean and standard deviation over its runs, and how many and how long they are."""
    table = pd.DataFrame(lines).reindex(columns=COLUMNS)
    rows = ["| row | runs | steps | " + " | ".join(SUMMARISED.values()) + " |",
            "|" + "---|" * (3 + len(SUMMARISED))]
    for row, group in table.groupby("row", sort=True):
        steps = sorted(set(group["steps"]))
        shown = [_mean_and_deviation(group[column].dropna()) for column in SUMMARISED]
        rows.append(f"| {row} | {len(group)} | {' '.join(f'{s:,}' for s in steps)} | {' | '.join(shown)} |")
    return "\n".join(rows)


def _mean_and_deviation(values: pd.Series) -> str:
    if values.empty:
        return "-"
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")
