"""What once went wrong without a word: two starts, leftovers, a closed pipe, addresses, encodings, lost workers."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import process
import pytest

from adgm_tf.runs import job

pytestmark = pytest.mark.process

ENDLESS = ("--num_steps=1000000", "--learning_rate_schedule=constant")
LOST = 75
OPTIONS = dict(dataset="digits", model="m2", hidden_units=(8,), latent_dim=2, num_steps=4, num_eval_samples=1,
               consistency="none", class_sum="exact", learning_rate_schedule="constant")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("faults") / "run"
    job.run(OPTIONS | {"run_dir": str(run_dir)})
    return run_dir


@pytest.fixture
def run_dir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def piped(*flags, cwd, env=None, **given):
    """A real process, so that its arguments and its standard output are what is given."""
    return subprocess.Popen([sys.executable, "-m", "adgm_tf.train", *flags], cwd=cwd, env=process.environment(env),
                            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **given)


@pytest.mark.slow
def test_a_second_start_settles_nothing(tmp_path):
    first = process.start("train", *process.TINY, *process.PLAIN, *ENDLESS, "--run_dir=run", cwd=tmp_path)
    config = tmp_path / "run" / "config.json"

    def then():
        if not process.lines(tmp_path / "run"):
            return False
        before = config.read_bytes()
        second = process.forked("train", "--run_dir=run", "--num_eval_samples=7", "--steps_per_call=3", cwd=tmp_path)
        assert process.is_one_error(second), second
        assert second.err == "error: run_dir=run: is locked by another process, which trains it\n"
        assert config.read_bytes() == before
        return True

    assert first.when(then, signal.SIGTERM).code == 128 + signal.SIGTERM
    assert json.loads(config.read_text())["num_eval_samples"] == 2


@pytest.mark.slow
def test_what_a_killed_start_left_closes_no_folder(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".tmp-config-abc.json", ".tmp-split-abc.npz", ".lock"):
        (tmp_path / "run" / name).write_text("{")
    done = process.forked("train", *process.TINY, *process.PLAIN, "--num_steps=2", "--run_dir=run", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert not [p.name for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]


def test_fewer_steps_than_taken_are_refused(run_dir):
    before = {p: p.read_bytes() for p in run_dir.rglob("*") if p.is_file()}
    done = process.forked("train", "--run_dir=run", "--num_steps=3", cwd=run_dir.parent)
    assert process.is_one_error(done), done
    assert done.err == "error: num_steps=3: the run has taken 4 steps already\n"
    assert {p: p.read_bytes() for p in run_dir.rglob("*") if p.is_file()} == before


def test_weights_spoilt_by_the_last_step_are_no_result(tmp_path):
    flags = ("--model=m2", "--num_steps=1", "--learning_rate=1e30", "--learning_rate_schedule=constant")
    done = process.forked("train", *process.TINY, *process.PLAIN, *flags, "--run_dir=run", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: loss: not finite after step 1, the last one; ")
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.slow
def test_a_run_of_an_earlier_format_is_evaluated_and_not_trained(run_dir):
    path = run_dir / "config.json"
    stored = json.loads(path.read_text())
    del stored["format"]
    path.write_text(json.dumps(stored))
    done = process.forked("train", "--run_dir=run", "--num_steps=9", cwd=run_dir.parent)
    assert process.is_one_error(done), done
    assert "was begun by an earlier version (format 1)" in done.err
    assert process.forked("evaluate", "--run_dir=run", cwd=run_dir.parent).code == 0


@pytest.mark.slow
def test_another_measurement_overwrites_none(run_dir):
    for flags in ((), ("--num_importance_samples=3",), ("--split=labelled",), ("--classifier=bound",),
                  ("--num_samples=5",), ("--split=unlabelled", "--num_samples=5", "--num_importance_samples=2")):
        assert process.forked("evaluate", "--run_dir=run", *flags, cwd=run_dir.parent).code == 0
    assert sorted(p.stem for p in (run_dir / "evaluation").iterdir()) == [
        "labelled", "test", "test-bound", "test-importance3", "test-samples5", "unlabelled-samples5-importance2"]


@pytest.mark.slow
def test_a_reader_that_leaves_ends_no_training(tmp_path):
    flags = (*process.TINY, *process.PLAIN, "--num_steps=30", "--run_dir=run")
    started = piped(*flags, cwd=tmp_path, stdout=subprocess.PIPE)
    started.stdout.readline()
    started.stdout.close()
    _, err = started.communicate(timeout=process.TIMEOUT)
    assert started.returncode == 0, err
    assert err.decode() == "standard output was closed; the program continues without printing\n"
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 30


@pytest.mark.parametrize("entry", ["train", "evaluate", "sample", "export"])
def test_an_address_is_no_run_directory(entry, tmp_path):
    done = process.forked(entry, "--run_dir=gs://bucket/run", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err.startswith("error: run_dir=gs://bucket/run: must be a path of this machine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["csv", "curves"])
def test_an_address_is_no_file_of_a_report(flag, run_dir):
    done = process.forked("report", f"--runs={run_dir}", f"--{flag}=s3://bucket/file", cwd=run_dir.parent)
    assert process.is_one_error(done), done
    assert done.err.startswith(f"error: {flag}=s3://bucket/file: must be a path of this machine")


def test_arguments_are_text(tmp_path):
    started = piped(*process.TINY, b"--run_dir=caf\xe9", cwd=tmp_path, stdout=subprocess.PIPE)
    out, err = started.communicate(timeout=process.TIMEOUT)
    assert (started.returncode, out) == (2, b"")
    assert err == b"error: argument --run_dir=caf\\udce9: must be text in UTF-8\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_may_have_a_name_in_any_script(tmp_path):
    done = process.forked("train", *process.TINY, *process.PLAIN, "--num_steps=1", "--run_dir=Läufe/一", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "Läufe/一/results.json").exists()


def test_flagfiles_are_text(tmp_path):
    (tmp_path / "flags.txt").write_bytes(b"--run_dir=caf\xe9\n")
    done = process.forked("train", "--flagfile=flags.txt", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err == "error: flagfile: must be text in UTF-8, and has the byte 0xe9\n"


@pytest.mark.parametrize("port", ["x", "", "70000", "-1"])
def test_a_port_is_a_number(port, tmp_path):
    cluster = {"cluster": {"worker": ["localhost:1", f"localhost:{port}"]}, "task": {"type": "worker", "index": 0}}
    done = process.forked("train", *process.TINY, "--run_dir=run", cwd=tmp_path, env={"TF_CONFIG": json.dumps(cluster)})
    assert process.is_one_error(done), done
    assert "TF_CONFIG=" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [
    ["--num_steps=100000000000000000000"], ["--labelled_batch_size=100000000000000000000"],
    ["--learning_rate=1e200"], ["--consistency_radius=1e300", "--seed=3"], ["--latent_dim=99999999999"]])
def test_a_number_too_large_is_one_line(flags, tmp_path):
    done = process.forked("train", *process.TINY, *flags, cwd=tmp_path)
    assert process.is_one_error(done), done
    assert "must be at most" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [
    ["--hidden_units=2000000000"], ["--unlabelled_batch_size=2000000000"],
    *(pytest.param([f"--{name}=2000000000"], marks=pytest.mark.slow)
      for name in ("latent_dim", "labelled_batch_size", "num_samples"))])
def test_more_than_there_is_memory_for_is_one_line(flags, tmp_path):
    done = process.forked("train", *process.TINY, *process.PLAIN, *flags, "--run_dir=run", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err.startswith(f"error: {flags[0][2:]}: needs about ")
    assert list(tmp_path.iterdir()) == []


def workers(count, *flags, cwd):
    """Starts that many workers of a cluster of two."""
    ports = process.free_ports(2)
    addresses = [f"localhost:{port}" for port in ports]
    return [process.start("train", *process.TINY, *process.PLAIN, "--model=m2", "--run_dir=run", *flags, cwd=cwd, env={
        "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})})
        for i in range(count)]


def test_a_worker_that_meets_no_other_gives_up_in_one_line(tmp_path):
    alone, = workers(1, "--worker_timeout=3", cwd=tmp_path)
    done = alone.wait()
    assert done.code == LOST
    assert re.fullmatch(r"error: worker_timeout=3: the other workers of TF_CONFIG were not met in that time "
                        r"\(localhost:\d+\)\n", done.err)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_a_worker_that_loses_the_other_ends_in_one_line_and_can_go_on(tmp_path):
    chief, other = workers(2, *ENDLESS, cwd=tmp_path)
    other.when(lambda: len(process.lines(tmp_path / "run")) >= 3, signal.SIGKILL)
    done = chief.wait()
    assert done.code == LOST
    assert done.err.startswith("error: another worker was lost (")
    assert done.err.count("\n") == 1
    assert list((tmp_path / "run" / "checkpoints").glob("*.index"))
    assert not pathlib.Path(tmp_path, "run", "results.json").exists()
