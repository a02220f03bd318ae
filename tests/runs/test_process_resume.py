"""A run that dies, is stopped or goes wrong, and goes on."""

import json
import pathlib
import shutil
import signal

import process
import pytest

from adgm_tf.runs import job

pytestmark = [pytest.mark.process, pytest.mark.slow]

CONSTANT = ("--model=adgm", *process.PLAIN, "--learning_rate_schedule=constant", "--normalization=batch",
            "--ema_decay=0.99", "--num_valid=40")
ENDLESS = "--num_steps=1000000"
STEPS = 600
OPTIONS = dict(dataset="digits", hidden_units=(16,), auxiliary_dim=3, latent_dim=3, num_steps=20, eval_every=10,
               num_eval_samples=2)


def newest(run_dir):
    steps = [int(p.stem.partition("-")[2]) for p in pathlib.Path(run_dir, "checkpoints").glob("step-*.index")]
    return max(steps, default=-1)


def reached(run_dir, step):
    return lambda: max((line["step"] for line in process.lines(run_dir)), default=-1) >= step


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """One run that is killed, stopped by SIGTERM, stopped by SIGINT and finished, and one that is not."""
    cwd = tmp_path_factory.mktemp("resume")
    broken, whole = cwd / "broken", cwd / "whole"
    flags = (*process.TINY, *CONSTANT)
    ends, steps = [], []
    for number, options in ((signal.SIGKILL, (*flags, ENDLESS)), (signal.SIGTERM, ()), (signal.SIGINT, ())):
        started = process.start("train", f"--run_dir={broken}", *options, cwd=cwd)
        ends.append(started.when(reached(broken, (steps[-1] if steps else 0) + 20), number))
        steps.append(newest(broken))
    ends.append(process.forked("train", f"--run_dir={broken}", f"--num_steps={STEPS}", "--steps_per_call=7", cwd=cwd))
    unbroken = process.forked("train", f"--run_dir={whole}", *flags, f"--num_steps={STEPS}", cwd=cwd)
    return broken, whole, ends, steps, unbroken


def test_every_attempt_ends_as_it_should(history):
    _, _, ends, steps, unbroken = history
    assert [end.code for end in ends] == [-signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT, 0]
    assert unbroken.code == 0
    assert 0 < steps[0] < steps[1] < steps[2] < STEPS


def test_killed_and_stopped_run_has_the_weights_of_an_unbroken_one(history):
    broken, whole, *_ = history
    left, right = (process.tensors(d / "checkpoints" / f"step-{STEPS}") for d in (broken, whole))
    assert process.same(left, right)
    assert any("averages" in name for name in left)
    assert any("moving_mean" in name for name in left)
    assert any("OPTIMIZER_SLOT" in name for name in left)


def test_killed_and_stopped_run_has_the_results_of_an_unbroken_one(history):
    broken, whole, *_ = history
    left, right = (json.loads((d / "results.json").read_text()) for d in (broken, whole))
    for name in ("test_error_percent", "test_bound_nats", "valid_error_percent", "best_valid_step", "steps"):
        assert left[name] == right[name]


def test_goes_on_from_the_last_checkpoint(history):
    _, _, ends, steps, _ = history
    for end, step in zip(ends[1:], steps, strict=True):
        assert f"resuming from step {step}\n" in end.out


@pytest.mark.parametrize(("attempt", "name"), [(1, "SIGTERM"), (2, "SIGINT")])
def test_stopped_run_says_how_to_go_on(history, attempt, name):
    broken, _, ends, steps, _ = history
    last = ends[attempt].out.splitlines()[-1]
    assert last == f"stopped by {name} at step {steps[attempt]} and saved; to go on: " \
                   f"python -m adgm_tf.train --run_dir={broken}"
    assert "Traceback" not in ends[attempt].err


def test_record_has_every_step_once(history):
    broken, whole, *_ = history
    steps = [line["step"] for line in process.lines(broken) if line["set"] == "train"]
    assert steps == sorted(set(steps))
    seconds = [line["seconds"] for line in process.lines(broken) if line["set"] == "train"]
    assert seconds == sorted(seconds)
    assert process.lines(whole)[-1]["step"] == STEPS


def test_nothing_half_written_is_left(history):
    broken, *_ = history
    left = [p.name for p in broken.rglob("*") if p.name.startswith(".") or "temp" in p.name]
    assert left == []
    assert len(list((broken / "checkpoints").glob("*.index"))) == 3


@pytest.mark.parametrize("changes", [
    dict(), dict(model="m2", trunk="convolutional", filters=(4,), normalization="batch", consistency="none",
                 class_sum="exact")], ids=["default", "convolutional"])
def test_from_the_middle_on_it_is_the_same_run(tmp_path, changes):
    one, two = tmp_path / "one", tmp_path / "two"
    measured = job.run(OPTIONS | changes | dict(run_dir=str(one), steps_per_call=20, checkpoint_every=10))
    (two / "checkpoints").mkdir(parents=True)
    for path in [one / "config.json", *(one / "checkpoints").glob("step-10.*")]:
        shutil.copy(path, two / path.relative_to(one))
    again = job.run({"run_dir": str(two), "steps_per_call": 3})
    assert process.same(*(process.tensors(d / "checkpoints" / "step-20") for d in (one, two)))
    assert measured["test_bound_nats"] == again["test_bound_nats"]


def test_loss_that_is_not_finite_stops_the_run(tmp_path):
    done = process.forked("train", *process.TINY, *process.PLAIN, "--learning_rate=1e30", "--clip_norm=0",
                          "--num_steps=40", "--steps_per_call=1", "--checkpoint_every=1", "--run_dir=run", cwd=tmp_path)
    assert process.is_one_error(done)
    assert "not finite at step 2: " in done.err
    assert "loss is " in done.err
    assert newest(tmp_path / "run") == 1
    assert not (tmp_path / "run" / "results.json").exists()
    again = process.forked("train", "--run_dir=run", cwd=tmp_path)
    assert process.is_one_error(again)
    assert "resuming from step 1" in again.out


def test_every_call_is_recorded_whatever_ends_it(tmp_path):
    job.run(OPTIONS | dict(num_steps=30, steps_per_call=10, eval_every=15, run_dir=str(tmp_path / "run")))
    recorded = [line for line in process.lines(tmp_path / "run") if line["set"] == "train"]
    assert [line["step"] for line in recorded] == [10, 15, 20, 30]
    assert all(line["seconds"] > 0 for line in recorded)


def test_a_finished_run_keeps_its_results_unless_something_else_is_asked(tmp_path):
    run_dir = tmp_path / "run"
    job.run(OPTIONS | dict(run_dir=str(run_dir)))
    path = run_dir / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hardware": {"cpu": "another"}}))
    stored = path.read_bytes()
    assert job.run(dict(run_dir=str(run_dir)))["hardware"] == {"cpu": "another"}
    assert job.run(dict(run_dir=str(run_dir), track_test=True, keep_checkpoints=1))["hardware"] == {"cpu": "another"}
    assert path.read_bytes() == stored
    assert job.run(dict(run_dir=str(run_dir), num_eval_samples=3))["hardware"] != {"cpu": "another"}


def test_a_run_that_ended_early_has_ended(tmp_path):
    """Its results were never written, or others are asked for: it is measured, and not trained on."""
    run_dir = tmp_path / "run"
    options = OPTIONS | dict(num_steps=40, eval_every=5, patience=1, num_valid=40, learning_rate=1e-12)
    first = job.run(options | dict(run_dir=str(run_dir)))
    assert (first["steps"], first["stopped_early"]) == (10, True)
    (run_dir / "results.json").unlink()
    again = job.run({"run_dir": str(run_dir)})
    other = job.run({"run_dir": str(run_dir), "num_eval_samples": 3})
    for found in (again, other):
        assert (found["steps"], found["stopped_early"], newest(run_dir)) == (10, True, 10)
    assert again["test_bound_nats"] == first["test_bound_nats"]
