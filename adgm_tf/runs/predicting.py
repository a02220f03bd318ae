"""Answers to the rows of a file, written to a file, in blocks of rows."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from adgm_tf.analysis import metrics, uncertainty
from adgm_tf.data import catalogue, labels, rows, writing
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.rows import Rows
from adgm_tf.host import errors
from adgm_tf.runs.trained import TrainedModel

BLOCK_ROWS = 10_000
CLASS, GIVEN, ENTROPY, INFORMATION = "class", "given", "entropy_nats", "mutual_information_nats"
NOVELTY, ABSTAIN = "novelty", "abstain"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of each row.

    Attributes:
      id_column: column that is carried along; that of the run, if the file has it, where it is empty.
      target_accuracy: from 0 to 1; adds a column that says where no answer should be given.
      keep_given_labels: whether a row's own label, if it has one, stands in the place of the class.
    """

    id_column: str = ""
    target_accuracy: float | None = None
    keep_given_labels: bool = False


@dataclasses.dataclass
class Counted:
    """How many rows there were, how many had a label that was kept, an answer held back, and no answer at all.

    Also how many cells of each column are of no category of training.
    """

    rows: int = 0
    given: int = 0
    abstained: int = 0
    without_answer: int = 0
    unknown: collections.Counter = dataclasses.field(default_factory=collections.Counter)


def predict(model: TrainedModel, source: str, target: str, asked: Asked) -> list[str]:
    """Writes answers to the rows of a file, in their order; returns lines that say what was done.

    Args:
      model: answers.
      source: a .csv, .tsv, .parquet or .npz file, or a folder of pictures.
      target: a .csv, .tsv, .parquet or .npz file, written whole or not at all.
      asked: what is asked of each row.

    Raises:
      UserError: something given cannot be; nothing has been written then.
    """
    writing.check(target, "output")
    if os.path.realpath(rows.file_of(source)) == os.path.realpath(target):
        raise errors.UserError(f"output={target}: is the input; name another file")
    threshold = None if asked.target_accuracy is None else _threshold(model, asked.target_accuracy)
    model.check_names_classes()
    counted = Counted()
    with writing.writing(target, "output") as write:
        for block in _blocks(model, source, asked):
            write(_answers(model, block, asked, threshold, counted))
    return _said(model, target, asked, counted)


def _threshold(model: TrainedModel, target_accuracy: float) -> float:
    if not 0 < target_accuracy <= 1:
        raise errors.UserError(f"target_accuracy={target_accuracy:g}: must be above 0 and at most 1")
    return model.answers.abstention(target_accuracy).threshold


def _blocks(model: TrainedModel, source: str, asked: Asked) -> Iterator[Rows]:
    options = dataclasses.replace(model.config, id_column=asked.id_column or model.config.id_column)
    for block in catalogue.blocks_of_rows(source, model.spec.preprocess, options, BLOCK_ROWS,
                                          with_labels=asked.keep_given_labels):
        if asked.id_column and (block.frame is None or asked.id_column not in block.frame.columns):
            raise errors.unknown("id_column", asked.id_column,
                                 [] if block.frame is None else map(str, block.frame.columns))
        if asked.keep_given_labels and block.names is None:
            raise errors.UserError(f"keep_given_labels=true: input={source} has no labels")
        yield block


def _answers(model: TrainedModel, block: Rows, asked: Asked, threshold: float | None, counted: Counted) -> Any:
    """A DataFrame of the answers to a block of rows."""
    import pandas as pd
    found = model.uncertainty(block.x)
    columns: dict[str, Any] = {CLASS: np.array([*model.class_names, ""], object)[metrics.predicted(found.probs)]}
    given = np.zeros(len(block), bool)
    if asked.keep_given_labels:
        kept = labels.indexed(block.names, model.class_names, "input, its labels", counted.rows)
        columns[GIVEN] = given = kept != UNKNOWN
        columns[CLASS] = np.where(given, block.names, columns[CLASS])
    columns |= {f"{writing.PROBABILITY}{name}": found.probs[:, c] for c, name in enumerate(model.class_names)}
    columns |= {ENTROPY: found.entropy_nats, INFORMATION: found.mutual_information_nats}
    if len(model.answers.reference_bounds):
        columns[NOVELTY] = model.novelty(block.x)
    if threshold is not None:
        columns[ABSTAIN] = ~given & ~uncertainty.keeps(found.probs, threshold)
        counted.abstained += int(columns[ABSTAIN].sum())
    if model.spec.is_table:
        counted.unknown.update({part.name: part.unknown(block.x) for part in model.spec.preprocess.categories})
    counted.rows += len(block)
    counted.given += int(given.sum())
    counted.without_answer += int(np.sum(metrics.predicted(found.probs) == UNKNOWN))
    return pd.DataFrame(_carried(model, block, asked, columns) | columns)


def _carried(model: TrainedModel, block: Rows, asked: Asked, columns: dict[str, Any]) -> dict[str, Any]:
    """What names the rows: the column that was asked for, or the files of pictures."""
    if block.frame is None:
        return {}
    names = (asked.id_column, model.config.id_column, "" if model.spec.is_table else rows.FILE)
    name = next((name for name in names if name and name in block.frame.columns), None)
    if name in columns:
        raise errors.UserError(f"id_column={name}: is the name of a column of the output; give it another name")
    return {} if name is None else {name: block.frame[name].to_numpy()}


def _said(model: TrainedModel, target: str, asked: Asked, counted: Counted) -> list[str]:
    lines = model.answers.describe()
    if not model.model.is_generative:
        lines.append(f"novelty: left out; {model.config.model} is a classifier and has no density of the examples")
    elif not len(model.answers.reference_bounds):
        lines.append("novelty: left out; the run keeps no bounds to compare with")
    if asked.keep_given_labels:
        lines.append(f"labels kept: {counted.given:,} of {counted.rows:,} rows")
    if asked.target_accuracy is not None:
        lines += [model.answers.describe_abstention(asked.target_accuracy),
                  f"abstained: {counted.abstained:,} of {counted.rows:,} rows"]
    lines += [f"column {name}: {count:,} of {counted.rows:,} cells are of no category of training"
              for name, count in counted.unknown.items() if count]
    if counted.without_answer:
        lines.append(f"no answer: {counted.without_answer:,} rows are too far from those of training for numbers")
    return [*lines, f"{target}: {counted.rows:,} rows"]
