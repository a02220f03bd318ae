"""Progress of training: a bar on a terminal or in a notebook, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import tqdm.auto as tqdm

from adgm_tf.training.loop import Event
from adgm_tf.training.step import Trainer
from adgm_tf.training.validation import Scores


class Progress:
    """Shows every call of the loop on a bar, or a line every so many steps.

    Args:
      trainer: says how many steps there are.
      every: steps between two lines.
      scores: the last validation, None before the first.
    """

    def __init__(self, trainer: Trainer, every: int, scores: Callable[[], Scores | None]):
        self.trainer, self.every, self.scores = trainer, every, scores
        self.first_step, self.start = trainer.step, time.perf_counter()
        self.bar = None
        if sys.stderr.isatty() or "ipykernel" in sys.modules:
            self.bar = tqdm.tqdm(initial=trainer.step, total=trainer.plan.num_steps, unit="step", dynamic_ncols=True)

    def __call__(self, event: Event) -> None:
        """Shows one call."""
        if event.step % self.every and not event.is_last:
            return
        if self.bar is not None:
            self.bar.set_postfix_str(self._text(event), refresh=False)
            self.bar.update(event.step - self.bar.n)
            if event.is_last:
                self.bar.close()
            return
        elapsed = time.perf_counter() - self.start
        left = elapsed / (event.step - self.first_step) * (self.trainer.plan.num_steps - event.step)
        print(f"step {event.step}/{self.trainer.plan.num_steps}  {self._text(event)}  "
              f"{tqdm.tqdm.format_interval(left)} left", flush=True)

    def _text(self, event: Event) -> str:
        parts = [f"epoch {event.epoch:.1f}", f"loss {event.terms['loss']:.2f}"]
        bound = event.terms.get("unlabelled/bound", event.terms.get("labelled/bound"))
        if bound is not None:
            parts.append(f"bound {bound:.2f} nats")
        scores = self.scores()
        if scores is not None and (shown := scores.shown()):
            parts.append(shown + ("" if scores.step == event.step else f" at step {scores.step}"))
        return "  ".join([*parts, f"{event.examples_per_second:,.0f} examples/s"])
