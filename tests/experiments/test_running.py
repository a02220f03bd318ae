"""Jobs as processes, with a program that trains nothing in their place."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import process
import pytest

from adgm_tf.experiments import running
from adgm_tf.experiments.definitions import TableRow
from adgm_tf.experiments.planning import Job, Step
from adgm_tf.host import errors, files

STUB = """
import os, pathlib, signal, sys, time
kind, path = sys.argv[1], pathlib.Path(sys.argv[2])
path.parent.mkdir(parents=True, exist_ok=True)
print("speaks", flush=True)
if kind == "fails":
    sys.exit("error: no luck")
if kind == "meets":
    path.with_suffix(".here").touch()
    end = time.time() + 30
    while len(list(path.parent.parent.parent.glob("*/*/*.here"))) < 2 and time.time() < end:
        time.sleep(0.01)
if kind == "stopped":
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
if kind == "waits":
    came = []
    def note(number, _):
        came.append(number)
    signal.signal(signal.SIGINT, note)
    signal.signal(signal.SIGTERM, note)
    path.with_suffix(".ready").write_text(str(os.getpid()))
    end = time.time() + 60
    while not came and time.time() < end:
        time.sleep(0.01)
    time.sleep(0.3)
    path.with_suffix(".saved").write_text(" ".join(map(str, came)))
    sys.exit(128 + came[0])
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
path.write_text(f"{cores} {os.environ.get('OMP_NUM_THREADS')}")
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(running, "program", lambda command: [sys.executable, "-S", "stub.py", *command])
    return tmp_path


def job(name, *kinds):
    run_dir = pathlib.Path("runs") / name / "0"
    paths = [run_dir / f"{i}.txt" for i in range(len(kinds))]
    return Job(run_dir, TableRow(name, "home"), 0, tuple(
        Step((kind, str(path)), path.is_file) for kind, path in zip(kinds, paths, strict=True)))


def test_steps_come_in_order_and_what_is_done_is_not_done_again(stub, capfd):
    done = []
    assert running.run([job("a", "works", "works"), job("b", "works")], after=lambda j: done.append(j.row.name)) == []
    assert done == ["a", "b"]
    assert pathlib.Path("runs/a/0/0.txt").stat().st_mtime <= pathlib.Path("runs/a/0/1.txt").stat().st_mtime
    assert running.run([job("a", "works", "works"), job("b", "works", "works")],
                       after=lambda j: done.append(j.row.name)) == []
    assert done == ["a", "b", "b"]
    out = capfd.readouterr().out
    assert "runs/a/0: finished before\n" in out
    assert out.count("speaks") == 4
    assert sorted(p.name for p in pathlib.Path("runs/a").iterdir()) == ["0"]


def test_after_a_failure_the_others_go_on_and_its_later_steps_do_not(stub, capfd):
    def after(job):
        if job.row.name == "c":
            raise errors.UserError("csv=x: unreadable")

    failed = running.run([job("a", "fails", "works"), job("b", "works"), job("c", "works")], after=after)
    assert failed == ["runs/a/0", "runs/c/0"]
    assert pathlib.Path("runs/b/0/0.txt").is_file()
    assert not pathlib.Path("runs/a/0/1.txt").exists()
    out, err = capfd.readouterr()
    assert "runs/c/0: csv=x: unreadable\n" in out
    assert err == "error: no luck\n"


def test_side_by_side_they_run_at_once_and_speak_to_files(stub, capfd):
    assert running.run([job("a", "meets"), job("b", "meets"), job("c", "fails")], width=2) == ["runs/c/0"]
    assert pathlib.Path("runs/a/0.log").read_text() == "speaks\n"
    out = capfd.readouterr().out
    assert "runs/c/0: failed: error: no luck\n" in out
    assert "speaks" not in out.splitlines()


def test_a_job_that_another_process_has_is_left_to_it(stub, capfd):
    with files.locked("runs/a/.0"):
        assert running.run([job("a", "works"), job("b", "works")]) == []
    assert "runs/a/0: another process is at it\n" in capfd.readouterr().out
    assert not pathlib.Path("runs/a/0").exists()
    assert running.run([job("a", "works")]) == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to a core")
def test_each_place_keeps_to_its_core(stub):
    before = os.sched_getaffinity(0)
    cores = sorted(before)[:2]
    running.check_cores(cores)
    running.run([job("a", "meets"), job("b", "meets")], cores, width=2)
    shown = sorted(path.read_text() for path in pathlib.Path("runs").glob("*/0/0.txt"))
    assert shown == sorted(f"[{core}] 1" for core in (cores * 2)[:2])
    assert os.sched_getaffinity(0) == before
    with pytest.raises(errors.UserError, match=r"^core=4096: must be one of "):
        running.check_cores([4096])


def test_one_that_was_stopped_stops_all(stub):
    with pytest.raises(KeyboardInterrupt) as stop:
        running.run([job("a", "stopped"), job("b", "works")])
    assert stop.value.args == (signal.SIGTERM,)
    assert not pathlib.Path("runs/b").exists()


def test_a_mistake_of_ours_leaves_no_process_behind(stub):
    def after(job):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        running.run([job("a", "works"), job("b", "waits")], width=2, after=after)
    assert not alive("b")


def alive(name):
    path = pathlib.Path(f"runs/{name}/0/0.ready")
    try:
        os.kill(int(path.read_text()), 0)
    except (ProcessLookupError, FileNotFoundError):
        return False
    return True


def test_a_call_returns_what_was_said(stub, capfd):
    assert running.call(("works", "x.txt"), capture=True) == (True, "speaks\n")
    assert running.call(("fails", "x.txt")) == (False, "")
    assert capfd.readouterr().out == "speaks\n" * 2


DRIVER = """
import sys
sys.path[:0] = {folders!r}
import test_running
from adgm_tf.experiments import running
from adgm_tf.host import cli
running.program = lambda command: [sys.executable, "-S", "stub.py", *command]
cli.run(lambda: running.run([test_running.job(n, "waits") for n in sys.argv[1:] or "ab"], width={width}), "")
"""


@pytest.mark.process
@pytest.mark.parametrize(("number", "width", "passed"), [
    (signal.SIGINT, 1, signal.SIGINT), (signal.SIGTERM, 2, signal.SIGTERM), (signal.SIGHUP, 2, signal.SIGTERM)])
def test_a_signal_is_passed_on_once_and_all_may_save(stub, number, width, passed):
    folders = [str(process.ROOT / "tests"), str(pathlib.Path(__file__).parent)]
    # Tests that are started with nohup hand on that a hangup is to be ignored.
    script = DRIVER.format(folders=folders, width=width)
    started = subprocess.Popen([sys.executable, "-c", script], env=process.environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    end = time.monotonic() + process.TIMEOUT
    while len(list(pathlib.Path("runs").glob("*/0/0.ready"))) < width and time.monotonic() < end:
        time.sleep(0.02)
    # To the whole group, as a terminal does.
    os.killpg(started.pid, number)
    _, err = started.communicate(timeout=process.TIMEOUT)
    assert started.returncode == 128 + passed
    assert err == f"stopped by {passed.name}; nothing was left half-written\n"
    saved = [path.read_text() for path in sorted(pathlib.Path("runs").glob("*/0/0.saved"))]
    assert saved == [str(int(passed))] * width
    assert not re.search(r"\.\d", " ".join(p.name for p in pathlib.Path("runs").glob("*/.*")))
