"""The experiments: their flags, their runs, and what is made of them."""

import dataclasses
import json
import pathlib
import re
import shutil
import sys

import pandas as pd
import process
import pytest

from adgm_tf import config as config_lib
from adgm_tf.experiments import conducting, planning, running, table1, tables
from adgm_tf.experiments.listing import EXPERIMENTS
from adgm_tf.experiments.outputs import Kept
from adgm_tf.experiments.planning import Selection
from adgm_tf.host import errors

LAUNCH = process.ROOT / "launch"
ROWS = {(row.home, row.name): (experiment, row) for experiment in EXPERIMENTS.values() for row in experiment.rows}
NAMES = sorted(EXPERIMENTS)


def jobs(name, **asked):
    experiment, asked = EXPERIMENTS[name], Selection(LAUNCH, **asked)
    return planning.jobs(experiment, asked, planning.places(experiment, asked))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Flags


def test_every_flagfile_is_that_of_a_row_and_every_row_has_its_own():
    used = {path for _, row in ROWS.values() for path in (*row.flagfiles, *row.first_stage)}
    stored = {str(path.relative_to(LAUNCH)) for path in LAUNCH.glob("**/*.txt") if path.name != "comparison.txt"}
    assert used == stored


@pytest.mark.parametrize(("home", "name"), ROWS)
def test_commands_of_a_row_make_configurations(home, name, parse, here):
    experiment, row = ROWS[home, name]
    asked = Selection(LAUNCH, [name], [3])
    job, = planning.jobs(experiment, asked, planning.places(experiment, asked))
    made = [config_lib.Config(**parse(*step.command[1:])) for step in job.steps if step.command[0] == "train"]
    config = made[-1]
    assert (config.split_seed, config.run_dir) == (3, f"runs/{home}/{name}/3")
    assert [c.run_dir for c in made[:-1]] == ([config.features_run] if row.first_stage else [])
    if home == "search":
        assert (config.num_valid, config.track_test) == (1000, False)
    if home in ("table1", "unsupervised"):
        assert config.track_test
        assert config.num_valid == (0 if name.startswith(("workshop", "best_honest")) else 1000)


@pytest.mark.parametrize("row", ["best_honest", "best_honest_conv"])
def test_a_long_recipe_is_the_same_with_more_steps(row, parse):
    best, longer = (config_lib.Config(**parse(f"--flagfile={LAUNCH}/table1/{name}.txt"))
                    for name in (row, f"{row}_long"))
    assert longer == dataclasses.replace(best, num_steps=2 * best.num_steps)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_an_experiment_differ(name, parse):
    rows = EXPERIMENTS[name].rows
    assert len({row.name for row in rows}) == len({(row.flagfiles, row.flags) for row in rows}) == len(rows)


# Runs


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_trained_once_a_split_in_a_folder_of_its_own(name, here):
    experiment = EXPERIMENTS[name]
    found = jobs(name)
    assert len({job.run_dir for job in found}) == len(found) == len(experiment.rows) * len(experiment.splits)
    assert [job.split for job in found] == sorted(job.split for job in found)


def test_seeds_and_lengths_stand_in_the_name(here):
    flags = {"num_steps": "--num_steps=60", "seed": "--seed=3"}
    job, = jobs("table1", rows=["m2"], splits=[1], flags=flags)
    assert str(job.run_dir) == "runs/table1/m2/1-seed3-steps60"
    assert set(flags.values()) < set(job.steps[0].command)
    assert str(jobs("table1", rows=["m2"], flags={"seed": "--seed=0"})[0].run_dir) == "runs/table1/m2/0"


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(config_lib.Config)
                                  if f.name not in ("run_dir", "split_seed", "seed", "num_steps")])
def test_flags_that_make_another_experiment_get_a_folder_of_their_own(name):
    affects = config_lib.Config.__dataclass_fields__[name].metadata["affects"]
    where = planning.places(EXPERIMENTS["bfloat16"], Selection(LAUNCH, flags={name: f"--{name}=1"}))
    varied = re.fullmatch(r"runs/varied-[0-9a-f]{8}", str(where.results)) and where.results == where.runs
    assert bool(varied) == (affects != config_lib.NOTHING or name in ("strategy", "devices"))
    assert varied or (where.results, str(where.runs)) == (LAUNCH, "runs")


def test_another_length_is_another_experiment_where_rows_have_one_length():
    asked = Selection(LAUNCH, flags={"num_steps": "--num_steps=9"})
    varied = {name for name in NAMES if planning.places(EXPERIMENTS[name], asked).results != LAUNCH}
    assert varied == {"search", "family", "bfloat16", "minutes_to_error", "quickstart", "benchmark", "few_labels",
                      "own"}
    untrained = jobs("figure3", flags=asked.flags)[-1]
    assert str(untrained.run_dir) == "runs/figure3/untrained/0"
    assert "--num_steps=9" not in untrained.steps[0].command


def test_a_sweep_trains_every_row_with_every_value(here):
    found = jobs("bfloat16", rows=["float32"], splits=[0, 1], sweep={"learning_rate": ("1e-3", "2e-3")})
    assert [job.run_dir.parts[2:] for job in found] == [
        ("bfloat16", f"float32-learning_rate={value}", split) for split in "01" for value in ("1e-3", "2e-3")]
    assert [job.steps[0].command[-1] for job in found[:2]] == ["--learning_rate=1e-3", "--learning_rate=2e-3"]


def test_a_sweep_over_several_flags_and_seeds_is_their_grid(here):
    found = jobs("own", flags={"num_steps": "--num_steps=9"}, seeds=(0, 1),
                 sweep={"learning_rate": ("1e-3", "2e-3"), "dataset": ("csv:a/b.csv", "digits")})
    assert len(found) == len({job.run_dir for job in found}) == 8
    assert {job.run_dir.parts[3:] for job in found} == {
        (f"run-learning_rate={rate}-dataset={name}", f"0{seed}-steps9") for seed in ("", "-seed1")
        for rate in ("1e-3", "2e-3") for name in ("csv:a_b.csv", "digits")}
    for job in found:
        assert ("--seed=1" in job.steps[0].command) == ("seed1" in job.run_dir.name)
        assert [part for part in job.steps[0].command if part.startswith("--dataset=")] == [
            "--dataset=csv:a/b.csv" if "a_b" in job.run_dir.parts[3] else "--dataset=digits"]


def test_own_data_are_swept_without_a_checkout(here):
    asked = Selection(pathlib.Path("launch"), sweep={"dataset": ("digits",)})
    assert planning.places(EXPERIMENTS["own"], asked).results.parts[0] == "runs"
    assert planning.places(EXPERIMENTS["own"], Selection(pathlib.Path("launch"))).results.parts[0] == "runs"
    for name, given in (("quickstart", Selection(pathlib.Path("launch"))), ("family", asked)):
        with pytest.raises(errors.UserError, match=r"^launch_dir=launch: must be the folder of flagfiles"):
            planning.places(EXPERIMENTS[name], given)


def test_what_is_no_row_stands_for_those_that_begin_with_it():
    experiment = EXPERIMENTS["table1"]
    names = [row.name for row in planning.chosen(experiment, Selection(LAUNCH, ["workshop2015_10mc", "sdgm"]))]
    assert names == ["workshop2015_10mc_class_sorted", "workshop2015_10mc_shuffled", "sdgm"]
    for name in ("sdmg", ""):
        with pytest.raises(errors.UserError, match=f"^row={name}: .*known: adgm_1mc, adgm_10mc, "):
            planning.chosen(experiment, Selection(LAUNCH, [name]))


def finished(run_dir, **results):
    folder = pathlib.Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    results = {"split_seed": 0, "seed": 0, "steps": 9, "seconds": 1.0, **results}
    (folder / "results.json").write_text(json.dumps(results))


def to_do(name, **asked):
    experiment = EXPERIMENTS[name]
    return [line.split("adgm_tf.")[1].split()[0] + " " + re.search(r"--run_dir=(\S+)", line)[1]
            for line in conducting.commands(experiment, Selection(LAUNCH, **asked))]


def test_what_is_done_is_left_out(here):
    wanted = {"rows": ["m1m2", "avae"]}
    assert to_do("table1", **wanted) == ["train runs/features/m1m2/0", "train runs/table1/m1m2/0",
                                         "train runs/unsupervised/avae/0", "evaluate runs/unsupervised/avae/0"]
    finished("runs/features/m1m2/0")
    finished("runs/unsupervised/avae/0")
    assert to_do("table1", **wanted) == ["train runs/table1/m1m2/0", "evaluate runs/unsupervised/avae/0"]
    evaluated = pathlib.Path("runs/unsupervised/avae/0/evaluation/test-importance1000.json")
    evaluated.parent.mkdir()
    evaluated.write_text('{"step": 8}')
    assert "evaluate runs/unsupervised/avae/0" in to_do("table1", **wanted)
    evaluated.write_text('{"step": 9}')
    shutil.rmtree("runs/features")
    finished("runs/table1/m1m2/0")
    assert to_do("table1", **wanted) == []


def test_the_figures_are_of_the_longest_run(here):
    for name, steps in (("0", 6000), ("0-steps20", 20), ("0-steps60000", 60000), ("0-steps90", 90)):
        finished(f"runs/table1/adgm_1mc/{name}", steps=steps)
    finished("runs/table1/adgm_1mc/1", steps=90000, split_seed=1)
    finished("runs/table1/adgm_1mc/0-seed1", steps=90000, seed=1)
    assert to_do("figure5") == ["sample runs/table1/adgm_1mc/0-steps60000"]
    assert to_do("figure5", run_dir="R") == ["sample R"]
    assert to_do("figure3", run_dir="R") == ["train runs/figure3/untrained/0", "evaluate R",
                                             "evaluate runs/figure3/untrained/0"]


# From runs to files: a program that trains nothing in the place of the entry points

STUB = """
import json, pathlib, re, sys
entry, *given = sys.argv[1:]
flags = dict(re.findall(r"--(\\w+)=(\\S+)", " ".join(given)))
with open("log.txt", "a") as log:
    log.write(f"{entry} {flags.get('run_dir')}\\n")
if "bad" in sys.argv[-1]:
    sys.exit("error: bad")
if entry == "train":
    run_dir = pathlib.Path(flags["run_dir"])
    split = int(flags["split_seed"])
    (run_dir / "figures").mkdir(parents=True)
    for name in ("samples", "analogies", "kl_per_unit"):
        (run_dir / "figures" / f"{name}.png").write_text(name)
    found = {"split_seed": split, "seed": 0, "steps": 9, "seconds": 1.0, "test_error_percent": 5.0 + split,
             "num_valid_labels": 0, "versions": {"adgm_tf": "0.2.0"}, "hardware": {"cpu": "a cpu", "gpus": []}}
    (run_dir / "results.json").write_text(json.dumps(found))
    (run_dir / "config.json").write_text(json.dumps({"compute_dtype": "bfloat16", **found}))
    point = {"step": 9, "test_error_percent": 5.0, "epoch": 1.0, "seconds": 60.0}
    (run_dir / "metrics.jsonl").write_text(json.dumps(point))
if entry == "evaluate":
    print("a table")
    print(f"test error of {flags['run_dir']}")
"""


@pytest.fixture
def stub(here, monkeypatch):
    (here / "stub.py").write_text(STUB)
    monkeypatch.setattr(running, "program", lambda command: [sys.executable, "-S", "stub.py", *command])
    shutil.copytree(LAUNCH, here / "launch", ignore=shutil.ignore_patterns("*.csv", "*.png", "*.json"))
    return here


def log():
    return pathlib.Path("log.txt").read_text().splitlines()


def run(name, train=True, width=1, **asked):
    conducting.run(EXPERIMENTS[name], Selection(pathlib.Path("launch"), **asked), train=train, width=width)


def test_an_experiment_from_its_runs_to_its_table(stub, capsys):
    run("quickstart", width=2)
    assert sorted(log()[:3]) == [f"train runs/quickstart/defaults/{split}" for split in range(3)]
    stored = pd.read_csv("launch/quickstart/results.csv", dtype={"version": str})
    assert list(stored["test_error_percent"]) == [5, 6, 7]
    assert set(zip(stored["version"], stored["machine"], stored["compute_dtype"], strict=True)) == {
        ("0.2.0", "a cpu", "bfloat16")}
    assert pathlib.Path("launch/quickstart/comparison.txt").read_text() == "".join(
        f"split {split}: test error of runs/quickstart/defaults/{split}\n" for split in range(3))
    assert pathlib.Path("launch/quickstart/samples.png").read_text() == "samples"
    table = "| defaults | 3 | 9 | 6.00 ± 1.00 | 1.00 ± 0.00 |"
    assert table in capsys.readouterr().out
    assert table in pathlib.Path("launch/quickstart/README.md").read_text()
    pathlib.Path("log.txt").unlink()
    run("quickstart", splits=[1])
    assert not [line for line in log() if line.startswith("train")]


def test_a_variation_keeps_out_of_the_stored_files(stub, capsys):
    before = {path: path.read_bytes() for path in pathlib.Path("launch").rglob("*") if path.is_file()}
    run("figure4", rows=["m2"], splits=[0], flags={"learning_rate": "--learning_rate=1"})
    assert before == {path: path.read_bytes() for path in pathlib.Path("launch").rglob("*") if path.is_file()}
    folder, = pathlib.Path("runs").glob("varied-*")
    assert (folder / "flags.txt").read_text() == "--learning_rate=1\n"
    assert len(tables.read(folder / "table1/results.csv")) == 1
    assert (folder / "figure4/convergence.png").is_file()
    assert "| m2 | 1 | 9 | 5.00 |" in capsys.readouterr().out


def test_a_failed_run_is_named_and_the_others_go_on(stub, capsys):
    with pytest.raises(errors.UserError, match=r"^not finished: runs/varied-.*/bfloat16/float32-model=bad/0$"):
        run("bfloat16", rows=["float32"], splits=[0], sweep={"model": ("bad", "m2")})
    assert len(log()) == 2
    assert "float32-model=bad/0: failed\n" in capsys.readouterr().out


def test_without_training_what_is_there_is_stored(stub, capsys):
    finished("runs/bfloat16/bfloat16/0", test_error_percent=4.0)
    run("bfloat16", train=False)
    assert not pathlib.Path("log.txt").exists()
    assert [line["row"] for line in tables.read("launch/bfloat16/results.csv")] == ["bfloat16"]


def test_pictures_of_runs_are_kept_by_split(stub, capsys):
    for split in (1, 2):
        finished(f"runs/table1/workshop2015_trained/{split}", split_seed=split)
    kept = next(output for output in EXPERIMENTS["figure3"].outputs if isinstance(output, Kept) and not output.splits)
    places = planning.places(EXPERIMENTS["figure3"], Selection(pathlib.Path("launch")))
    assert list(kept.runs(places)) == [1, 2]
    for folder in ("figures", "evaluation"):
        pathlib.Path(f"runs/table1/workshop2015_trained/2/{folder}").mkdir()
    pathlib.Path("runs/table1/workshop2015_trained/2/figures/kl_per_unit.png").write_text("p")
    pathlib.Path("runs/table1/workshop2015_trained/2/evaluation/test.json").write_text("{}")
    kept.keep(pathlib.Path("runs/table1/workshop2015_trained/2"), 2, places)
    assert pathlib.Path("launch/figure3/workshop2015_trained_2.png").read_text() == "p"
    assert pathlib.Path("launch/figure3/workshop2015_trained_2.json").read_text() == "{}"


def test_the_runs_that_are_here_are_ranked_by_their_validation_error(here):
    for row, valid, test in (("float32", 3.0, 1.0), ("bfloat16", 2.0, 9.0)):
        finished(f"runs/bfloat16/{row}/0", valid_error_percent=valid, test_error_percent=test)
    shown = conducting.leaderboard(EXPERIMENTS["bfloat16"], Selection(LAUNCH))
    assert [line.split()[1] for line in shown.splitlines()[2:]] == ["bfloat16", "float32"]
    finished("runs/bfloat16/float32/1", valid_error_percent=None, test_error_percent=0.0)
    finished("runs/bfloat16/float32/0", valid_error_percent=None, test_error_percent=0.0)
    shown = conducting.leaderboard(EXPERIMENTS["bfloat16"], Selection(LAUNCH))
    assert [line.split()[1] for line in shown.splitlines()[2:4]] == ["bfloat16", "float32"]
    assert shown.endswith(conducting.NOT_RANKED)
    with pytest.raises(errors.UserError, match="no finished run"):
        conducting.leaderboard(EXPERIMENTS["family"], Selection(LAUNCH))


# The command


@pytest.mark.parametrize(("given", "line"), [
    (["tabel1"], "name=tabel1: did you mean table1 or labels or few_labels? known: table1, "),
    ([], "name=: known: table1, "),
    (["table1", "--row=sdmg"], "row=sdmg: did you mean sdgm"), (["table1", "--row="], "row=: known: adgm_1mc, "),
    (["table1", "--core=x"], "core=x: must be whole numbers"), (["table1", "--core=999"], "core=999: must be one of 0"),
    (["table1", "--split="], "split=: must be whole numbers"), (["search", "--split=a/b"], "split=a/b: must be whole"),
    (["table1", "--run_dir=R"], "run_dir=R: the experiment names the run directories"),
    (["table1", "--split_seed=1"], "split_seed=1: --split names the labels"),
    (["search", "--row=none"], "row=none: known: base, entropy_1, "),
    (["table1", "--launch_dir=nowhere"], "launch_dir=nowhere: must be the folder of flagfiles"),
    (["table1", "--launch_dir=."], "launch_dir=.: has no table1/flags.txt, the flags of row adgm_1mc"),
    (["table1", "--num_steps=0"], "num_steps=0: must be at least 1"),
    (["table1", "--sweep=learning_rate"], "sweep=learning_rate: must be a flag of train and its values"),
    (["table1", "--sweep=learning=1,2"], "sweep=learning: did you mean learning_rate"),
    (["table1", "--seed=1", "--sweep=seed=0,1"], "sweep=seed: --seed is given as well"),
    (["table1", "--sweep=seed=0,a"], "sweep=seed=0,a: a is no value of seed"),
    (["table1", "--sweep=seed=0,-1"], "sweep=seed=0,-1: must be whole numbers"),
    (["table1", "--sweep=learning_rate=1,x"], "sweep=learning_rate=1,x: x is no value of learning_rate"),
    (["table1", "--sweep=seed=0", "--sweep=seed=1"], "sweep=seed=1: seed stands there twice"),
    (["table1", "--sweep=run_dir=a,b"], "sweep=run_dir: the experiment names the run directories"),
    (["own", "--sweep=split_seed=0,1"], "sweep=split_seed: --split names the labels"),
    (["own", "--sweep=dataset=csv:a/b,csv:a_b"], "sweep=dataset: two of its values have the same folder"),
    (["table1", "--compare=sdgm"], "compare=sdgm: must be two rows"),
    (["table1", "--compare=sdgm,m3"], "compare=m3: did you mean m2"),
    (["table1", "--compare=sdgm,best_honest"], "compare=sdgm,best_honest: hold out 1,000 and 0 validation images")])
@pytest.mark.process
def test_a_wrong_word_is_one_line(given, line, tmp_path):
    launch = [] if any(text.startswith("--launch_dir") for text in given) else [f"--launch_dir={LAUNCH}"]
    done = process.forked("experiment", *given, *launch, cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err.startswith(f"error: {line}")
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_the_command_lists_compares_and_says_what_it_would_run(tmp_path):
    listed = process.forked("experiment", "--list", cwd=tmp_path)
    assert (listed.code, listed.err) == (0, "")
    assert len(listed.out.splitlines()) == len(EXPERIMENTS) + sum(len(e.rows) for e in EXPERIMENTS.values())
    compared = process.forked("experiment", "table1", f"--launch_dir={LAUNCH}", "--compare=adgm_10mc,adgm_1mc",
                              cwd=tmp_path)
    assert set(compared.out.splitlines()) <= set((LAUNCH / "table1/README.md").read_text().splitlines())
    assert len(compared.out.splitlines()) == 6
    dry = process.forked("experiment", "--dry_run", "bfloat16", "--split=2", f"--launch_dir={LAUNCH}",
                         "--row=float32", "--data_dir=a folder", cwd=tmp_path)
    assert dry.out == (f"python -m adgm_tf.train --flagfile={LAUNCH}/table1/flags.txt --model=adgm "
                       "--compute_dtype=float32 --split_seed=2 --run_dir=runs/bfloat16/float32/2 "
                       "'--data_dir=a folder'\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.slow
def test_a_row_from_its_flags_to_the_table(tmp_path):
    asked = ("table1", f"--launch_dir={LAUNCH}", "--row=m2", "--num_steps=20", "--split=1", "--num_valid=50",
             *process.TINY)
    first = process.forked("experiment", *asked, cwd=tmp_path)
    assert first.code == 0, first
    path, = tmp_path.glob("runs/varied-*/table1/results.csv")
    line, = pd.read_csv(path).to_dict("records")
    assert (line["row"], line["split_seed"], line["steps"], line["num_valid_labels"]) == ("m2", 1, 20, 50)
    assert line["compute_dtype"] == "float32"
    assert first.out.splitlines()[-1].startswith(f"| m2 | 1 | 20 | {line['test_error_percent']:.2f} | ")
    path.write_text(path.read_text().replace("\nm2,1,", "\nm2,9,"))
    again = process.forked("experiment", *asked, cwd=tmp_path)
    assert again.code == 0, again
    assert "finished before" in again.out
    assert "| m2 | 2 | 20 |" in again.out


def test_rows_of_other_experiments_are_those_of_table_1():
    for experiment in table1.EXPERIMENTS:
        assert all(row is table1.ROWS[row.name] for row in experiment.rows if row.home == "table1")
