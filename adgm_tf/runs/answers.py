"""What a run keeps for its answers: temperature, abstention, and the bounds by which novelty is measured."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from adgm_tf.analysis import calibration
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.host import files

FILE, BOUNDS = "answers.json", "reference_bounds.npz"
REFERENCE_ROWS = 10_000


@dataclasses.dataclass(frozen=True)
class Answers:
    """Numbers measured once training is over.

    Attributes:
      temperature: divides the logarithms of the probabilities; 1 where nothing was held out to fit it.
      num_labels: held-out labels that it was fitted on.
      reference_bounds: -U(x) of unlabelled rows, or labelled ones if there are no others, sorted [n], nats.
    """

    temperature: float = 1.0
    num_labels: int = 0
    reference_bounds: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))


def measure(evaluator: Evaluator, splits: Splits) -> Answers:
    """Fits the temperature on the validation labels, and takes the bounds of up to 10,000 rows."""
    known: Examples = splits.valid.known
    has_classes = evaluator.model.has_classes and splits.spec.has_labels
    temperature = calibration.fit_temperature(evaluator.probs(known), known.y) if has_classes and len(known) else 1.0
    bounds = np.zeros(0)
    if evaluator.model.is_generative:
        pool = splits.unlabelled if len(splits.unlabelled) else splits.labelled
        bounds = np.sort(evaluator.bounds_nats(pool.drawn(REFERENCE_ROWS)))
    return Answers(float(temperature), len(known) if has_classes else 0, bounds)


def write(answers: Answers, run_dir: os.PathLike | str) -> None:
    """Writes what a run keeps for its answers."""
    path = pathlib.Path(run_dir)
    files.write_json(path / FILE, {"temperature": answers.temperature, "num_labels": answers.num_labels})
    with files.replacing(path / BOUNDS) as temporary:
        np.savez_compressed(temporary, bounds=answers.reference_bounds)


def read(run_dir: os.PathLike | str) -> Answers:
    """Returns what `write` wrote; of a run that has none, probabilities as they are and no reference."""
    path = pathlib.Path(run_dir)
    if not (path / FILE).is_file():
        return Answers()
    found = files.read_json(path / FILE, "run_dir")
    with np.load(path / BOUNDS, allow_pickle=False) as stored:
        return Answers(found["temperature"], found["num_labels"], stored["bounds"])
