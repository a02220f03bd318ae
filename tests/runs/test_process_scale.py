"""Many devices and many machines: one device and two, clusters from the environment, a worker lost and brought back."""

import json
import pathlib
import shlex
import subprocess
import sys
import time

import numpy as np
import process
import psutil
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

SYNCED = dict(normalization="batch", balance_weight=2.0)


def apart(steps=5, **options):
    """How far the weights of one device and of two lie apart after some steps, and how far they moved."""
    done = subprocess.run([sys.executable, process.ROOT / "tests" / "two_devices.py", json.dumps(options), str(steps)],
                          capture_output=True, text=True, env=process.environment(), timeout=process.TIMEOUT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["apart"], found["moved"]


@pytest.mark.parametrize("options", [SYNCED, SYNCED | {"class_sum": "exact", "model": "adgm"},
                                     SYNCED | {"model": "m2", "num_labels": "9", "propagation_weight": 3.0},
                                     {"model": "vat", "balance_weight": 2.0}], ids=lambda o: o.get("model", "sdgm"))
def test_two_devices_learn_what_one_learns(options):
    found, moved = apart(**options)
    assert found < 3e-4
    assert moved > 0.01


def test_statistics_of_each_replica_alone_are_others():
    assert apart(**SYNCED, sync_statistics=False)[0] > max(0.05, 100 * apart(**SYNCED)[0])


def trained(cwd, count, kills=None):
    """A run of several workers by the launcher; `kills` is the number of the one that is killed once on the way."""
    flags = (*process.TINY, *process.PLAIN, "--model=m2", "--num_steps=300", "--labelled_batch_size=30",
             "--unlabelled_batch_size=60", "--normalization=batch", "--run_dir=run")
    venv = pathlib.Path(cwd, "venv", "bin")
    venv.mkdir(parents=True)
    (venv / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (venv / "python").chmod(0o755)
    (venv.parent / ".installed-package").touch()
    with (cwd / "err").open("w") as err:
        started = subprocess.Popen([process.ROOT / "launch" / "workers.sh", str(count), *flags], cwd=cwd, stderr=err,
                                   stdout=subprocess.DEVNULL, env=process.environment({"VENV": str(venv.parent)}))
    try:
        if kills is not None:
            while len(process.lines(cwd / "run")) < 3:
                assert started.poll() is None, (cwd / "err").read_text()
                time.sleep(0.02)
            worker_of(started.pid, kills).kill()
        assert started.wait(3 * process.TIMEOUT) == 0, (cwd / "err").read_text()
    finally:
        started.terminate()
    return cwd / "run"


def worker_of(launcher, number):
    """The process of one worker."""
    found, = (p for p in psutil.Process(launcher).children(recursive=True) if "adgm_tf.train" in p.cmdline()
              and "bash" not in p.name() and json.loads(p.environ()["TF_CONFIG"])["task"]["index"] == number)
    return found


@pytest.mark.parametrize(("count", "kills"), [(2, 1), (3, 0)], ids=["of_two", "first_of_three"])
def test_a_worker_that_is_killed_comes_back_and_the_run_ends_as_an_unbroken_one(count, kills, tmp_path):
    for name in ("broken", "unbroken"):
        (tmp_path / name).mkdir()
    broken = trained(tmp_path / "broken", count, kills)
    said = (tmp_path / "broken" / "err").read_text()
    assert said.count("started again (1 of 10)") == count
    assert "worker ended with status 137" in said
    unbroken = trained(tmp_path / "unbroken", count)
    assert (tmp_path / "unbroken" / "err").read_text() == ""
    losses = [[(line["step"], line["loss"]) for line in process.lines(run) if line["set"] == "train"]
              for run in (broken, unbroken)]
    assert losses[0][-1][0] == 300
    if count == 2:
        assert losses[0] == losses[1]
        assert process.same(*(process.tensors(run / "checkpoints" / "step-300") for run in (broken, unbroken)))
    # The sum of three may be taken in another order after a new start.
    assert [step for step, _ in losses[0]] == [step for step, _ in losses[1]]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
