"""Two replicas in one process, two workers in two processes, and what one device makes of the same noise."""

import dataclasses
import json
import pathlib
import re
import signal

import building
import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf import config as config_lib
from adgm_tf.data import catalogue
from adgm_tf.data import splits as splits_lib
from adgm_tf.model import seeds
from adgm_tf.objectives import loss
from adgm_tf.runs import stored
from adgm_tf.training import plan as plan_lib
from adgm_tf.training import schedules
from adgm_tf.training.step import Trainer

pytestmark = [pytest.mark.process, pytest.mark.slow]

STEPS = 6


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("replicas")
    done = process.forked("train", *process.TINY, f"--num_steps={STEPS}", "--ema_decay=0.9", "--kl_warmup_steps=4",
                          "--devices=CPU:0,CPU:1", "--run_dir=run", cwd=cwd)
    assert done.code == 0, done
    return cwd / "run"


def on_one_device(run_dir):
    """Returns what trains the run of `run_dir` on one device, at its first step, and its splits."""
    config = config_lib.read(run_dir)
    splits = splits_lib.split(catalogue.load(config.dataset), config)
    return Trainer(config, plan_lib.make(config, splits), splits, tf.distribute.get_strategy()), splits


def take_steps_of_two(trainer, splits):
    """Takes the steps of two replicas on one device: the sum of their shares of the gradient, one update."""
    config, plan = trainer.config, trainer.plan
    batches = dataclasses.replace(trainer.batches, num_replicas=2)
    variables = trainer.model.trainable_variables
    for step in range(STEPS):
        rows, step = building.rows(batches, step), tf.constant(step, tf.int64)
        shares = []
        for replica in map(tf.constant, range(2)):
            seed = seeds.fold(trainer.seed, step, replica)
            batch = batches.take(trainer.arrays, rows, replica, seed)
            warmth = loss.Warmth(schedules.warm_up(step, config.kl_warmup_steps))
            shares.append(trainer.loss_and_gradients(batch, seed, warmth)[1])
        gradients = [a + b + v / plan.num_train for a, b, v in zip(*shares, variables, strict=True)]
        gradients, _ = tf.clip_by_global_norm(gradients, config.clip_norm)
        trainer.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        trainer._update_averages(step)


def test_two_replicas_are_one_device_with_their_noise(mirrored):
    trainer, splits = on_one_device(mirrored)
    before = [v.numpy() for v in trainer.averages]
    take_steps_of_two(trainer, splits)
    stored = process.tensors(mirrored / "checkpoints" / f"step-{STEPS}")
    averages = [stored[f"averages/{i}/.ATTRIBUTES/VARIABLE_VALUE"] for i in range(len(trainer.averages))]
    for emulated, average in zip(trainer.averages, averages, strict=True):
        np.testing.assert_allclose(emulated, average, rtol=1e-4, atol=1e-5)
    assert max(np.abs(b - a).max() for a, b in zip(before, averages, strict=True)) > 1e-3


def test_two_replicas_are_used_where_there_is_one(mirrored, tmp_path):
    done = process.forked("evaluate", f"--run_dir={mirrored}", cwd=tmp_path)
    assert done.code == 0, done
    found = json.loads((mirrored / "evaluation/test.json").read_text())
    measured = json.loads((mirrored / "results.json").read_text())
    assert found["bound_nats"] == pytest.approx(measured["test_bound_nats"], rel=1e-5)
    assert stored.load(str(mirrored)).step == STEPS


def workers(cwd, *flags):
    """Starts two workers of one cluster."""
    addresses = [f"localhost:{port}" for port in process.free_ports(2)]
    return [process.start("train", *flags, "--run_dir=run", cwd=cwd, env={"TF_CONFIG": json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})}) for i in range(2)]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Two workers of which the second is stopped, and two that go on to the end."""
    cwd = tmp_path_factory.mktemp("workers")
    chief, other = workers(cwd, *process.TINY, *process.PLAIN, "--model=m2", "--learning_rate_schedule=constant",
                           "--num_steps=1000000", "--num_valid=20", "--normalization=batch", "--eval_every=10",
                           "--learning_rate=1e-9")
    ends = [other.when(lambda: len(process.lines(cwd / "run")) > 2, signal.SIGTERM), chief.wait(30)]
    stopped_at = max(int(p.stem.partition("-")[2]) for p in (cwd / "run" / "checkpoints").glob("*.index"))
    chief, other = workers(cwd, f"--num_steps={stopped_at + 20}")
    return cwd, ends, stopped_at, [chief.wait(), other.wait(30)]


def test_signal_to_one_worker_stops_both(two_workers):
    _, ends, stopped_at, _ = two_workers
    for end in ends:
        assert end.code == 128 + signal.SIGTERM, end
        assert f"at step {stopped_at} and saved; to go on: python -m adgm_tf.train --run_dir=run" in end.out


def test_workers_go_on_and_end_alike(two_workers):
    _, _, stopped_at, ends = two_workers
    measured = []
    for end in ends:
        assert end.code == 0, end
        assert f"resuming from step {stopped_at}\n" in end.out
        measured.append(re.findall(r"^test_(?:error_percent|bound_nats): (.+)$", end.out, re.MULTILINE))
    assert len(measured[0]) == 2
    assert measured[0] == measured[1]


def test_chief_alone_writes_the_run(two_workers):
    cwd, _, stopped_at, _ = two_workers
    assert [p.name for p in cwd.iterdir()] == ["run"]
    assert len(list((cwd / "run" / "train").glob("events*"))) == 2
    steps = [line["step"] for line in process.lines(cwd / "run") if line["set"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == stopped_at + 20
    assert "best_valid_step" in json.loads(pathlib.Path(cwd, "run", "results.json").read_text())
