"""Tables of finished runs."""

from __future__ import annotations

import glob
import json
import os
import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from adgm_tf.host import errors, files

COLUMNS = ("row", "split_seed", "seed", "test_error_percent", "best_valid_test_error_percent",
           "transductive_error_percent", "steps", "seconds", "num_valid_labels", "test_bound_nats",
           "median_of_last_20_test_error_percent", "log_likelihood_nats", "valid_error_percent", "version", "machine",
           "compute_dtype")
WHOLE = ("split_seed", "seed", "steps", "num_valid_labels")
TEXT = ("row", "version", "machine", "compute_dtype")
CIRCUMSTANCES = ("versions", "hardware")
KEY = ("row", "split_seed", "seed")
SUMMARISED = {"test_error_percent": "test error %", "valid_error_percent": "validation error %",
              "best_valid_test_error_percent": "best on validation %",
              "median_of_last_20_test_error_percent": "median of last 20 %",
              "transductive_error_percent": "transductive error %", "test_bound_nats": "test bound, nats",
              "log_likelihood_nats": "log-likelihood, nats", "seconds": "seconds"}
LAST = 20
LIKELIHOOD_SAMPLES = 1000
# The version since which the batches come in the right order, and the mark of rows with runs from before it.
MENDED = (0, 2, 0)
MARK = "†"
MARKED = f"{MARK} Trained by a version before 0.2.0, in which the order of the batches was mended."


def folders(patterns: Sequence[str]) -> list[pathlib.Path]:
    """Returns what the patterns name, sorted."""
    return sorted({pathlib.Path(p) for pattern in patterns for p in glob.glob(pattern)})  # noqa: PTH207


def collect(patterns: Sequence[str], *, may_be_none: bool = False) -> list[dict[str, Any]]:
    """Returns the results of every finished run that a pattern names, with its row, sorted.

    Raises:
      UserError: no pattern names a finished run, and there must be one; or a row has runs of several models.
    """
    finished = [p for p in folders(patterns) if (p / "results.json").is_file()]
    if not finished and not may_be_none:
        raise errors.UserError(f"runs={','.join(patterns)}: no finished run there (a folder with a results.json)")
    lines = [_line(p) for p in finished]
    check_models([(line["row"], str(line["model"])) for line in lines if "model" in line], patterns)
    by_key: dict[tuple, list[str]] = {}
    for path, line in zip(finished, lines, strict=True):
        by_key.setdefault(tuple(line[k] for k in KEY), []).append(str(path))
    for paths in by_key.values():
        if len(paths) > 1:
            print(f"warning: {' and '.join(paths)} have one row, split and seed; the one with more steps counts, of "
                  "equal ones the last", flush=True)
    return lines


def check_models(found: Sequence[tuple[str, str]], patterns: Sequence[str]) -> None:
    """Checks the rows and models of runs that `patterns` named.

    Raises:
      UserError: a row has runs of several models.
    """
    for row in {row for row, _ in found}:
        models = sorted({str(model) for other, model in found if other == row})
        if len(models) > 1:
            raise errors.UserError(f"runs={','.join(patterns)}: row {row}, the folder above the runs, has runs of "
                                   f"{', '.join(models)}; train them with --run_dir=runs/<row>/<split>")


def row_of(run_dir: pathlib.Path) -> str:
    """Returns the name of the folder above the run."""
    return run_dir.absolute().parent.name


def _line(run_dir: pathlib.Path) -> dict[str, Any]:
    line = {"row": row_of(run_dir), **files.read_json(run_dir / "results.json", "runs")}
    for key in COLUMNS:
        if key in TEXT:
            continue
        value, needed = line.get(key), key in (*KEY, "steps")
        kind, name = (int, "a whole number") if key in WHOLE else (int | float, "a number")
        fits = is_number(value) and isinstance(value, kind)
        if not fits and (needed or value is not None):
            raise errors.UserError(f"runs={run_dir}: results.json has {key}={value}, which must be {name}")
    tracked = [m["test_error_percent"] for m in files.read_json_lines(run_dir / "metrics.jsonl")
               if is_number(m.get("test_error_percent")) and m["step"] <= line["steps"]]
    if len(tracked) >= LAST:
        line["median_of_last_20_test_error_percent"] = statistics.median(tracked[-LAST:])
    path = run_dir / "evaluation" / f"test-importance{LIKELIHOOD_SAMPLES}.json"
    evaluated = files.read_json(path, "runs") if path.is_file() else {}
    asked = {"dataset": line.get("dataset"), "split": "test", "step": line["steps"],
             "num_importance_samples": LIKELIHOOD_SAMPLES}
    if all(evaluated.get(k) == v for k, v in asked.items()) and is_number(evaluated.get("log_likelihood_nats")):
        line["log_likelihood_nats"] = evaluated["log_likelihood_nats"]
    return line | _made_with(run_dir, line)


def _made_with(run_dir: pathlib.Path, line: Mapping[str, Any]) -> dict[str, str]:
    """Version, machine and type of the products of a run, where its files have them."""
    path = run_dir / "config.json"
    config = files.read_json(path, "runs") if path.is_file() else {}
    versions, hardware = (line.get(key) if isinstance(line.get(key), dict) else {} for key in CIRCUMSTANCES)
    gpus = hardware.get("gpus") if isinstance(hardware.get("gpus"), list) else []
    found = {"version": versions.get("adgm_tf"), "machine": (gpus or [hardware.get("cpu")])[0],
             "compute_dtype": config.get("compute_dtype")}
    return {key: " ".join(value.split()) for key, value in found.items() if isinstance(value, str) and value.strip()}


def is_number(value: Any) -> bool:
    """Whether a value that was read is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def read_table(path: os.PathLike | str, columns: Sequence[str], counter: str) -> pd.DataFrame:
    """Returns a CSV file of `columns`, whose lines belong to runs and have a number as `counter`.

    Raises:
      UserError: it is none.
    """
    needed = (*KEY, counter)
    whole = [column for column in columns if column in (*WHOLE, counter)]
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
        fits = table[list(needed)].notna().all(axis=None) and set(table) <= set(columns) and all(
            pd.api.types.is_numeric_dtype(table[column]) for column in table if column not in TEXT) and all(
            (table[column].dropna() % 1 == 0).all() for column in table if column in whole)
    except (OSError, ValueError, KeyError):
        fits = False
    if not fits:
        words = [column for column in columns if column in TEXT]
        raise errors.UserError(f"csv={path}: must be a CSV file with {', '.join(needed)} in every line, of the columns "
                               f"{', '.join(columns)}; all but {', '.join(words)} are numbers, {', '.join(whole)} "
                               "whole ones")
    return table


def read(path: os.PathLike | str) -> list[dict[str, Any]]:
    """Returns the lines of a CSV file that `write` wrote.

    Raises:
      UserError: it is none.
    """
    return read_table(path, COLUMNS, "steps").to_dict("records")


def write(lines: Sequence[dict[str, Any]], path: os.PathLike | str, *, keep: bool = False) -> None:
    """Writes a line a run as CSV, and versions and hardware to `environment.json` beside it.

    What stands there is kept if `keep`, or if there are tables of other runs beside it.
    """
    keep = keep or any(other.name != pathlib.Path(path).name for other in pathlib.Path(path).parent.glob("*.csv"))
    others = _read_circumstances(path) if keep else []
    files.write_text(path, frame(lines).to_csv(index=False, float_format="%.4f"))
    found = [{k: line[k] for k in CIRCUMSTANCES} for line in lines if CIRCUMSTANCES[0] in line]
    distinct = {json.dumps(entry, sort_keys=True) for entry in [*others, *found]}
    files.write_json(_circumstances(path), [json.loads(d) for d in sorted(distinct)])


def merge_into(path: os.PathLike | str, found: Sequence[dict[str, Any]],
               order: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Adds runs to the CSV file at `path`, keeping its other lines; returns all. Processes that do so wait in turn."""
    path = pathlib.Path(path)
    with files.locked(path.parent):
        lines = in_order(merged(read(path) if path.is_file() else [], found), order)
        write(lines, path, keep=True)
    return lines


def merged(stored: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a line a (row, split seed, seed): the one with more steps; of equal ones the last found.

    A log-likelihood that was estimated stays with its run when a later line of the same weights has none.
    """
    kept: dict[tuple, dict[str, Any]] = {}
    for line in [*stored, *found]:
        key = tuple(line[k] for k in KEY)
        if key not in kept or _steps(line) >= _steps(kept[key]):
            kept[key] = _with_likelihood(line, kept.get(key))
    return list(kept.values())


def _with_likelihood(line: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    name, bound = "log_likelihood_nats", "test_bound_nats"
    if before is None or not pd.isna(line.get(name)) or pd.isna(before.get(name)) or _steps(line) != _steps(before):
        return line
    same = not pd.isna(line.get(bound)) and f"{line[bound]:.4f}" == f"{before[bound]:.4f}"
    return {**line, name: before[name]} if same else line


def in_order(lines: Sequence[dict[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the lines with the rows in `order`, those not in it behind, by name."""
    rank = {row: i for i, row in enumerate(order)}
    return sorted(lines, key=lambda line: (rank.get(line["row"], len(rank)), *(line[k] for k in KEY)))


def read_published(path: os.PathLike | str) -> dict[str, str]:
    """Returns what was published of each row of a CSV file with the columns row, test_error_percent, source.

    Raises:
      UserError: the file is missing or has other columns.
    """
    try:
        table = pd.read_csv(path, dtype=str).dropna(subset=["row", "test_error_percent"])
        return dict(zip(table["row"], table["test_error_percent"], strict=True))
    except (OSError, KeyError, ValueError):
        raise errors.UserError(f"published={path}: must be a CSV file with the columns row, test_error_percent, "
                               "source") from None


def markdown(lines: Sequence[dict[str, Any]], published: Mapping[str, str] = MappingProxyType({})) -> str:
    """Returns a line a row: mean and standard deviation over its runs, how many, how long, and what was published.

    The rows come in the order of the lines; a column that none of them has is left out.
    """
    table = frame(lines)
    shown = {column: name for column, name in SUMMARISED.items() if table[column].notna().any()}
    header = ["row", *(["published %"] if published else []), "runs", "steps", *shown.values()]
    rows = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row, group in table.groupby("row", sort=False):
        steps = " ".join(f"{s:,}" for s in sorted(set(group["steps"].dropna()))) or "-"
        cells = [mean_and_deviation(group[column].dropna()) for column in shown]
        of_others = [published.get(row, "-")] if published else []
        marked = f"{row} {MARK}" if _is_of_old(group) else row
        rows.append(f"| {' | '.join([marked, *of_others, str(len(group)), steps, *cells])} |")
    return "\n".join([*rows, "", MARKED] if _is_of_old(table) else rows)


def _is_of_old(table: pd.DataFrame) -> bool:
    """Whether a run was trained, in steps, by a version with the old order."""
    trained = table[(table["steps"].fillna(0) > 0) & table["version"].notna()]
    return any(tuple(map(int, re.findall(r"\d+", version)[:3])) < MENDED for version in trained["version"])


def frame(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Returns lines as a table of COLUMNS."""
    return pd.DataFrame(lines).reindex(columns=COLUMNS).astype(dict.fromkeys(WHOLE, "Int64"))


def _steps(line: dict[str, Any]) -> float:
    steps = line.get("steps")
    return 0 if pd.isna(steps) else steps


def _circumstances(path: os.PathLike | str) -> pathlib.Path:
    return pathlib.Path(path).with_name("environment.json")


def _read_circumstances(path: os.PathLike | str) -> list[Any]:
    beside = _circumstances(path)
    try:
        found = json.loads(beside.read_text()) if beside.is_file() else []
        if isinstance(found, list):
            return found
        reason = "no list"
    except ValueError as error:
        reason = str(error)
    raise errors.UserError(f"csv={path}: {beside.name} beside it cannot be read ({reason})")


def mean_and_deviation(values: pd.Series) -> str:
    """Returns the mean of the values and, of more than one, their standard deviation; a dash of none."""
    if values.empty:
        return "-"
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")
