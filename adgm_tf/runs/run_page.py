"""`report.html`: what a run learnt, as one page beside it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adgm_tf.analysis import metrics, page, plots, samples, uncertainty
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.analysis.page_content import AnsweredRows, PageContent
from adgm_tf.config import Config
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.host import errors, files
from adgm_tf.runs import answers as answers_lib
from adgm_tf.runs.answers import Answers
from adgm_tf.runs.stored import Run

FILE = "report.html"
MOST_ROWS = 10_000
TARGET_ACCURACY = 0.95
SAMPLES_OF_IMAGES, SAMPLES_OF_ROWS = 10, 3
SETS = {"test": "test", "valid": "validation", "transductive": "hidden labels"}
NOT_OPTIONS = {"run_dir", "dataset", "data_dir"}


def try_to_write(run: Run, splits: Splits | None) -> None:
    """Writes the page at the end of a run; whatever goes wrong with it is a line, and the run has ended well."""
    try:
        write(run, splits)
    except Exception as error:  # noqa: BLE001  (a page is worth no training)
        reason = " ".join(str(error).split())[:200]
        print(f"{FILE} cannot be written ({type(error).__name__}: {reason}); the run is not affected", flush=True)


def write(run: Run, splits: Splits | None) -> pathlib.Path:
    """Writes `report.html` to the run directory; returns where.

    Args:
      run: the run.
      splits: its data; without them the page shows no rows.
    """
    path = run.path / FILE
    files.write_text(path, page.page(content(run, splits)))
    return path


def write_stored(run: Run) -> tuple[pathlib.Path, str]:
    """Writes the page of a run that has ended; returns where, and why it shows no rows if it does not.

    Raises:
      UserError: the run has not ended.
    """
    if not (run.path / "results.json").is_file():
        raise errors.UserError(f"page={run.path}: has no results.json; the run has not ended")
    try:
        splits, problem = run.splits, ""
    except errors.UserError as error:
        splits, problem = None, f"without rows of the data: {error}"
    return write(run, splits), problem


def content(run: Run, splits: Splits | None) -> PageContent:
    """Returns what the page says."""
    config, evaluator, kept = run.config, run.evaluator(), answers_lib.read(run.path)
    measured = files.read_json(run.path / "results.json", "run_dir")
    history = files.read_json_lines(run.path / "metrics.jsonl")
    asked = _asked(splits)
    rows, probs = _rows(run, evaluator, kept, asked) if asked else (None, None)
    found = PageContent(
        title=f"{config.model} on {config.dataset.rpartition('/')[2]}", subtitle=_subtitle(run, measured),
        class_names=run.spec.class_names, data=_data(run, splits), columns=_columns(run),
        remarks=[*(splits.remarks if splits else ()), *measured.get("remarks", ())],
        options={name: (value, Config.__dataclass_fields__[name].default) for name, value in config.given().items()
                 if name not in NOT_OPTIONS},
        history=history, errors=_errors(measured), calibration=kept.calibration, calibrated_on=kept.held_out.words,
        abstention=kept.abstention(TARGET_ACCURACY) if kept.num_labels else None, target_accuracy=TARGET_ACCURACY,
        rows=rows, usage=_usage(run), circumstances=_circumstances(measured), **_drawn(run))
    return found if probs is None else _with_answers(found, asked, probs)


class _Asked(NamedTuple):
    """The rows whose answers are shown, of which set they are, and in words how many of how many."""

    examples: Examples
    name: str
    words: str


def _asked(splits: Splits | None) -> _Asked | None:
    """Those of test, or else of validation, or unlabelled, or labelled."""
    sets = {} if splits is None else {"test": splits.test, "validation": splits.valid, "unlabelled": splits.unlabelled,
                                      "labelled": splits.labelled}
    for name, of in sets.items():
        if len(of):
            some = of.drawn(MOST_ROWS)
            drawn = "" if len(some) == len(of) else f"{len(some):,} of "
            return _Asked(some, name, f"{drawn}{len(of):,} {name} rows")
    return None


def _rows(run: Run, evaluator: Evaluator, kept: Answers, asked: _Asked) -> tuple[AnsweredRows, np.ndarray | None]:
    """Answers to the rows, and their probabilities before calibration, if the model names classes."""
    examples = asked.examples
    found = probs = bounds = None
    if run.model.has_classes and run.spec.has_labels:
        answered = evaluator.uncertainty(examples)
        probs = answered.probs if evaluator.classifier == "q_y" else evaluator.probs(examples)
        found = uncertainty.tempered(answered._replace(probs=probs), kept.temperature)
    if run.model.is_generative:
        bounds = evaluator.bounds_alone_nats(examples)
    novelty = None if bounds is None or not len(kept.reference_bounds) else uncertainty.novelty(
        bounds, kept.reference_bounds)
    shown = {"images": run.spec.preprocess.scaling(examples.x).reshape(examples.x.shape)} if run.spec.is_image else {
        "cells": examples.x if run.spec.is_table else _vectors(examples.x)}
    return AnsweredRows(found, novelty, bounds, examples.y, words=asked.words, reference=kept.reference, **shown), probs


def _vectors(x: np.ndarray) -> pd.DataFrame:
    flat = x.reshape(len(x), -1)
    return pd.DataFrame(flat, columns=[f"x{i}" for i in range(flat.shape[1])])


def _with_answers(found: PageContent, asked: _Asked, probs: np.ndarray) -> PageContent:
    """The page with what labels say of the answers, if the rows that are shown have any that training did not see."""
    rows = asked.examples.y != UNKNOWN
    if asked.name not in found.errors or not rows.any():
        return found
    y, answered = asked.examples.y[rows], found.rows.found.probs[rows]
    # Numbers of a part of the rows would not be those of results.json.
    whole = rows.sum() == found.errors[asked.name]["num_labels"]
    more = {asked.name: metrics.summary(probs[rows], y, found.class_names)} if whole else {}
    return dataclasses.replace(found, counts=metrics.confusion(answered, y),
                               risk_coverage=uncertainty.risk_coverage(answered, y), errors=found.errors | more)


def _subtitle(run: Run, measured: Mapping[str, Any]) -> str:
    return (f"{run.step:,} steps in {measured.get('seconds') or 0:,.0f} seconds, {measured['num_labels']:,} labels; "
            f"run directory {run.config.run_dir}")


def _data(run: Run, splits: Splits | None) -> dict[str, Any]:
    spec = run.spec
    facts: dict[str, Any] = {"data set": run.config.dataset, "examples": _kind(run), "classes": len(spec.class_names)}
    if splits is None:
        return facts
    facts |= {f"{name} rows": len(of) for name, of in {
        "labelled": splits.labelled, "unlabelled": splits.unlabelled, "validation": splits.valid,
        "test": splits.test}.items()}
    if len(splits.labelled):
        counts = np.bincount(splits.labelled.y, minlength=len(spec.class_names))
        facts["labels of each class"] = ", ".join(f"{n}: {c:,}" for n, c in zip(spec.class_names, counts, strict=True))
    return facts


def _kind(run: Run) -> str:
    if run.spec.is_table:
        return f"rows of a table with {sum(c.kind != 'left out' for c in run.spec.preprocess.columns)} columns in use"
    return "; ".join(run.spec.preprocess.describe())


def _columns(run: Run) -> list[dict[str, Any]]:
    if not run.spec.is_table:
        return []
    return [{"column": c.name, "kind": c.kind, "why": c.why, "missing cells": c.missing,
             "different values": c.distinct or None} for c in run.spec.preprocess.columns]


def _errors(measured: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The errors of `results.json`, each with its interval."""
    found = {}
    for prefix, name in SETS.items():
        error, count = measured.get(f"{prefix}_error_percent"), measured.get(f"{prefix}_num_labels")
        if error is None:
            continue
        found[name] = {"error_percent": error, "num_labels": count}
        if count:
            low, high = metrics.wilson(round(error * count / 100), count)
            found[name] |= {"error_low_percent": 100 * low, "error_high_percent": 100 * high}
        found[name] |= {key: measured.get(f"{prefix}_{key}") for key in (
            "balanced_error_percent", "macro_f1", "log_loss_nats")}
    return found


def _drawn(run: Run) -> dict[str, Any]:
    """What the model draws of each class: pictures, rows of a table, or a figure of vectors."""
    model, spec, seed = run.model, run.spec, run.config.seed
    if not model.is_generative:
        return {}
    if spec.is_table:
        return {"typical": samples.typical_rows(model, spec, SAMPLES_OF_ROWS, seed)}
    drawn, names = samples.class_grid(model, SAMPLES_OF_IMAGES, seed).numpy(), samples.row_names(model,
                                                                                                 spec.class_names)
    if spec.is_image:
        images = drawn.reshape(*drawn.shape[:2], *spec.x_shape)
        return {"samples": dict(zip(names, images, strict=True))}
    given = spec.preprocess.inverse(drawn.reshape(-1, drawn.shape[-1])).reshape(drawn.shape)
    return {"figures": {"Samples of each class": plots.examples(given, spec.x_shape, names)}}


def _usage(run: Run) -> dict[str, str]:
    where = run.config.run_dir
    new, labelled = ("new.csv", "labelled.csv") if run.spec.is_table else ("pictures", "sorted_pictures") if (
        run.spec.is_image and run.spec.x_shape[2] in (1, 3)) else ("new.npz", "labelled.npz")
    found = {"Load it in Python": f'import adgm_tf as adgm\nmodel = adgm.load("{where}")'}
    if run.model.has_classes and run.spec.has_labels:
        found["Load it in Python"] += "\nmodel.predict(x); model.predict_proba(x)"
        found["Predict new rows"] = f"python -m adgm_tf.predict --run_dir={where} --input={new} --output=answers.csv"
        found["Measure on labelled rows"] = f"python -m adgm_tf.evaluate --run_dir={where} --input={labelled}"
    if run.model.is_generative:
        found["Draw from it"] = f"python -m adgm_tf.sample --run_dir={where}"
    found["Export a SavedModel"] = f"python -m adgm_tf.export --run_dir={where}"
    return found


def _circumstances(measured: Mapping[str, Any]) -> dict[str, Any]:
    return {key: measured[key] for key in ("seed", "split_seed", "seconds", "versions", "hardware") if key in measured}
