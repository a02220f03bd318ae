"""The three phases in which a model is asked: they decide what batch normalisation does, and whether there is noise."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """TRAIN: statistics of the batch, which the averages follow; PROBE: those alone; EVALUATE: the averages."""

    TRAIN = "train"
    PROBE = "probe"
    EVALUATE = "evaluate"

    @property
    def training(self) -> bool:
        """Whether statistics are those of the batch: what Keras calls training."""
        return self is not Phase.EVALUATE

    @property
    def moves_averages(self) -> bool:
        """Whether the moving averages follow."""
        return self is Phase.TRAIN

    @property
    def aside(self) -> Phase:
        """The same phase for a pass that leaves the moving averages alone."""
        return Phase.PROBE if self is Phase.TRAIN else self
