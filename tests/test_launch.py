"""The scripts of launch/."""

import os
import pathlib
import shlex
import subprocess
import sys

import process
import pytest

LAUNCH = process.ROOT / "launch"
SCRIPTS = sorted(LAUNCH.glob("**/*.sh"))


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


def test_what_is_left_in_shell():
    assert [path.relative_to(LAUNCH).as_posix() for path in SCRIPTS] == [
        "environment.sh", "quickstart.sh", "test.sh", "workers.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_bash(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    assert os.access(script, os.X_OK) or "Sourced" in script.read_text()


def test_workers_need_a_count(tmp_path):
    done = launched("workers.sh", "--run_dir=R", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: COUNT=--run_dir=R: must be a whole number of at least 1, before the flags\n"


@pytest.mark.process
@pytest.mark.parametrize(("model", "ends"), [
    ("vat", "Full MNIST:"), ("self_training", "Result:       run/results.json")])
def test_the_quickstart_takes_the_models_that_draw_nothing(model, ends, tmp_path):
    done = launched("quickstart.sh", f"--model={model}", "--run_dir=run", "--num_steps=2", *process.TINY, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(ends)
    assert (tmp_path / "run" / "export").exists() == (model == "vat")
