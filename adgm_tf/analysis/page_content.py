"""What the page of a run can say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from adgm_tf.analysis.calibration import Calibration
from adgm_tf.analysis.uncertainty import Abstention, RiskCoverage, Uncertainty


@dataclasses.dataclass(frozen=True)
class AnsweredRows:
    """Answers to rows, of which the page shows the most uncertain and the most novel ones.

    Attributes:
      found: probabilities, entropy, mutual information; None where the model names no class.
      novelty: `uncertainty.novelty` [N], if the model has a bound.
      bounds: -U(x) [N], nats, which tell rows of one novelty apart.
      y: classes [N], -1 where not known.
      names: of the rows [N]; their numbers if not given.
      images: [N, H, W, channels] in [0,1].
      cells: the rows as they were given [N], for those that are no images.
      words: which rows they are.
      reference: which rows their novelty was measured by.
    """

    found: Uncertainty | None
    novelty: np.ndarray | None = None
    bounds: np.ndarray | None = None
    y: np.ndarray | None = None
    names: Sequence[object] | None = None
    images: np.ndarray | None = None
    cells: pd.DataFrame | None = None
    words: str = ""
    reference: str = ""


@dataclasses.dataclass(frozen=True)
class PageContent:
    """What a page says; what isn't given is left out.

    Attributes:
      title: of the page.
      subtitle: a sentence below it.
      class_names: the classes, in the order of probabilities and counts.
      data: facts of the data, by name.
      columns: of the data as understood, {heading: text}, a line a column.
      remarks: what a reader has to know.
      options: {option: (value, default)} of those that aren't at their default.
      history: the lines of `metrics.jsonl`.
      errors: {name of a set of rows: `metrics.summary`}, the most important first.
      counts: confusion [C,C].
      calibration: with what it did.
      calibrated_on: on which labels the temperature was fitted, in words.
      risk_coverage: of calibrated answers.
      abstention: the threshold for `target_accuracy`.
      target_accuracy: from 0 to 1.
      samples: {class: images [n, H, W, channels] in [0,1]}, drawn by the model.
      typical: rows that the model draws or finds typical, a line a class.
      figures: {caption: uint8 [H,W,3]}, more pictures.
      rows: answers to rows, test rows say.
      usage: {title: commands or lines of Python}.
      circumstances: versions, seeds, hardware; may be nested.
    """

    title: str
    subtitle: str = ""
    class_names: Sequence[str] = ()
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    columns: Sequence[Mapping[str, Any]] = ()
    remarks: Sequence[str] = ()
    options: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    errors: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    counts: np.ndarray | None = None
    calibration: Calibration | None = None
    calibrated_on: str = ""
    risk_coverage: RiskCoverage | None = None
    abstention: Abstention | None = None
    target_accuracy: float | None = None
    samples: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    typical: pd.DataFrame | None = None
    figures: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    rows: AnsweredRows | None = None
    usage: Mapping[str, str] = dataclasses.field(default_factory=dict)
    circumstances: Mapping[str, Any] = dataclasses.field(default_factory=dict)
