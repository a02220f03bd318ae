"""What is shown of a model on the way: KL of each unit, what it draws, how right it is where that may be seen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from adgm_tf.analysis import calibration, grids, metrics, plots, run_plots, samples
from adgm_tf.analysis.evaluator import Evaluator
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.model.contract import Encoding
from adgm_tf.runs import board, projector
from adgm_tf.runs.writers import Record
from adgm_tf.training.loop import Event
from adgm_tf.training.step import Trainer

KL_EXAMPLES = 1000
MOST_ANSWERED = 10_000
DRAWN = 10
PROJECTED = {"labelled": 300, "validation": 300, "unlabelled": 400}
UNKNOWN_CLASS = "?"


@dataclasses.dataclass
class Pictures:
    """Shows a model in TensorBoard: the KL of its units at every evaluation, pictures at a few and at the end.

    Those with pictures are the 1st, 2nd, 4th, 8th, ... of them; the files of the projector are written at the end.
    What cannot be shown is a line, and training goes on.
    """

    record: Record
    trainer: Trainer
    evaluator: Evaluator
    splits: Splits
    kl: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    shown: tuple[int, frozenset[str]] = (0, frozenset())

    def __post_init__(self) -> None:
        # A run that has had enough ends without a last event.
        self.record.at_end.append(self.end)

    def __call__(self, event: Event) -> None:
        """Shows what is due at one evaluation."""
        if event.is_last:
            self.end(event.step)
            return
        number, rest = divmod(event.step, self.trainer.config.eval_every)
        few = rest == 0 and number & (number - 1) == 0
        self._show(event.step, {**self._figures(), **(self._pictures() if few else {})})

    def end(self, step: int) -> None:
        """Shows all there is, but for what has been shown of this step."""
        last = {"projector": self._project} if self.trainer.model.is_generative else {}
        self._show(step, {**self._figures(), **self._pictures(), **last})

    def _show(self, step: int, shown: Mapping[str, Callable[[], None]]) -> None:
        before = self.shown[1] if self.shown[0] == step else frozenset()
        self.shown = (step, before | set(shown))
        with self.trainer.evaluation_weights():
            for name, show in shown.items():
                if name in before:
                    continue
                try:
                    with self.record.writers["train"].as_default(step):
                        show()
                except Exception as error:  # noqa: BLE001  (a picture is worth no training)
                    print(f"picture {name} cannot be drawn ({type(error).__name__}: {error})", flush=True)
        for writer in self.record.writers.values():
            writer.flush()

    def _figures(self) -> dict[str, Callable[[], None]]:
        """What is cheap enough for every evaluation."""
        return {"KL": self._kl} if self.trainer.model.is_generative else {}

    def _pictures(self) -> dict[str, Callable[[], None]]:
        model, shown = self.trainer.model, {}
        if model.has_classes:
            shown["confidence"] = self._confidence
        shown |= {of: functools.partial(self._answers, of, examples) for of, examples in self._seen().items()}
        if not model.is_generative:
            return shown
        shown["KL of each unit"] = self._kl_picture
        if self.splits.spec.is_table:
            return shown | {"typical rows": self._typical_rows}
        shown |= {"samples by class": self._samples, "reconstructions": self._reconstructions}
        return shown | ({"analogies": self._analogies} if model.has_classes else {})

    @property
    def _pool(self) -> Examples:
        return self.splits.unlabelled if len(self.splits.unlabelled) else self.splits.labelled

    def _seen(self) -> dict[str, Examples]:
        """Examples whose labels may be shown: held out for validation; those of test only if they are tracked."""
        if not self.trainer.sees_labels:
            return {}
        parts = {"validation": self.splits.valid, **({"test": self.splits.test} if self._tracks_test else {})}
        return {of: known.drawn(MOST_ANSWERED) for of, part in parts.items() if len(known := part.known)}

    @property
    def _tracks_test(self) -> bool:
        return self.trainer.config.track_test

    def _kl(self) -> None:
        self.kl = self.evaluator.kl_per_unit(self._pool.take(slice(KL_EXAMPLES)))
        for letter, values in self.kl.items():
            tf.summary.histogram(f"{board.HISTOGRAMS}/KL of each unit of {letter}", values, description=(
                f"KL of each unit of {letter}, nats, mean over {KL_EXAMPLES:,} examples at most."))
            tf.summary.scalar(board.tag(f"active_units/{letter}"), np.sum(values > plots.ACTIVE_NATS), description=(
                f"Units of {letter} whose KL is above {plots.ACTIVE_NATS} nats."))

    def _kl_picture(self) -> None:
        _show_picture("KL of each unit", grids.halved(plots.kl_per_unit(self.kl)))

    def _confidence(self) -> None:
        probs = self.evaluator.probs(self._pool.take(slice(KL_EXAMPLES)))
        tf.summary.histogram(f"{board.HISTOGRAMS}/confidence", probs.max(-1), description=(
            f"Largest probability of a class, of {len(probs):,} unlabelled examples."))

    def _answers(self, of: str, examples: Examples) -> None:
        """Curves of precision and recall, confusion and reliability on examples whose labels may be seen."""
        probs, names = self.evaluator.probs(examples), self.splits.class_names
        title = f"{of}: {metrics.error_percent(probs, examples.y):.2f} % error"
        with self.record.writers["valid"].as_default(tf.summary.experimental.get_step()):
            board.write_pr_curves(of, probs, examples.y, names)
            confused = plots.confusion(metrics.confusion(probs, examples.y), names, title)
            _show_picture(f"confusion, {of}", grids.halved(confused))
            trusted = run_plots.reliability({of: calibration.reliability(probs, examples.y)})
            _show_picture(f"reliability, {of}", grids.halved(trusted))

    def _samples(self) -> None:
        model = self.trainer.model
        self._image("samples by class", samples.class_grid(model, DRAWN, self.trainer.config.seed).numpy(),
                    samples.row_names(model, self.splits.class_names))

    def _reconstructions(self) -> None:
        self._image("reconstructions", samples.reconstructions(self.trainer.model, self._given()).numpy(),
                    ["given", "reconstructed"])

    def _analogies(self) -> None:
        given = self._given()
        values = samples.analogies(self.trainer.model, given, self.trainer.config.seed).numpy()
        self._image("analogies", values, [f"example {i + 1}" for i in range(len(given))],
                    ["given", *self.splits.class_names])

    def _given(self) -> tf.Tensor:
        return tf.constant(self.splits.prepared(self._pool.take(slice(DRAWN)).x)[0])

    def _image(self, name: str, values: np.ndarray, rows: list[str], columns: list[str] | None = None) -> None:
        """Shows examples [rows, columns, D]: images in a grid with names, others as `plots.examples` draws them."""
        shape = self.splits.x_shape
        picture = grids.named(values.reshape(*values.shape[:2], *shape), rows, columns or []) if len(shape) == 3 \
            else grids.halved(plots.examples(values, shape, rows))
        _show_picture(name, picture)

    def _typical_rows(self) -> None:
        """Rows that the model draws for each class, as text."""
        rows = samples.typical_rows(self.trainer.model, self.splits.spec, 3, self.trainer.config.seed)
        tf.summary.text(f"{board.ABOUT}/typical rows", board.rows_as_text(rows))

    def _project(self) -> None:
        """Writes z and a of examples, what the model saw of their classes, and what it says."""
        parts = {"labelled": self.splits.labelled, "validation": self.splits.valid, "unlabelled": self.splits.hidden}
        parts = {name: part.drawn(PROJECTED[name]) for name, part in parts.items() if len(part)}
        found = {name: self._encoded(part) for name, part in parts.items()}
        codes = {letter: np.concatenate([getattr(code, letter) for code in found.values()]) for letter in ("z", "a")}
        columns = {"class": [name for part in parts for name in self._classes(part, parts[part])]}
        if set(columns["class"]) == {UNKNOWN_CLASS}:
            del columns["class"]
        if self.trainer.model.has_classes:
            named = self.trainer.sees_labels
            columns["answer"] = [self.splits.class_names[y] if named else f"cluster {y}"
                                 for code in found.values() for y in code.y]
        columns["part"] = [name for name, part in parts.items() for _ in range(len(part))]
        images = None
        if self.splits.is_image:
            pixels = np.concatenate([part.x for part in parts.values()])
            images = pixels * float(self.splits.spec.preprocess.scaling.scale)
        projector.write(self.record.folders["final"], {k: v for k, v in codes.items() if v.shape[1]}, columns, images)

    def _encoded(self, examples: Examples) -> Encoding:
        size, found = self.evaluator.batch_size, []
        for start in range(0, len(examples), size):
            seen = self.splits.prepared(examples.take(slice(start, start + size)).x)[0]
            found.append([v.numpy() for v in self.trainer.model.encode(tf.constant(seen))])
        return Encoding(*map(np.concatenate, zip(*found, strict=True)))

    def _classes(self, part: str, examples: Examples) -> list[str]:
        """The classes that the model has seen, and those held out; hidden ones only if the test error is watched."""
        may = part != "unlabelled" or self._tracks_test
        return [self.splits.class_names[y] if may and y != UNKNOWN else UNKNOWN_CLASS for y in examples.y]


def _show_picture(name: str, picture: np.ndarray) -> None:
    tf.summary.image(f"{board.PICTURES}/{name}", picture[None])
