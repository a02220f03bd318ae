"""The experiment protocol: its flagfiles, and its script on a tiny run."""

import os
import pathlib
import re
import shlex
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
    venv = pathlib.Path(cwd, "venv")
    if not venv.exists():
        (venv / "bin").mkdir(parents=True)
        python = venv / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        (venv / ".installed-package").touch()
    return subprocess.run(["bash", LAUNCH / script, *arguments], cwd=cwd, env=process.environment({"VENV": str(venv)}),
                          capture_output=True, text=True, timeout=process.TIMEOUT, stdin=subprocess.DEVNULL)


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
                                            ("sdgm", "error: sdgm: every option is a flag")])
def test_an_unknown_row_is_one_line(flag, line, tmp_path):
    done = launched("table1.sh", flag, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


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
