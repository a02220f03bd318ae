"""What a run keeps for its answers: temperature, held-out answers for abstention, and the bounds that novelty needs."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
import zipfile
import zlib

import numpy as np

from adgm_tf.analysis import calibration, uncertainty
from adgm_tf.analysis.calibration import Calibration
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.analysis.uncertainty import Abstention
from adgm_tf.config import Config
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.host import errors, files
from adgm_tf.runs import held_out as held_out_lib
from adgm_tf.runs.held_out import HeldOut

FILE, ARRAYS = "answers.json", "answers.npz"
REFERENCE_ROWS = 10_000
LEAST_REFERENCE = 100
TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What is measured once training is over.

    Attributes:
      temperature: divides the logarithms of the probabilities; 1 where nothing was held out to fit it.
      held_out: answers to rows whose labels were held out, before the temperature.
      reference_bounds: -U(x) of rows as they usually are, sorted [n], nats.
      reference: which rows those are.
    """

    temperature: float = 1.0
    held_out: HeldOut = held_out_lib.NONE
    reference_bounds: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    reference: str = ""

    @property
    def num_labels(self) -> int:
        """Held-out labels that the temperature was fitted on."""
        return len(self.held_out)

    @property
    def fitted_temperature(self) -> float | None:
        """The temperature; None where it was fitted on nothing."""
        return self.temperature if len(self.held_out) else None

    @functools.cached_property
    def calibration(self) -> Calibration | None:
        """Scores before and after the temperature; None where nothing was held out."""
        return calibration.calibrate(*self.held_out[:3]) if len(self.held_out) else None

    def abstention(self, target_accuracy: float) -> Abstention:
        """Returns from which confidence on the held-out answers are right as often as asked, calibrated as new ones.

        Raises:
          UserError: nothing was held out.
        """
        if not len(self.held_out):
            raise errors.UserError(f"target_accuracy={target_accuracy:g}: the run held out no label to choose a "
                                   "threshold on; train with num_valid or calibration_folds")
        probs = calibration.apply(self.held_out.probs, self.temperature)
        return uncertainty.abstention(probs, self.held_out.y, target_accuracy)

    def describe(self) -> list[str]:
        """Returns lines that say how the answers were made."""
        lines = ["probabilities: " + (f"temperature {self.temperature:.3f}, fitted on {self.held_out.words}" if len(
            self.held_out) else "as the model gives them; no label was held out to calibrate")]
        if self.reference:
            lines.append(f"novelty: share of {self.reference} whose bound is higher")
        return lines

    def describe_abstention(self, target_accuracy: float) -> str:
        """Returns a line that says what the threshold for an accuracy does.

        Raises:
          UserError: nothing was held out.
        """
        found = self.abstention(target_accuracy)
        if not found.coverage:
            return (f"abstain: everywhere; no confidence is high enough for {100 * target_accuracy:g} % right answers "
                    f"on {self.held_out.words}")
        return (f"abstain: below a confidence of {found.threshold:.4f}; on {self.held_out.words} that answered "
                f"{100 * found.coverage:.1f} % of the rows, {100 * found.accuracy:.1f} % of them right")


def measure(evaluator: Evaluator, splits: Splits, config: Config, num_steps: int) -> Answers:
    """Fits the temperature on held-out labels, and takes the bounds of up to 10,000 rows.

    Bounds are those of validation rows if there are 100; a density may have memorised the rows that it was trained on.

    Args:
      evaluator: asks the trained model.
      splits: its data.
      config: its options.
      num_steps: its steps of training.

    Raises:
      Interrupted: a signal came while models were trained for the calibration.
    """
    held_out = held_out_lib.of(evaluator, splits, config, num_steps)
    temperature = calibration.fit_temperature(held_out.probs, held_out.y) if len(held_out) else 1.0
    if not evaluator.model.is_generative:
        return Answers(temperature, held_out)
    pool, words = _reference(splits)
    pool = pool.drawn(REFERENCE_ROWS)
    return Answers(temperature, held_out, np.sort(evaluator.bounds_alone_nats(pool)), f"{len(pool):,} {words} rows")


def _reference(splits: Splits) -> tuple[Examples, str]:
    if len(splits.valid) >= LEAST_REFERENCE:
        return splits.valid, "validation"
    return (splits.unlabelled, "unlabelled") if len(splits.unlabelled) else (splits.labelled, "labelled")


def write(answers: Answers, run_dir: os.PathLike | str) -> None:
    """Writes what a run keeps for its answers: arrays, and for a reader what they come to."""
    path, held_out = pathlib.Path(run_dir), answers.held_out
    found = {"temperature": answers.temperature, "num_labels": len(held_out), "fitted_on": held_out.words,
             "reference": answers.reference}
    if answers.calibration:
        found["calibration"] = answers.calibration.to_json()
        found["abstention"] = {f"{target:g}": answers.abstention(target)._asdict() for target in TARGETS}
    with files.replacing(path / ARRAYS) as temporary:
        np.savez_compressed(temporary, bounds=answers.reference_bounds, probs=held_out.probs, y=held_out.y,
                            fold=held_out.fold)
    files.write_json(path / FILE, found)


def read(run_dir: os.PathLike | str) -> Answers:
    """Returns what `write` wrote; of a run that has none, probabilities as they are and no reference.

    Raises:
      UserError: it cannot be read.
    """
    path = pathlib.Path(run_dir)
    if not (path / FILE).is_file():
        return Answers()
    found = files.read_json(path / FILE, "run_dir")
    try:
        with np.load(path / ARRAYS, allow_pickle=False) as stored:
            held_out = HeldOut(stored["probs"], stored["y"], stored["fold"], found["fitted_on"])
            bounds = stored["bounds"]
        temperature = float(found["temperature"])
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature {temperature}")
        return Answers(temperature, held_out, bounds, found["reference"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.UserError(f"run_dir={run_dir}: its {ARRAYS} and {FILE} cannot be read ({error})") from None
