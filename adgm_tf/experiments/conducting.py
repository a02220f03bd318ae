"""An experiment from its first run to its tables and pictures."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Iterator, Sequence

from adgm_tf.experiments import planning, running
from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Benchmark, Curves, Kept, Places, Results
from adgm_tf.experiments.planning import Job, Selection
from adgm_tf.host import errors, files

NOT_RANKED = "Not ranked: a run has no validation error, and the test set ranks nothing; --num_valid=N makes one."


def run(experiment: Experiment, asked: Selection, cores: Sequence[int] = (), width: int = 1, *,
        train: bool = True) -> None:
    """Trains what is missing, stores what was measured, and draws it; without `train`, stores and draws what is there.

    Raises:
      UserError: some of it failed; the rest has been done, and what failed is named.
    """
    where, rows = planning.places(experiment, asked), planning.chosen(experiment, asked)
    _check_flagfiles(rows, asked.launch)
    jobs, failed = planning.jobs(experiment, asked, where), []
    if train:
        planning.note_flags(experiment, asked, where)
        failed += running.run(jobs, cores, width, lambda job: _collect(experiment, [job.row], where))
    core = cores[0] if cores else None
    for output in experiment.outputs:
        if isinstance(output, Kept):
            failed += _keep(output, asked, where, core)
        if isinstance(output, Benchmark) and output.flags and train:
            failed += _measure(output, where, core)
        if isinstance(output, Curves):
            output.collect(where)
    _collect(experiment, rows, where)
    tables = planning.tables_of(experiment, rows)
    _show([output for output in experiment.outputs if not isinstance(output, Results) or output in tables], where)
    if failed:
        raise errors.UserError(f"not finished: {' '.join(failed)}")


def redraw(experiment: Experiment, asked: Selection) -> None:
    """Makes every table and picture from the stored files alone."""
    _show(experiment.outputs, planning.places(experiment, asked))


def _show(outputs: Sequence, where: Places) -> None:
    for output in outputs:
        for text in output.redraw(where):
            print(f"\n{text}" if text.startswith("|") else text, flush=True)


def _check_flagfiles(rows: Sequence[TableRow], launch: pathlib.Path) -> None:
    for row in rows:
        for name in (*row.flagfiles, *row.first_stage):
            if not (launch / name).is_file():
                raise errors.UserError(f"launch_dir={launch}: has no {name}, the flags of row {row.name}")


def _collect(experiment: Experiment, rows: Sequence[TableRow], where: Places) -> None:
    for table in planning.tables_of(experiment, rows):
        table.collect(where)


def _runs(kept: Kept, asked: Selection, where: Places) -> dict[int, pathlib.Path]:
    return {0: pathlib.Path(asked.run_dir)} if kept.given and asked.run_dir else kept.runs(where)


def _command(kept: Kept, run_dir: pathlib.Path, asked: Selection) -> tuple[str, ...]:
    return (*kept.command, f"--run_dir={run_dir}", *planning.of_data(asked))


def _keep(kept: Kept, asked: Selection, where: Places, core: int | None) -> list[str]:
    """Returns the runs of which the command failed."""
    said, failed = [], []
    for split, run_dir in _runs(kept, asked, where).items():
        succeeded, text = running.call(_command(kept, run_dir, asked), core, capture=bool(kept.said))
        if not succeeded:
            failed.append(str(run_dir))
            continue
        kept.keep(run_dir, split, where)
        said.append(f"split {split}: {(text.splitlines() or [''])[-1]}\n")
    if kept.said and said:
        files.write_text(where.results / kept.said, "".join(said))
    return failed


def _measure(measured: Benchmark, where: Places, core: int | None) -> list[str]:
    succeeded, _ = running.call(_benchmark(measured, where), core)
    return [] if succeeded else [measured.json]


def _benchmark(measured: Benchmark, where: Places) -> tuple[str, ...]:
    return "benchmark", *measured.flags, f"--json={where.results / measured.json}"


def commands(experiment: Experiment, asked: Selection) -> Iterator[str]:
    """Yields the commands that `run` would start, as they stand on a command line."""
    where = planning.places(experiment, asked)
    _check_flagfiles(planning.chosen(experiment, asked), asked.launch)
    jobs = planning.jobs(experiment, asked, where)
    steps = [step.command for job in jobs for step in job.steps if not step.done()]
    for output in experiment.outputs:
        if isinstance(output, Kept):
            steps += [_command(output, run_dir, asked) for run_dir in _to_come(output, jobs, asked, where)]
        if isinstance(output, Benchmark) and output.flags:
            steps.append(_benchmark(output, where))
    for command in steps:
        yield shlex.join(["python", "-m", f"adgm_tf.{command[0]}", *command[1:]])


def _to_come(kept: Kept, jobs: Sequence[Job], asked: Selection, where: Places) -> list[pathlib.Path]:
    planned = {job.split: job.run_dir for job in jobs if (job.row.home, job.row.name) == (kept.home, kept.row)
               and (kept.splits is None or job.split in kept.splits)}
    return list({**planned, **_runs(kept, asked, where)}.values())


def leaderboard(experiment: Experiment, asked: Selection) -> str:
    """Returns the table of the finished runs that are here, lowest validation error first, the test set ranks none.

    Rows of which one has no validation error come in the order of their names.

    Raises:
      UserError: there is none.
    """
    from adgm_tf.experiments import tables
    where = planning.places(experiment, asked)
    names = {(row.home, row.name) for row in planning.chosen(experiment, asked)}
    found = tables.collect([pattern for home, name in sorted(names) for pattern in where.patterns(home, [name])])
    frame = tables.frame(tables.merged([], found))
    means = frame.groupby("row", sort=False)[["valid_error_percent", "test_error_percent", "test_bound_nats"]].mean()
    ranks = means["valid_error_percent"].notna().all()
    ranked = means.sort_values("valid_error_percent", kind="stable") if ranks else means.sort_index()
    shown = tables.markdown(tables.in_order(frame.to_dict("records"), list(ranked.index)))
    return shown if ranks else f"{shown}\n\n{NOT_RANKED}"


def compare(experiment: Experiment, asked: Selection, one: str, other: str) -> str:
    """Returns the paired difference of two rows, of the stored lines and the runs that are here.

    Raises:
      UserError: a row has no line, or they share no split.
    """
    from adgm_tf.experiments import comparison
    where = planning.places(experiment, asked)
    lines = [line for output in experiment.outputs if isinstance(output, Results) for line in output.known(where)]
    for row in (one, other):
        if row not in {line["row"] for line in lines}:
            raise errors.unknown("compare", row, dict.fromkeys(line["row"] for line in lines))
    return comparison.markdown(lines, [(one, other)])


def listing(experiments: Sequence[Experiment]) -> Iterator[str]:
    """Yields a line an experiment and a line a row."""
    for experiment in experiments:
        splits = ",".join(map(str, experiment.splits))
        yield f"{experiment.name}: {experiment.about} Splits {splits}." if experiment.rows else (
            f"{experiment.name}: {experiment.about}")
        for row in experiment.rows:
            yield f"  {row.name}  {' '.join([*(f'launch/{path}' for path in row.flagfiles), *row.flags])}".rstrip()
