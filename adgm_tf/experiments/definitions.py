"""What an experiment is: rows that are trained on splits with seeds, and what is made of their runs."""

from __future__ import annotations

import dataclasses

from adgm_tf.experiments import outputs


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A line of a table, trained once a split and seed.

    Args:
      name: its folder under runs/<home>.
      home: the experiment whose table it stands in; its runs are runs/<home>/<name>/<split>.
      flagfiles: files under launch/ with flags of train; of a flag that stands twice, the last counts.
      flags: flags of train that come after those.
      first_stage: flagfiles of the run of m1 that is trained first, whose z this row observes.
      likelihood: whether the log-likelihood of the test images is estimated too.
      one_length: whether `--num_steps` leaves this row as it is.
    """

    name: str
    home: str
    flagfiles: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    first_stage: tuple[str, ...] = ()
    likelihood: bool = False
    one_length: bool = False


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Rows, the splits and seeds that they are trained with if none are named, and what is made of their runs.

    Args:
      about: one line.
      any_length: whether runs with another `--num_steps` stand beside those of the row's own; of two runs of one row,
        split and seed the longer one counts. If not, such runs are another experiment.
      published: whether runs with its own flags have their results under launch/.
    """

    name: str
    about: str
    rows: tuple[TableRow, ...] = ()
    splits: tuple[int, ...] = (0,)
    seeds: tuple[int, ...] = (0,)
    any_length: bool = False
    published: bool = True
    outputs: tuple[outputs.Output, ...] = ()
