"""The runs of an experiment as jobs: what is run in which order, and when it is done."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import zlib
from collections.abc import Callable, Mapping, Sequence

from adgm_tf import config as config_lib
from adgm_tf.experiments import tables
from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Places, Results
from adgm_tf.host import errors, files

RUNS = pathlib.Path("runs")
# Each replica draws noise of its own, so that another number of them makes another experiment, though a run may go on
# with it.
_REPLICAS = ("strategy", "devices")
_NAMED = {"run_dir": "the experiment names the run directories", "split_seed": "--split names the labels"}
_OWN = ("data_dir", "seed", "num_steps")


@dataclasses.dataclass(frozen=True)
class Selection:
    """What the command line asks for.

    Args:
      launch: the folder of flagfiles and results.
      rows: names of rows, or what they begin with; all if empty.
      splits: those of the experiment if empty.
      flags: flags of train, by name, as they stand on a command line.
      seeds: those of the experiment if empty.
      sweep: flags of train, each with the values that it takes in turn; every value of one goes with every other.
      run_dir: the run that stands in for the one that the experiment would evaluate or draw.
    """

    launch: pathlib.Path
    rows: Sequence[str] = ()
    splits: Sequence[int] = ()
    flags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: Sequence[int] = ()
    sweep: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    run_dir: str = ""


@dataclasses.dataclass(frozen=True)
class Step:
    """An entry point with its flags, and whether what it makes is there."""

    command: tuple[str, ...]
    done: Callable[[], bool]


@dataclasses.dataclass(frozen=True)
class Job:
    """The run of a row with a split and a seed, and the steps to it."""

    run_dir: pathlib.Path
    row: TableRow
    split: int
    steps: tuple[Step, ...]


def places(experiment: Experiment, asked: Selection) -> Places:
    """Returns where runs and results go: to a folder of their own where flags make another experiment.

    Raises:
      UserError: a flag is not the user's to give, or the folder of flagfiles and results is needed and not there.
    """
    takes_run = any(getattr(output, "given", False) for output in experiment.outputs)
    for name, why in _NAMED.items():
        if name in asked.sweep:
            raise errors.UserError(f"sweep={name}: {why}")
        if name in asked.flags or (name == "run_dir" and asked.run_dir and not takes_run):
            raise errors.UserError(f"{asked.flags.get(name, f'--run_dir={asked.run_dir}').lstrip('-')}: {why}")
    other = [text for name, text in asked.flags.items() if _makes_another(name, experiment)]
    other += [f"--{name}={';'.join(values)}" for name, values in asked.sweep.items()]
    suffixes = tuple(variants(asked.sweep))
    in_launch = (experiment.published and not other) or any(row.flagfiles or row.first_stage for row in experiment.rows)
    if in_launch and not asked.launch.is_dir():
        raise errors.UserError(f"launch_dir={asked.launch}: must be the folder of flagfiles and results that comes "
                               "with the source; start in a checkout, or name it")
    if not other:
        return Places(asked.launch if experiment.published else RUNS, RUNS)
    folder = pathlib.Path(RUNS, f"varied-{zlib.crc32(chr(10).join(sorted(other)).encode()):08x}")
    return Places(folder, folder, suffixes)


def variants(sweep: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the flags of each variant of a row by what its name ends in; one with neither without a sweep.

    Raises:
      UserError: two variants would have one name.
    """
    found = {}
    for values in itertools.product(*sweep.values()):
        pairs = list(zip(sweep, values, strict=True))
        suffix = "".join(f"-{name}={value}" for name, value in pairs).replace("/", "_")
        if suffix in found:
            raise errors.UserError(f"sweep={pairs[-1][0]}: two of its values have the same folder, "
                                   f"{suffix.lstrip('-')}")
        found[suffix] = tuple(f"--{name}={value}" for name, value in pairs)
    return found


def note_flags(experiment: Experiment, asked: Selection, where: Places) -> None:
    """Writes the flags that a folder of another experiment stands for into it."""
    if where.results != asked.launch:
        given = sorted(text for name, text in asked.flags.items() if _makes_another(name, experiment))
        swept = [f"# {name}: {' '.join(values)}" for name, values in asked.sweep.items()]
        files.write_text(where.results / "flags.txt", "".join(f"{line}\n" for line in [*given, *swept]))


def _makes_another(name: str, experiment: Experiment) -> bool:
    if name == "num_steps":
        return not experiment.any_length
    affects = config_lib.Config.__dataclass_fields__[name].metadata["affects"]
    return name in _REPLICAS or (name not in _OWN and affects != config_lib.NOTHING)


def chosen(experiment: Experiment, asked: Selection) -> list[TableRow]:
    """Returns the rows that are asked for; a name that is no row stands for those that begin with it.

    Raises:
      UserError: a name stands for none.
    """
    found = []
    for name in asked.rows or [row.name for row in experiment.rows]:
        exact = [row for row in experiment.rows if row.name == name]
        begin = exact or [row for row in experiment.rows if name and row.name.startswith(name)]
        if not begin:
            raise errors.unknown("row", name, [row.name for row in experiment.rows])
        found += [row for row in begin if row not in found]
    return found


def jobs(experiment: Experiment, asked: Selection, where: Places) -> list[Job]:
    """Returns the jobs, split by split, and in each in the order of the rows."""
    rows = chosen(experiment, asked)
    given = {output.row for output in experiment.outputs if asked.run_dir and getattr(output, "given", False)}
    seeds = asked.seeds or ([None] if "seed" in asked.flags else experiment.seeds)
    return [_job(row, split, seed, variant, asked, where=where) for split in asked.splits or experiment.splits
            for seed in seeds for row in rows if row.name not in given for variant in variants(asked.sweep).items()]


def _job(row: TableRow, split: int, seed: int | None, variant: tuple[str, tuple[str, ...]], asked: Selection, *,
         where: Places) -> Job:
    suffix, swept = variant
    own = {name: text for name, text in asked.flags.items() if name != "num_steps" or not row.one_length}
    if seed:
        own["seed"] = f"--seed={seed}"
    seed_given, steps_given = (own.get(name, "").partition("=")[2] for name in ("seed", "num_steps"))
    name = f"{split}{f'-seed{seed_given}' if seed_given not in ('', '0') else ''}"
    name += f"-steps{steps_given}" if steps_given else ""
    run_dir = where.runs / row.home / (row.name + suffix) / name

    def trained(run_dir: pathlib.Path, flagfiles: Sequence[str], flags: Sequence[str] = ()) -> Step:
        command = ("train", *(f"--flagfile={asked.launch / path}" for path in flagfiles), *flags,
                   f"--split_seed={split}", f"--run_dir={run_dir}", *own.values(), *swept)
        return Step(command, (run_dir / "results.json").is_file)

    steps, flags = [], row.flags
    if row.first_stage:
        first = where.runs / "features" / (row.name + suffix) / name
        steps.append(trained(first, row.first_stage))
        flags = (f"--features_run={first}", *flags)
    steps.append(trained(run_dir, row.flagfiles, flags))
    if steps[-1].done():
        steps = steps[-1:]
    if row.likelihood:
        command = ("evaluate", f"--run_dir={run_dir}", f"--num_importance_samples={tables.LIKELIHOOD_SAMPLES}")
        steps.append(Step((*command, *of_data(asked)), lambda: _has_likelihood(run_dir)))
    return Job(run_dir, row, split, tuple(steps))


def of_data(asked: Selection) -> tuple[str, ...]:
    """Returns the flag that says where the data are, if it is given."""
    return (asked.flags["data_dir"],) if "data_dir" in asked.flags else ()


def _has_likelihood(run_dir: pathlib.Path) -> bool:
    """Whether log p(x) of the test images has been estimated with the last weights of the run."""
    path = run_dir / "evaluation" / f"test-importance{tables.LIKELIHOOD_SAMPLES}.json"
    finished = run_dir / "results.json"
    if not path.is_file() or not finished.is_file():
        return False
    return files.read_json(path, "runs").get("step") == files.read_json(finished, "runs").get("steps")


def tables_of(experiment: Experiment, rows: Sequence[TableRow]) -> list[Results]:
    """Returns the tables that have one of these rows."""
    return [output for output in experiment.outputs if isinstance(output, Results)
            and any(row.home == output.home and row.name in output.rows for row in rows)]
