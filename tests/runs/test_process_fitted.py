"""Baselines that are fitted: the same entry point, run directory and report as any run."""

import json
import shutil

import numpy as np
import process
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adgm_tf.host import files
from adgm_tf.training.systems import FITTED

pytestmark = [pytest.mark.process, pytest.mark.slow]

DIGITS = ("--dataset=digits", "--num_labels=50", "--num_valid=100", "--split_seed=2", "--seed=1")


def train(cwd, *flags, **options):
    return process.forked("train", *flags, cwd=cwd, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of finished runs, and what each of them printed."""
    cwd = tmp_path_factory.mktemp("fitted")
    in_vain = ("--latent_dim=5", "--num_steps=7")
    started = {name: process.start("train", *DIGITS, *in_vain, f"--model={name}", f"--run_dir=runs/{name}/0",
                                   cwd=cwd)
               for name in FITTED}
    return cwd, {name: child.wait() for name, child in started.items()}


@pytest.mark.parametrize("name", FITTED)
def test_run_directory(finished, name):
    cwd, done = finished
    assert done[name].code == 0, done[name]
    run_dir = cwd / "runs" / name / "0"
    assert {p.name for p in run_dir.iterdir()} == {"config.json", "split.npz", "results.json", "final"}
    tags = EventAccumulator(str(run_dir / "final")).Reload()
    assert tags.PluginTagToContent("hparams").keys() == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    assert "test_error_percent" in tags.Tags()["tensors"]
    measured = json.loads((run_dir / "results.json").read_text())
    assert measured["model"] == json.loads((run_dir / "config.json").read_text())["model"] == name
    assert (measured["steps"], measured["num_labels"], measured["num_valid_labels"]) == (0, 50, 100)
    assert (measured["split_seed"], measured["seed"]) == (2, 1)
    assert measured["seconds"] > 0
    assert "scikit-learn" in measured["versions"]
    for figure in ("test_error_percent", "transductive_error_percent", "valid_error_percent"):
        # Trees with no more than two examples a leaf have little to boost with five labels a class.
        assert 0 < measured[figure] < (50 if name == "boosted_trees" else 35)
    assert f"test_error_percent: {measured['test_error_percent']:.2f}" in done[name].out
    _, _, unused = done[name].out.partition(f"{name} does not use ")
    assert set(unused.splitlines()[0].split(", ")) == {"num_steps", "latent_dim"}
    assert done[name].err == ""
    with np.load(run_dir / "split.npz") as split:
        assert (len(split["labelled"]), len(split["valid"])) == (50, 100)


def test_report_collects_them(finished):
    cwd, _ = finished
    done = process.forked("report", "--runs=runs/*/*", cwd=cwd)
    assert done.code == 0, done
    for name in FITTED:
        assert f"| {name} | 1 | 0 |" in done.out


def test_finished_run_keeps_its_result(finished):
    cwd, _ = finished
    path = cwd / "runs" / "self_training" / "0" / "results.json"
    before = path.read_bytes()
    done = train(cwd, f"--run_dir={path.parent}")
    assert done.code == 0, done
    assert f"test_error_percent: {json.loads(before)['test_error_percent']:.2f}" in done.out
    assert path.read_bytes() == before


def test_run_that_another_process_fits(finished, tmp_path):
    cwd, _ = finished
    run_dir = shutil.copytree(cwd / "runs" / "self_training" / "0", tmp_path / "run")
    (run_dir / "results.json").unlink()
    with files.locked(run_dir):
        done = train(tmp_path, "--run_dir=run")
    assert (done.code, done.err) == (2, "error: run_dir=run: is locked by another process, which trains it\n")
    assert not (run_dir / "results.json").exists()


def test_stopped_run_is_fitted_as_it_would_have_been(finished):
    cwd, _ = finished
    path = cwd / "runs" / "label_spreading" / "0" / "results.json"
    before = json.loads(path.read_text())
    path.unlink()
    assert train(cwd, f"--run_dir={path.parent}").code == 0
    after = json.loads(path.read_text())
    assert {k: v for k, v in after.items() if k not in ("seconds", "run_dir")} == {
        k: v for k, v in before.items() if k not in ("seconds", "run_dir")}


@pytest.mark.parametrize("entry", ["evaluate", "sample", "export"])
def test_there_are_no_weights_to_use(finished, entry):
    cwd, _ = finished
    before = sorted(cwd.rglob("*"))
    done = process.forked(entry, "--run_dir=runs/label_spreading/0", cwd=cwd)
    assert process.is_one_error(done), done
    assert "run_dir=runs/label_spreading/0: label_spreading keeps no weights" in done.err
    assert sorted(cwd.rglob("*")) == before


@pytest.mark.parametrize(("flags", "said"), [
    (["--num_labels=0"], "num_labels=0: self_training learns from labels"),
    (["--num_labels=9"], "num_labels=9: digits has 10 classes"),
    (["--strategy=multi_worker", "--run_dir=run"], "strategy=multi_worker: needs the cluster"),
], ids=lambda v: v[0] if isinstance(v, list) else "")
def test_wrong_input(tmp_path, flags, said):
    done = train(tmp_path, "--dataset=digits", "--model=self_training", *flags)
    assert process.is_one_error(done), done
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_first_worker_alone_fits(tmp_path):
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    for index in (1, 0):
        place = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        done = train(tmp_path, "--dataset=digits", "--model=label_spreading", "--run_dir=run", env={"TF_CONFIG": place})
        assert done.code == 0, done
        assert (tmp_path / "run" / "results.json").exists() == (index == 0)


def test_fewer_examples_than_neighbours_are_enough(tmp_path):
    few = ("--dataset=moons", "--num_labels=6", "--num_unlabelled=0")
    for name in FITTED:
        done = train(tmp_path, f"--model={name}", *few, f"--run_dir={name}")
        assert done.code == 0 or process.is_one_error(done), done
    assert (tmp_path / "label_spreading" / "results.json").is_file()
