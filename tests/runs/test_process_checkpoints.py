"""Damaged checkpoints are passed over, and said aloud."""

import json
import pathlib
import shutil

import process
import pytest
import tensorflow as tf

from adgm_tf.host import errors
from adgm_tf.runs import job, stored
from adgm_tf.training import checkpoints

pytestmark = [pytest.mark.process, pytest.mark.slow]

OPTIONS = dict(dataset="digits", model="m2", hidden_units=(8,), latent_dim=2, num_steps=30, eval_every=100,
               steps_per_call=10, checkpoint_every=10, num_eval_samples=1, learning_rate_schedule="constant",
               consistency="none", class_sum="exact", num_valid=20)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("checkpoints") / "run"
    job.run(OPTIONS | {"run_dir": str(run_dir)})
    return run_dir


@pytest.fixture
def run_dir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def data_of(run_dir, step, folder="checkpoints"):
    return pathlib.Path(run_dir, folder, f"step-{step}.data-00000-of-00001")


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path, where=0.5):
    content = bytearray(path.read_bytes())
    middle = int(where * len(content))
    content[middle:middle + 64] = bytes(b ^ 0xFF for b in content[middle:middle + 64])
    path.write_bytes(content)


DAMAGES = {
    "data truncated": lambda d: truncated(data_of(d, 30)),
    "data empty": lambda d: data_of(d, 30).write_bytes(b""),
    "data gone": lambda d: data_of(d, 30).unlink(),
    "data flipped": lambda d: flipped(data_of(d, 30), 0.25),
    "graph flipped": lambda d: flipped(data_of(d, 30), 0.0),
    "index truncated": lambda d: truncated(d / "checkpoints" / "step-30.index"),
    "index flipped": lambda d: flipped(d / "checkpoints" / "step-30.index"),
    "index empty": lambda d: (d / "checkpoints" / "step-30.index").write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_newest_damaged_is_passed_over_in_evaluation(run_dir, capfd, damage):
    DAMAGES[damage](run_dir)
    assert stored.load(str(run_dir)).step == 20
    said = capfd.readouterr().out
    assert f"checkpoint {run_dir}/checkpoints/step-30 is damaged and was passed over (" in said


def test_damage_to_the_optimizer_matters_to_training_alone(run_dir):
    flipped(data_of(run_dir, 30), 0.5)
    assert stored.load(str(run_dir)).step == 30


def test_evaluation_uses_the_weights_of_the_checkpoint_it_names(run_dir):
    flipped(data_of(run_dir, 30), 0.25)
    run = stored.load(str(run_dir))
    found = process.tensors(run_dir / "checkpoints" / "step-20")
    kernels = [v for k, v in found.items() if k.startswith("model/") and "SLOT" not in k]
    weights = [v.numpy() for v in run.model.variables]
    assert len(kernels) == len(weights)
    for kernel in kernels:
        assert any(w.shape == kernel.shape and (w == kernel).all() for w in weights)


@pytest.mark.parametrize("where", [0.25, 0.5], ids=["weights", "optimizer"])
def test_training_goes_on_from_the_one_before(finished, run_dir, capfd, where):
    flipped(data_of(run_dir, 30), where)
    job.run({"run_dir": str(run_dir)})
    said = capfd.readouterr().out
    assert "step-30 is damaged and was passed over (" in said
    assert "resuming from step 20\n" in said
    assert process.same(*(process.tensors(d / "checkpoints" / "step-30") for d in (finished, run_dir)))


def test_what_else_lies_there_is_neither_needed_nor_kept(run_dir):
    folder = run_dir / "checkpoints"
    (folder / "checkpoint").write_bytes(b"")
    (folder / "step-35.data-00000-of-00001").write_bytes(b"half of one, without an index")
    (folder / ".writing-killed").mkdir()
    (folder / ".writing-killed" / "step-40.index").write_bytes(b"")
    assert stored.load(str(run_dir)).step == 30
    job.run({"run_dir": str(run_dir), "num_steps": 50})
    assert sorted(p.stem for p in folder.glob("*.index")) == ["step-30", "step-40", "step-50"]
    assert not (folder / ".writing-killed").exists()


def test_best_weights_can_be_damaged_too(run_dir):
    flipped(next((run_dir / "best").glob("step-*.data*")))
    with pytest.raises(errors.UserError, match="has no readable checkpoint in best/"):
        stored.load(str(run_dir), "best")


def test_training_ends_although_the_best_weights_are_damaged(run_dir, capfd):
    for path in (run_dir / "best").iterdir():
        path.write_bytes(b"")
    (run_dir / "results.json").unlink()
    measured = job.run({"run_dir": str(run_dir)})
    assert measured["steps"] == 30
    assert "best_valid_step" not in measured
    assert "the best weights are not measured: " in capfd.readouterr().out


@pytest.mark.parametrize("entry", ["train", "evaluate", "sample", "export"])
def test_all_damaged_is_one_error(run_dir, tmp_path, entry):
    for index in (run_dir / "checkpoints").glob("*.index"):
        truncated(index)
    before = sorted(run_dir.rglob("*"))
    done = process.forked(entry, f"--run_dir={run_dir}", cwd=tmp_path)
    assert process.is_one_error(done)
    assert str(run_dir) in done.err
    assert "checkpoint" in done.err
    assert sorted(run_dir.rglob("*")) == before
    assert json.loads((run_dir / "config.json").read_text())["model"] == "m2"


def test_a_checkpoint_drops_those_of_later_steps(tmp_path):
    state = tf.train.Checkpoint(v=tf.Variable(0.0))
    for step in (10, 20, 40, 30):
        checkpoints.write(state, tmp_path, step, keep=2)
    assert [pathlib.Path(p).name for p in checkpoints.newest_first(tmp_path)] == ["step-30", "step-20"]
    assert len(list(tmp_path.iterdir())) == 4
