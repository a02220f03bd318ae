"""The experiment protocol: its flagfiles, and its script on a tiny run."""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import process
import pytest

from adgm_tf import config as config_lib

LAUNCH = process.ROOT / "launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*/*.sh")])
FLAGFILES = sorted(path for folder in ("table1", "table1/features", "unsupervised")
                   for path in LAUNCH.glob(f"{folder}/*.txt"))


def rows(name):
    """The names in a list of table1.sh."""
    return re.search(rf"^{name}=\(([^)]*)\)", (LAUNCH / "table1.sh").read_text(), re.MULTILINE)[1].split()


def launched(script, *arguments, cwd):
    """Runs a script of launch/ with this interpreter for an environment."""
    return subprocess.run(["bash", LAUNCH / script, *arguments], cwd=cwd, capture_output=True, text=True,
                          env=process.environment({"VENV": str(fake_venv(cwd))}), timeout=process.TIMEOUT,
                          stdin=subprocess.DEVNULL)


def fake_venv(folder):
    """An environment whose Python is this interpreter."""
    venv = pathlib.Path(folder, "venv")
    if not venv.exists():
        (venv / "bin").mkdir(parents=True)
        python = venv / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        (venv / ".installed-package").touch()
    return venv


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.relative_to(LAUNCH).as_posix())
def test_scripts_are_bash(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    assert os.access(script, os.X_OK) or "Sourced" in script.read_text()


def test_every_row_has_its_flags():
    assert {p.stem for p in LAUNCH.glob("table1/*.txt")} <= {*rows("table1"), "flags"}
    assert {p.stem for p in LAUNCH.glob("unsupervised/*.txt")} == set(rows("unsupervised"))


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.stem)
def test_flags_of_a_row_make_a_configuration(path, parse):
    config = config_lib.Config(**parse(f"--flagfile={LAUNCH}/table1/flags.txt", f"--flagfile={path}"))
    assert config.track_test
    assert config.num_valid == (0 if path.stem.startswith(("workshop", "best_honest")) else 1000)


@pytest.mark.parametrize("row", ["best_honest", "best_honest_conv"])
def test_a_long_recipe_is_the_same_with_more_steps(row, parse):
    best, longer = (config_lib.Config(**parse(f"--flagfile={LAUNCH}/table1/{name}.txt"))
                    for name in (row, f"{row}_long"))
    assert longer == dataclasses.replace(best, num_steps=2 * best.num_steps)


VARIANTS = re.findall(r'^  "([\w.-]+) ?(.*)"$', (LAUNCH / "search/run.sh").read_text(), re.MULTILINE)


def test_variants_of_the_search_differ():
    names, given = zip(*VARIANTS, strict=True)
    assert len(set(names)) == len(set(given)) == len(VARIANTS) > 1


@pytest.mark.parametrize(("argument", "line"), [
    ("--variant=none", "error: variant=none: known: base entropy_1 "), ("base", "error: base: every option is a flag")])
def test_an_unknown_variant_is_one_line(argument, line, tmp_path):
    done = launched("search/run.sh", argument, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("flags", [flags for _, flags in VARIANTS], ids=[name for name, _ in VARIANTS])
def test_a_variant_of_the_search_is_chosen_without_the_test_set(flags, parse):
    config = config_lib.Config(**parse(f"--flagfile={LAUNCH}/search/flags.txt", *flags.split()))
    assert config.num_valid == 1000
    assert not config.track_test


@pytest.mark.parametrize(("flag", "line"), [("--row=sdmg", "error: row=sdmg: known: adgm_1mc adgm_10mc "),
                                            ("sdgm", "error: sdgm: every option is a flag"),
                                            ("--run_dir=R", "error: run_dir=R: this script names"),
                                            ("--row=", "error: row=: known: adgm_1mc"),
                                            ("--core=x", "error: core=x: must be a whole number"),
                                            ("--split=", "error: split=: must be a whole number"),
                                            ("--split=01", "error: split=01: must be a whole number"),
                                            ("--split_seed=1", "error: split_seed=1: this script names")])
def test_an_unknown_row_is_one_line(flag, line, tmp_path):
    done = launched("table1.sh", flag, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("script", "argument", "line"), [
    ("workers.sh", "--run_dir=R", "error: COUNT=--run_dir=R: must be a whole number"),
    ("figure3.sh", "--split=1", "error: --split=1: must be one of --run_dir=RUN"),
    ("figure5.sh", "--seed=1", "error: --seed=1: must be one of --run_dir=RUN"),
    ("search/run.sh", "--split=a/b", "error: split=a/b: must be a whole number"),
    ("figure4.sh", "--learning_rate=1", "error: --learning_rate=1: makes another experiment"),
    ("class_sorted.sh", "--class_sum=exact", "error: --class_sum=exact: makes another experiment"),
    ("best_honest/run.sh", "--run_dir=R", "error: --run_dir=R: makes another experiment"),
    ("figure4.sh", "--devices=CPU:0,CPU:1", "error: --devices=CPU:0,CPU:1: makes another experiment"),
    ("bfloat16/run.sh", "--data_dir=F", "error: FOLDER=--data_dir=F: must be the folder"),
    ("minutes_to_error/run.sh", "", "error: FOLDER=: must be the folder"),
    ("family/run.sh", "--data_dir=F", "error: FOLDER=--data_dir=F: must be the folder"),
    ("search/run.sh", "--num_steps=9", "error: --num_steps=9: makes another experiment")])
def test_a_wrong_argument_of_a_script_is_one_line(script, argument, line, tmp_path):
    done = launched(script, argument, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_what_is_stored_is_drawn_wherever_redraw_stands(tmp_path):
    launch = shutil.copytree(LAUNCH, tmp_path / "launch")
    shutil.copy2(process.ROOT / "setup.py", tmp_path)
    stored = (launch / "figure4/curves.csv").read_bytes()
    done = launched(launch / "figure4.sh", "--data_dir=nowhere", "--redraw", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(launch / "figure4/convergence.png")
    assert (launch / "figure4/curves.csv").read_bytes() == stored


@pytest.mark.parametrize("script", [path for path in SCRIPTS if "\nset -euo" in path.read_text()
                                    and path.name not in ("quickstart.sh", "test.sh", "workers.sh")],
                         ids=lambda p: str(p.relative_to(LAUNCH)))
def test_help_says_how_a_script_is_used_and_does_nothing_else(script, tmp_path):
    done = subprocess.run(["bash", script, "--help"], cwd=tmp_path, capture_output=True, text=True,
                          env=process.environment({"VENV": str(tmp_path / "none")}))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(script.read_text().splitlines()[1].removeprefix("# "))
    assert not list(tmp_path.iterdir())


def test_the_figures_are_of_the_longest_run(tmp_path):
    for name, steps in (("0", 6000), ("0-steps20", 20), ("0-steps60000", 60000), ("0-steps90", 90)):
        folder = tmp_path / "runs/table1/adgm_1mc" / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps({"steps": steps, "seconds": 1.0}, indent=2))
    shown = subprocess.run(["bash", "-c", f'. "{LAUNCH}/finished_run.sh" --core=1; echo "$run_dir"'], cwd=tmp_path,
                           capture_output=True, text=True, env=process.environment({"VENV": str(fake_venv(tmp_path))}))
    assert shown.stdout == "runs/table1/adgm_1mc/0-steps60000\n", shown.stderr


@pytest.mark.process
@pytest.mark.parametrize(("model", "ends"), [
    ("vat", "Full MNIST:"), ("self_training", "Result:       run/results.json")])
def test_the_quickstart_takes_the_models_that_draw_nothing(model, ends, tmp_path):
    done = launched("quickstart.sh", f"--model={model}", "--run_dir=run", "--num_steps=2", *process.TINY, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(ends)
    assert (tmp_path / "run" / "export").exists() == (model == "vat")


@pytest.mark.process
def test_a_row_from_its_flags_to_the_table(tmp_path):
    asked = ("--row=m2", "--num_steps=20", "--split=1", "--num_valid=50", *process.TINY)
    first = launched("table1.sh", *asked, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    path, = tmp_path.glob("runs/varied-*/table1/results.csv")
    line, = pd.read_csv(path).to_dict("records")
    assert (line["row"], line["split_seed"], line["steps"], line["num_valid_labels"]) == ("m2", 1, 20, 50)
    assert first.stdout.splitlines()[-1].startswith(f"| m2 | 1 | 20 | {line['test_error_percent']:.2f} | ")
    path.write_text(path.read_text().replace("\nm2,1,", "\nm2,9,"))
    again = launched("table1.sh", *asked, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout
    assert "| m2 | 2 | 20 |" in again.stdout
