"""What TensorBoard's plugins are told of a run: the layout of its curves, its options and figures, its PR curves."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from adgm_tf import config as config_lib
from adgm_tf import options
from adgm_tf.analysis import metrics
from adgm_tf.config import Config

EMPTY = (None, "", ())
THRESHOLDS = 201
# Curves of more classes than this are those of the most frequent ones.
MOST_CURVES = 20


class Chart(NamedTuple):
    """A chart of the layout: the group that it stands in, its title, and the names whose curves it shows."""

    group: str
    title: str
    names: str


# TensorBoard sorts tags: a number brings a group to its place.
FIRST, BOUND, UNITS = "1 error and loss", "2 bound, nats", "3 KL and active units"
OPTIMISER, OTHERS, SPEED = "4 learning rate and gradient norm", "5 other terms of the loss", "6 speed"
# The first that a name fits is the group of its tag.
CHARTS = (
    Chart(FIRST, "error, %", r"(test_|transductive_)?error_percent"),
    Chart(FIRST, "loss J, nats", "loss"),
    Chart(BOUND, "bound", r"((un)?labelled/)?bound(_nats)?"),
    Chart(BOUND, "terms of unlabelled examples", r"unlabelled/(reconstruction|kl_.|entropy)"),
    Chart(BOUND, "terms of labelled examples", r"labelled/(reconstruction|kl_.)"),
    Chart(UNITS, "KL(q || p), nats", r"(un)?labelled/kl_."),
    Chart(UNITS, "active units", "active_units/.*"),
    Chart(OPTIMISER, "learning rate", "learning_rate"),
    Chart(OPTIMISER, "gradient norm, before clipping", "gradient_norm"),
)
NOT_LEARNT = ("examples_per_second", "epoch", "seconds")
PICTURES, HISTOGRAMS, ABOUT = "pictures", "histograms", "about"


def tag(name: str) -> str:
    """Returns the tag of a name of `metrics.jsonl`: its group, a stroke, the name."""
    for chart in CHARTS:
        if re.fullmatch(chart.names, name):
            return f"{chart.group}/{name}"
    return f"{SPEED if name in NOT_LEARNT else OTHERS}/{name}"


def layout(names: Collection[str]) -> list[Chart]:
    """Returns the charts that there are curves for, the error first; a term that is in none gets one of its own."""
    found = [chart for chart in CHARTS if any(re.fullmatch(chart.names, name) for name in names)]
    others = [Chart(OTHERS, name.replace("_", " "), re.escape(name)) for name in names
              if tag(name).startswith(f"{OTHERS}/")]
    speed = Chart(SPEED, "examples a second", "examples_per_second")
    return [*found, *others, *([speed] if speed.names in names else [])]


def write_layout(charts: Sequence[Chart]) -> None:
    """Writes the layout of the page of custom scalars to the writer that is the default."""
    from tensorboard.plugins.custom_scalar import layout_pb2, summary
    groups: dict[str, list] = {}
    for chart in charts:
        content = layout_pb2.MultilineChartContent(tag=[f"^[^/]+/{chart.names}$"])
        groups.setdefault(chart.group, []).append(layout_pb2.Chart(title=chart.title, multiline=content))
    categories = [layout_pb2.Category(title=title, chart=found) for title, found in groups.items()]
    _write(summary.pb(layout_pb2.Layout(category=categories)), 0)


def hyperparameters(config: Config) -> dict[str, Any]:
    """Returns every option that decides what a run measures, but for empty ones; TensorBoard shows which differ.

    A run that left out what is at its default would stand without a value beside those that have another one.
    """
    found = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata["affects"] != config_lib.NOTHING and value not in EMPTY:
            found[field.name] = options.shown(value) if isinstance(value, tuple) else value
    # How many labels is a number wherever it is one, so that its axis is in order.
    return found | {name: int(value) for name, value in found.items() if isinstance(value, str) and value.isdecimal()}


def write_hyperparameters(config: Config) -> None:
    """Writes the options of a run to the default writer, as a trial of its own.

    No list of columns goes with them: TensorBoard then works out for itself which options differ between the runs
    that it sees, and shows those.
    """
    from tensorboard.plugins.hparams import api
    api.hparams(hyperparameters(config), trial_id=trial(config.run_dir))


def trial(run_dir: str) -> str:
    """Returns the name of a run as a trial: what tells it from others first, as TensorBoard cuts names."""
    path = pathlib.PurePath(run_dir)
    return f"{'/'.join(path.parts[-2:])} in {path.parent.parent}"


def write_end() -> None:
    """Writes to the default writer that the trial has succeeded."""
    from tensorboard.plugins.hparams import api_pb2, summary
    _write(summary.session_end_pb(api_pb2.STATUS_SUCCESS), 0)


def write_pr_curves(of: str, probs: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    """Writes precision against recall of each class against the rest to the default writer, tag `<of>/<class>`.

    Args:
      of: which examples they are.
      probs: probabilities [N,C]; rows with a NaN are left out.
      y: classes [N], -1 where not known, which is left out too.
      names: of the classes [C].
    """
    from tensorboard.plugins.pr_curve import summary
    probs, y = metrics.known(probs, y)
    finite = np.isfinite(probs).all(-1)
    probs, y = np.clip(probs[finite], 0, 1), y[finite]
    counts = np.bincount(y, minlength=len(names))
    for c in sorted(np.argsort(-counts, kind="stable")[:MOST_CURVES]):
        if counts[c]:
            pb = summary.pb(f"{of}/{names[c]}", y == c, probs[:, c], THRESHOLDS, display_name=names[c],
                            description=f"{counts[c]:,} of {len(y):,} {of} examples are of class {names[c]}.")
            _write(pb, tf.summary.experimental.get_step())


def describe(config: Config) -> str:
    """Returns the options as Markdown, those that differ from the defaults first, without those that are empty."""
    given = config.given()
    header, rows = ["| option | value | default |", "|---|---|---|"], {True: [], False: []}
    for field in dataclasses.fields(config):
        value, differs = getattr(config, field.name), field.name in given
        if differs or value not in EMPTY:
            default = cell(field.default) if differs and field.default not in EMPTY else ""
            rows[differs].append(f"| {field.name} | {cell(value)} | {default} |")
    return "\n".join([*header, *rows[True], *rows[False]])


def rows_as_text(rows: Any, digits: int = 4) -> str:
    """Returns a DataFrame as a table of Markdown, its index first: a line a row, or a line a column if they are more.

    A page breaks the words of a table that is too wide for it.
    """
    cells = [[rows.index.name or "", *map(str, rows.columns)], *rows.reset_index().to_numpy().tolist()]
    if len(rows.columns) > len(rows):
        cells = list(zip(*cells, strict=True))
    cells = [[cell(value, digits) for value in row] for row in cells]
    lines = [cells[0], ["---"] * len(cells[0]), *cells[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any, digits: int = 4) -> str:
    """Returns a value as it stands in a table of Markdown."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    text = " ".join(options.shown(value).split())
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>|" else letter for letter in text)


def errors_watched(config: Config) -> tuple[str, ...]:
    """Returns the errors that a run measures on its way: none, unless labels are held out or those of test shown."""
    if config.label_count(None) == 0:
        return ()
    watched = ("error_percent",) if config.num_valid else ()
    return (*watched, "test_error_percent", "transductive_error_percent") if config.track_test else watched


def _write(summary: Any, step: int | tf.Tensor) -> None:
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
