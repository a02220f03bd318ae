"""Runs an experiment or some rows and splits of it, and makes tables and pictures. It can be stopped and started again.

python -m adgm_tf.experiment --list                                            the experiments and their rows
python -m adgm_tf.experiment table1 --data_dir=DIR --row=adgm_1mc --split=1    one row with one choice of the labels
python -m adgm_tf.experiment table1 --redraw                                   tables and pictures from stored files
python -m adgm_tf.experiment own --dataset=csv:FILE --num_valid=50 --sweep=entropy_weight=1,2 --sweep=seed=0,1 --jobs=2

Flags of train (adgm_tf.train --help) go to every run. Those that make a row another experiment put runs and tables
under runs/varied-*, the others under runs/ and launch/. Several of these commands at once share the work: each takes
what no other has taken.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection
from typing import Any

from absl import flags

from adgm_tf import config as config_lib
from adgm_tf.host import cli, errors


def define_flags() -> None:
    """Defines the flags of this entry point, beside those of train."""
    flags.DEFINE_multi_string("row", [], "Row to train; a name that is no row stands for those that begin with it. All "
                              "rows if not given; may be given several times.")
    flags.DEFINE_multi_string("split", [], "Numbers, with commas between, of the choices of the labels; those of the "
                              "experiment if not given.")
    flags.DEFINE_string("launch_dir", "launch", "Folder of the flagfiles and results.")
    flags.DEFINE_integer("jobs", 1, "Runs side by side.", lower_bound=1)
    flags.DEFINE_list("core", [], "Keep to this core, or each of --jobs to one of these.")
    flags.DEFINE_multi_string("sweep", [], "A flag of train and values for it, as in learning_rate=1e-3,2e-3 or "
                              "seed=0,1,2: every row with each of them. Values with commas in them have semicolons "
                              "between. May be given for several flags: every value with every other.")
    flags.DEFINE_bool("dry_run", False, "Print the commands that are still to be run, and run nothing.")
    flags.DEFINE_bool("list", False, "Print the experiments and their rows, or those of the one named.")
    flags.DEFINE_bool("table", False, "Print a table of the finished runs that are here, lowest validation error "
                      "first.")
    flags.DEFINE_list("compare", [], "Two rows: print the mean of their differences over the splits that both have, "
                      "with its 95 % interval.")
    flags.DEFINE_bool("collect", False, "Train nothing: store and draw what the runs that are here have measured.")
    flags.DEFINE_bool("redraw", False, "Make the tables and pictures from the stored files alone.")


def main(name: str = "") -> None:
    """Does what the flags ask for with the experiment of that name."""
    values = flags.FLAGS
    from adgm_tf.experiments import conducting, listing
    if values.list and not name:
        print("\n".join(conducting.listing(list(listing.EXPERIMENTS.values()))))
        return
    experiment = errors.lookup(listing.EXPERIMENTS, "name", name)
    if values.list:
        print("\n".join(conducting.listing([experiment])))
        return
    asked = _asked()
    if values.redraw:
        conducting.redraw(experiment, asked)
    elif values.table:
        print(conducting.leaderboard(experiment, asked))
    elif values.compare:
        print(conducting.compare(experiment, asked, *_pair(values.compare)))
    elif values.dry_run:
        for command in conducting.commands(experiment, asked):
            print(command)
    else:
        from adgm_tf.experiments import running
        cores = _whole_numbers("core", values.core)
        running.check_cores(cores)
        conducting.run(experiment, asked, cores, values.jobs, train=not values.collect)


def _asked() -> Any:
    """What the flags ask for: a `planning.Selection`."""
    from adgm_tf.experiments import planning
    values = flags.FLAGS
    given = config_lib.given_flags(values)
    config_lib.Config(**given)
    run_dir = given.pop("run_dir", "")
    splits = _whole_numbers("split", [part for text in values.split for part in text.split(",")])
    sweep = _sweep(values.sweep, {*given, *(("run_dir",) if run_dir else ())})
    seeds = _whole_numbers("sweep=seed", list(sweep.pop("seed", ())))
    named = {name: values[name].serialize() for name in given}
    return planning.Selection(pathlib.Path(values.launch_dir), values.row, splits, named, seeds, sweep, run_dir)


def _sweep(texts: list[str], given: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The values of each flag that is swept; none may be among those given."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, values = text.lstrip("-").partition("=")
        if not values:
            raise errors.UserError(f"sweep={text}: must be a flag of train and its values, as in "
                                   "learning_rate=1e-3,2e-3")
        errors.lookup(config_lib.Config.__dataclass_fields__, "sweep", name)
        if name in found or name in given:
            raise errors.UserError(f"sweep={name}: --{name} is given as well; leave one of them out" if name in given
                                   else f"sweep={text}: {name} stands there twice")
        found[name] = tuple(dict.fromkeys(values.split(";" if ";" in values else ",")))
        for value in found[name]:
            try:
                flags.FLAGS[name].parser.parse(value)
            except (ValueError, TypeError) as error:
                raise errors.UserError(f"sweep={text}: {value} is no value of {name} ({error})") from None
    return found


def _pair(names: list[str]) -> tuple[str, str]:
    if len(names) != 2:
        raise errors.UserError(f"compare={','.join(names)}: must be two rows, with a comma between")
    return names[0], names[1]


def _whole_numbers(name: str, given: list[str]) -> list[int]:
    for text in given:
        if not text.isdecimal():
            raise errors.UserError(f"{name}={','.join(given)}: must be whole numbers with commas between")
    return list(dict.fromkeys(map(int, given)))


if __name__ == "__main__":
    config_lib.define_flags()
    define_flags()
    cli.run(main, __doc__, arguments=1)
