"""Every entry point in a process of its own, and what a run directory holds."""

import dataclasses
import json
import os
import signal

import matplotlib as mpl
import numpy as np
import process
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adgm_tf import config as config_lib
from adgm_tf.data import catalogue, splits
from adgm_tf.runs import stored

mpl.use("Agg")
from matplotlib import pyplot as plt

pytestmark = pytest.mark.process

TERMS = ("loss", "classification", "consistency", "weight_prior", "gradient_norm", "learning_rate", "labelled/bound",
         "labelled/reconstruction", "labelled/kl_z", "labelled/kl_a", "unlabelled/bound", "unlabelled/reconstruction",
         "unlabelled/kl_z", "unlabelled/kl_a", "unlabelled/entropy", "unlabelled/balance")
DATA_DIR = os.environ.get("ADGM_TF_DATA_DIR", "")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run from a flagfile, evaluated, drawn and exported."""
    cwd = tmp_path_factory.mktemp("digits")
    (cwd / "flags.txt").write_text("\n".join(process.TINY) + "\n# a comment\n--num_valid=50\n--model=sdgm\n")
    train = process.run("train", "--flagfile=flags.txt", "--num_steps=20", "--eval_every=10", "--track_test",
                        "--run_dir=run", cwd=cwd)
    before = sorted(str(p.relative_to(cwd / "run")) for p in (cwd / "run").rglob("*"))
    evaluate = process.run("evaluate", "--run_dir=run", "--num_importance_samples=3", "--label_spreading", cwd=cwd)
    sample = process.forked("sample", "--run_dir=run", "--num_samples=4", "--num_analogies=3", cwd=cwd)
    export = process.forked("export", "--run_dir=run", "--weights=best", cwd=cwd)
    return cwd, before, {"train": train, "evaluate": evaluate, "sample": sample, "export": export}


@pytest.mark.parametrize("entry", ["train", "evaluate", "sample", "export"])
def test_ends_well_and_quietly(digits, entry):
    _, _, ends = digits
    assert ends[entry].code == 0, ends[entry]
    assert ends[entry].err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_export_that_is_stopped_leaves_nothing(digits, number):
    folder = digits[0] / "run" / "export"
    before = sorted(folder.iterdir())
    started = process.start("export", "--run_dir=run", cwd=digits[0])
    end = started.when(lambda: any(p.name.startswith(".") for p in folder.iterdir()), number)
    assert end.code == 128 + number, end
    assert end.err == f"stopped by {number.name}; nothing was left half-written\n"
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("entry", ["train", "evaluate", "predict", "sample", "export", "experiment"])
def test_help_imports_nothing_heavy_and_lists_every_flag(tmp_path, entry):
    done = process.run(entry, "--help", cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.err.splitlines()}
    assert "absl" in imported
    heavy = {"tensorflow", "tensorflow_probability", "tf_keras", "numpy", "pandas", "matplotlib", "sklearn"}
    assert not imported & heavy
    assert f"python -m adgm_tf.{entry}" in done.out
    wanted = {"train": {f.name for f in dataclasses.fields(config_lib.Config)},
              "predict": {"run_dir", "weights", "input", "output", "target_accuracy", "keep_given_labels"},
              "experiment": {"row", "split", "jobs", "core", "redraw"}}.get(entry, {"run_dir", "weights", "data_dir"})
    for name in wanted:
        assert f"  --{name}:" in done.out or f"  --[no]{name}:" in done.out


def test_run_directory_is_the_record(digits):
    cwd, before, _ = digits
    steps = [f"step-{s}.{end}" for s in (10, 20) for end in ("data-00000-of-00001", "index")]
    fixed = ["config.json", "metrics.jsonl", "results.json", "split.npz", *(f"checkpoints/{s}" for s in steps)]
    assert set(fixed) <= set(before)
    others = [p for p in before if p not in fixed and "/" in p]
    assert {p.split("/")[0] for p in others} == {"best", "final", "preprocess", "train", "valid"}
    assert len([p for p in others if p.startswith("best/")]) == 2
    after = sorted(str(p.relative_to(cwd / "run")) for p in (cwd / "run").rglob("*") if p.is_file())
    figures = ["analogies", "confusion_matrix", "kl_per_unit", "reconstructions", "reliability", "risk_coverage",
               "samples"]
    assert [p for p in after if p.startswith("figures/")] == [f"figures/{n}.png" for n in figures]
    assert {"evaluation/test-importance3.json", "export/1/saved_model.pb", "export/1/classes.txt"} <= set(after)
    assert not [p for p in after if "/." in p or p.startswith(".")]


def test_configuration_is_that_of_the_flags(digits):
    cwd, *_ = digits
    stored = config_lib.read(cwd / "run")
    assert (stored.model, stored.num_valid, stored.num_steps, stored.hidden_units) == ("sdgm", 50, 20, (16, 16))


def test_split_names_the_examples(digits):
    cwd, *_ = digits
    chosen = splits.split(catalogue.load("digits"), config_lib.read(cwd / "run"))
    with np.load(cwd / "run" / "split.npz") as stored:
        assert sorted(stored) == ["labelled", "unlabelled", "valid"]
        for name in stored:
            np.testing.assert_array_equal(stored[name], getattr(chosen, name).index)
        assert not set(stored["valid"]) & (set(stored["labelled"]) | set(stored["unlabelled"]))


def test_results(digits):
    cwd, _, ends = digits
    results = json.loads((cwd / "run" / "results.json").read_text())
    assert results["steps"] == 20
    assert results["best_valid_step"] in (10, 20)
    for name in ("test_error_percent", "transductive_error_percent", "test_bound_nats", "seconds"):
        assert f"{name}: {results[name]:.2f}\n" in ends["train"].out
    assert {"versions", "hardware", "seed", "split_seed", "valid_error_percent"} <= results.keys()
    assert "run directory: run\n" in ends["train"].out


def test_metrics(digits):
    cwd, *_ = digits
    lines = process.lines(cwd / "run")
    assert [(line["step"], line["set"]) for line in lines] == [(10, "valid"), (10, "train"), (20, "valid"),
                                                              (20, "train")]
    assert {*TERMS, "examples_per_second", "epoch", "seconds"} <= lines[1].keys()
    assert {"error_percent", "bound_nats"} <= lines[0].keys()
    results = json.loads((cwd / "run" / "results.json").read_text())
    for name in ("test_error_percent", "transductive_error_percent"):
        assert lines[2][name] == pytest.approx(results[name])


def test_plain_lines_of_progress(digits):
    _, _, ends = digits
    lines = [line for line in ends["train"].out.splitlines() if line.startswith("step ")]
    assert [line.split("  ")[0] for line in lines] == ["step 10/20", "step 20/20"]
    for words in ("epoch ", "loss ", "bound ", "validation error ", " examples/s", " left"):
        assert all(words in line for line in lines)


@pytest.fixture(scope="module")
def events(digits):
    cwd, *_ = digits
    found = {name: EventAccumulator(str(cwd / "run" / name), size_guidance={"tensors": 0}).Reload()
             for name in ("train", "valid", "final")}
    return {name: set(e.Tags()["tensors"]) for name, e in found.items()}, found


def tagged(tags, name):
    """The tag of that name, in whatever group it stands; None if there is none."""
    return next((tag for tag in sorted(tags) if tag == name or tag.endswith(f"/{name}")), None)


def test_tensorboard_has_every_term_by_name(events):
    tags, found = events
    assert all(tagged(tags["train"], name) for name in (*TERMS, "examples_per_second"))
    assert all(tagged(tags["valid"], name) for name in ("error_percent", "bound_nats"))
    assert [e.step for e in found["train"].Tensors(tagged(tags["train"], "loss"))] == [10, 20]


def test_tensorboard_has_the_options_and_the_results_of_a_trial(events):
    tags, found = events
    assert found["final"].PluginTagToContent("hparams").keys() == {"_hparams_/session_start_info",
                                                                   "_hparams_/session_end_info"}
    assert {"test_error_percent", "valid_error_percent"} <= tags["final"]


def test_tensorboard_has_pictures_and_histograms(events):
    tags, found = events
    assert all(tagged(tags["train"], name) for name in ("samples by class", "reconstructions", "analogies"))
    drawn = found["train"].Tensors(tagged(tags["train"], "samples by class"))[-1]
    width, height, png = drawn.tensor_proto.string_val[:3]
    assert int(width) > 80
    assert int(height) > 80
    assert png.startswith(b"\x89PNG")


def test_tensorboard_has_the_configuration(events):
    tags, found = events
    assert tagged(tags["train"], "options")
    text = found["train"].Tensors(tagged(tags["train"], "options"))[0].tensor_proto.string_val[0].decode()
    assert "model" in text


def test_evaluation(digits):
    cwd, _, ends = digits
    found = json.loads((cwd / "run" / "evaluation" / "test-importance3.json").read_text())
    results = json.loads((cwd / "run" / "results.json").read_text())
    assert found["split"] == "test"
    assert found["num_examples"] == 200
    assert found["error_percent"] == pytest.approx(results["test_error_percent"])
    assert found["bound_nats"] == pytest.approx(results["test_bound_nats"], rel=1e-5)
    assert found["log_likelihood_nats"] >= found["bound_nats"]
    assert np.mean(list(found["class_error_percent"].values())) == pytest.approx(found["error_percent"])
    assert 0 < found["label_spreading_error_percent"] < 50
    assert len(found["kl_per_unit_z_nats"]) == len(found["kl_per_unit_a_nats"]) == 4
    assert "error_percent" in ends["evaluate"].out


def test_pictures(digits):
    cwd, _, ends = digits
    assert ends["sample"].out.split() == [f"run/figures/{n}.png" for n in ("samples", "reconstructions", "analogies")]
    shapes = [plt.imread(cwd / path).shape[:2] for path in ends["sample"].out.split()]
    size = 2 * (8 + 2)
    assert shapes == [(10 * size + 4, 4 * size + 4), (2 * size + 4, 3 * size + 4), (3 * size + 4, 11 * size + 4)]


def test_export_says_where(digits):
    _, _, ends = digits
    assert ends["export"].out == "run/export/1\n"


def test_best_weights_are_those_of_their_step(digits):
    cwd, *_ = digits
    results = json.loads((cwd / "run" / "results.json").read_text())
    best = stored.load(str(cwd / "run"), "best")
    assert best.step == results["best_valid_step"]
    assert best.evaluator().error_percent(best.splits.valid) == pytest.approx(results["best_valid_valid_error_percent"])


@pytest.mark.slow
def test_moons_into_a_fresh_run_directory(tmp_path):
    flags = ("--dataset=moons", "--model=adgm", *process.TINY[1:], *process.PLAIN, "--num_labels=6", "--num_steps=10")
    done = process.forked("train", *flags, cwd=tmp_path)
    assert done.code == 0, done
    run_dir, = (tmp_path / "runs").iterdir()
    assert run_dir.name.startswith("moons-adgm-20")
    assert f"run directory: runs/{run_dir.name}\n" in done.out
    drawn = process.forked("sample", f"--run_dir={run_dir}", cwd=tmp_path)
    assert drawn.code == 0, drawn
    assert len(list((run_dir / "figures").iterdir())) == 3


@pytest.mark.slow
def test_runs_that_start_at_once_have_folders_of_their_own(tmp_path):
    flags = ("--dataset=moons", "--model=m2", *process.TINY[1:], *process.PLAIN, "--num_labels=6", "--num_steps=10")
    ends = [child.wait() for child in [process.start("train", *flags, f"--seed={i}", cwd=tmp_path) for i in range(3)]]
    assert [(done.code, done.err) for done in ends] == [(0, "")] * 3
    found = {json.loads((run_dir / "results.json").read_text())["seed"] for run_dir in (tmp_path / "runs").iterdir()}
    assert found == {0, 1, 2}


@pytest.mark.skipif(not DATA_DIR, reason="ADGM_TF_DATA_DIR does not name a folder of prepared TFDS data sets")
def test_full_mnist(tmp_path):
    flags = (*process.TINY[1:], *process.PLAIN, "--model=m2", "--num_steps=10", "--eval_batch_size=5000")
    done = process.forked("train", "--dataset=mnist", f"--data_dir={DATA_DIR}", "--num_valid=1000", *flags,
                          "--run_dir=run", cwd=tmp_path, env=process.NO_NETWORK)
    assert done.code == 0, done
    assert "100 labelled, 59,000 unlabelled, 1,000 validation and 10,000 test examples of 10 classes" in done.out
    assert process.forked("evaluate", "--run_dir=run", cwd=tmp_path, env=process.NO_NETWORK).code == 0
    found = json.loads((tmp_path / "run" / "evaluation" / "test.json").read_text())
    assert found["num_examples"] == 10000
    assert 0 < found["error_percent"] < 95
