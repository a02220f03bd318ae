"""M1+M2 in its two stages, each a process of its own."""

import json
import shutil

import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf.runs import stored

pytestmark = [pytest.mark.process, pytest.mark.slow]

SECOND = ("--model=m2", "--features_run=m1", "--num_steps=20", "--run_dir=m2")


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A folder with both runs and an export, and how their processes ended."""
    cwd = tmp_path_factory.mktemp("features")
    first = process.forked("train", *process.TINY, "--model=m1", "--num_labels=0", "--num_steps=20", "--run_dir=m1",
                           cwd=cwd)
    second = process.forked("train", *process.TINY, *SECOND, cwd=cwd)
    export = process.forked("export", "--run_dir=m2", cwd=cwd)
    return cwd, (first, second, export)


def test_both_stages_end_well(stages):
    cwd, ends = stages
    assert [(done.code, done.err) for done in ends] == [(0, "")] * 3
    assert 0 <= json.loads((cwd / "m2" / "results.json").read_text())["test_error_percent"] <= 100


def test_the_first_stage_is_what_it_was(stages, monkeypatch):
    cwd, _ = stages
    monkeypatch.chdir(cwd)
    first, second = stored.load("m1"), stored.load("m2")
    kept = zip(first.model.variables, second.model.features.m1.variables, strict=True)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in kept)
    x = tf.constant(second.splits.prepared(second.splits.test.x[:5])[0])
    assert second.model.observe(x).shape == (5, 4)
    assert second.model.reconstruct(x).shape == x.shape


def test_the_export_answers_as_the_run(stages, monkeypatch):
    cwd, (_, _, export) = stages
    monkeypatch.chdir(cwd)
    run = stored.load("m2")
    served = tf.saved_model.load(export.out.strip())
    x = run.splits.test.x[:7]
    np.testing.assert_allclose(served.signatures["serving_default"](images=tf.constant(x))["probs"],
                               run.evaluator().probs(run.splits.test)[:7], rtol=1e-5)


def test_both_stages_can_move_together(stages, tmp_path):
    cwd, _ = stages
    shutil.copytree(cwd / "m1", tmp_path / "moved" / "m1")
    shutil.copytree(cwd / "m2", tmp_path / "moved" / "m2")
    for where, run_dir, features in ((cwd, "m2", "./m1"), (tmp_path, "moved/m2", "moved/m1"),
                                     (tmp_path / "moved" / "m1", "../m2", tmp_path / "moved" / "m1")):
        done = process.forked("train", f"--run_dir={run_dir}", f"--features_run={features}", cwd=where)
        assert (done.code, "the run is finished" in done.out) == (0, True), done
    done = process.forked("evaluate", "--run_dir=../m2", cwd=tmp_path / "moved" / "m1")
    assert (done.code, done.err) == (0, "")


def test_features_are_those_of_an_m1_on_the_same_data(stages):
    cwd, _ = stages
    for flags, message in ((["--features_run=m2"], "features_run=m2: its model must be m1, and is m2"),
                           (["--features_run=m1", "--dataset=moons"], "features_run=m1: its dataset must be moons"),
                           (["--features_run=m1", "--trunk=convolutional"], "the features of m1 are no images")):
        done = process.forked("train", *process.TINY, "--model=m2", *flags, "--run_dir=other", cwd=cwd)
        assert process.is_one_error(done), done
        assert message in done.err
        assert not (cwd / "other").exists()


def test_a_second_stage_on_another_m1_than_its_own_is_one_line(stages, tmp_path):
    cwd, _ = stages
    for name in ("m1", "m2"):
        shutil.copytree(cwd / name, tmp_path / name)
    other = process.forked("train", *process.TINY, "--model=m1", "--num_labels=0", "--num_steps=20", "--seed=1",
                           "--run_dir=other", cwd=tmp_path)
    assert other.code == 0
    before = (tmp_path / "m2/config.json").read_bytes()
    for flags in (("--features_run=other",), ("--features_run=other", "--num_eval_samples=3")):
        done = process.forked("train", "--run_dir=m2", *flags, cwd=tmp_path)
        assert process.is_one_error(done), done
        assert done.err.startswith("error: features_run=other: its m1 has other weights than the one that this run")
        assert (tmp_path / "m2/config.json").read_bytes() == before


def test_features_of_features_are_one_line(stages, tmp_path):
    cwd, _ = stages
    middle = process.forked("train", *process.TINY, "--model=m1", "--num_labels=0", "--num_steps=20",
                            f"--features_run={cwd / 'm1'}", "--run_dir=middle", cwd=tmp_path)
    assert middle.code == 0, middle
    done = process.forked("train", *process.TINY, "--model=m2", "--features_run=middle", "--run_dir=m2", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert "features_run=middle: its m1 sees the features of another run" in done.err
    assert not (tmp_path / "m2").exists()
