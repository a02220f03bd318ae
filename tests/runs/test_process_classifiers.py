"""Classifiers through every entry point: train, go on, two replicas, evaluate, export, and what they do not have."""

import json
import pathlib

import numpy as np
import process
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adgm_tf.runs import stored, trained
from adgm_tf.training.systems import CLASSIFIERS

pytestmark = [pytest.mark.process, pytest.mark.slow]

FLAGS = ("--dataset=digits", "--num_valid=50", "--steps_per_call=2", "--checkpoint_every=4", "--eval_every=4",
         "--learning_rate_schedule=constant", "--ema_decay=0.5")
DEVICES = {"vat": (), "ladder": ("--devices=CPU:0,CPU:1",)}
RESUMED = ("vat",)


@pytest.fixture(scope="module", params=CLASSIFIERS)
def run(request, tmp_path_factory):
    """A run of 6 steps: the ladder's on two replicas, VAT's in two attempts beside one in a single attempt."""
    cwd, flags = tmp_path_factory.mktemp(request.param), (*FLAGS, *DEVICES[request.param], f"--model={request.param}")
    attempts = (("run", 3), ("whole", 6)) if request.param in RESUMED else (("run", 6),)
    started = [process.start("train", *flags, f"--num_steps={n}", f"--run_dir={name}", cwd=cwd) for name, n in attempts]
    ends = [s.wait() for s in started]
    if request.param in RESUMED:
        ends.append(process.forked("train", "--run_dir=run", "--num_steps=6", cwd=cwd))
    for end in ends:
        assert end.code == 0, end
        assert end.err == ""
    return cwd / "run"


def test_trains_to_the_end_and_goes_on_where_it_stopped(run):
    found = process.tensors(run / "checkpoints" / "step-6")
    assert any("running" in name and np.abs(value).max() > 0 for name, value in found.items())
    assert json.loads((run / "results.json").read_text())["steps"] == 6
    if run.parent.name.startswith(RESUMED):
        assert process.same(found, process.tensors(run.parent / "whole" / "checkpoints" / "step-6"))


def test_measures_errors_and_no_bound(run):
    measured = json.loads((run / "results.json").read_text())
    assert {"test_error_percent", "transductive_error_percent", "valid_error_percent",
            "best_valid_test_error_percent"} <= set(measured)
    assert not [name for name in measured if "bound" in name]
    assert measured["classification_weight"] == 1
    assert (run / "best").is_dir()


def test_evaluates(run):
    done = process.forked("evaluate", f"--run_dir={run}", cwd=run)
    assert done.code == 0, done
    found = json.loads((run / "evaluation/test.json").read_text())
    measured = json.loads((run / "results.json").read_text())
    assert found["error_percent"] == pytest.approx(measured["test_error_percent"])
    assert set(found) == {
        "dataset", "split", "step", "num_examples", "num_labels", "classifier", "num_samples", "error_percent",
        "error_low_percent", "error_high_percent", "balanced_error_percent", "macro_f1", "log_loss_nats",
        "calibration_error", "calibrated_log_loss_nats", "calibrated_calibration_error", "class_error_percent",
        "confusion", "remarks", "seed", "split_seed", "versions", "hardware"}


def test_tensorboard_has_what_a_classifier_can_be_shown_by(run):
    tags = EventAccumulator(str(run / "train")).Reload().Tags()["tensors"]
    assert any(tag.endswith("/confidence") for tag in tags)


def test_exports_a_classifier(run):
    done = process.forked("export", f"--run_dir={run}", cwd=run)
    assert done.code == 0, done
    loaded, live = tf.saved_model.load(done.out.strip()), trained.load(run)
    assert list(loaded.signatures) == ["serving_default", "classify_bytes"]
    x = stored.load(str(run)).splits.test.x[:7]
    answer = loaded.signatures["serving_default"](images=tf.constant(x))
    np.testing.assert_allclose(answer["probs"], live.predict_proba(x), rtol=1e-4, atol=1e-6)
    assert pathlib.Path(done.out.strip(), "classes.txt").exists()


@pytest.mark.parametrize(("entry", "flags", "line"), [
    ("sample", (), "is a classifier and draws nothing"),
    ("evaluate", ("--num_importance_samples=5",), "is a classifier and has no log p(x)")])
def test_what_a_classifier_does_not_have_is_one_line(run, entry, flags, line):
    done = process.forked(entry, f"--run_dir={run}", *flags, cwd=run)
    assert process.is_one_error(done), done
    assert line in done.err


def test_no_labels_is_one_line(tmp_path):
    done = process.forked("train", "--dataset=digits", "--model=vat", "--num_labels=0", "--run_dir=run", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert "num_labels=0: vat is a classifier" in done.err
    assert not (tmp_path / "run").exists()
