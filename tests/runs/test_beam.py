"""Shards answered by Apache Beam with an export: the answers of the export, whole shards, and what was left undone."""

import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import own
import pandas as pd
import process
import pytest
import tensorflow as tf

from adgm_tf.host import errors
from adgm_tf.runs import beam

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROWS = (5, 1, 1200, 7)


class Export(tf.Module):
    """A signature as that of an export: probabilities of vectors."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "vectors")])
    def classify(self, vectors):
        return {"probs": tf.nn.softmax(vectors), "label": tf.argmax(vectors, -1, output_type=tf.int32)}


@pytest.fixture
def folder(tmp_path):
    module = Export()
    tf.saved_model.save(module, str(tmp_path / "export"), {"serving_default": module.classify})
    (tmp_path / "shards").mkdir()
    for i, rows in enumerate(ROWS):
        np.save(tmp_path / "shards" / f"x-{i}.npy", np.random.default_rng(i).normal(size=(rows, 3)).astype(np.float32))
    return tmp_path


def answered(folder):
    return {path.name: dict(np.load(path)) for path in (folder / "answers").glob("*.npz")}


def test_answers_are_those_of_the_export_and_only_what_is_left_is_done(folder):
    pytest.importorskip("apache_beam")
    arguments = (f"{folder}/shards/x-*.npy", f"{folder}/answers", beam.OfExport(f"{folder}/export"))
    assert len(beam.predict_shards(*arguments)) == len(ROWS)
    found = answered(folder)
    for i, rows in enumerate(ROWS):
        x = np.load(folder / "shards" / f"x-{i}.npy")
        assert found[f"x-{i}.npz"]["probs"].shape == (rows, 3)
        np.testing.assert_allclose(found[f"x-{i}.npz"]["probs"], tf.nn.softmax(x), atol=1e-6)
        np.testing.assert_array_equal(found[f"x-{i}.npz"]["label"], x.argmax(1))
    (folder / "answers" / "x-2.npz").unlink()
    before = {path: path.stat().st_mtime_ns for path in (folder / "answers").iterdir()}
    assert beam.predict_shards(*arguments) == [f"{folder}/shards/x-2.npy"]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    np.testing.assert_array_equal(answered(folder)["x-2.npz"]["probs"], found["x-2.npz"]["probs"])


def test_what_is_killed_leaves_whole_shards_and_goes_on(folder):
    pytest.importorskip("apache_beam")
    for i in range(4, 60):
        np.save(folder / "shards" / f"x-{i}.npy", np.zeros((20000, 3), np.float32))
    command = [sys.executable, "-m", "adgm_tf.predict", f"--input={folder}/shards/*.npy", f"--output={folder}/answers",
               f"--export_dir={folder}/export", "--runner=DirectRunner"]
    started = subprocess.Popen(command, env=process.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list((folder / "answers").glob("*.npz"))) < 2:
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    done = set(answered(folder))
    assert 2 <= len(done) < 60
    left = beam.predict_shards(f"{folder}/shards/*.npy", f"{folder}/answers", beam.OfExport(f"{folder}/export"))
    assert {f"{pathlib.Path(path).stem}.npz" for path in left} == {f"x-{i}.npz" for i in range(60)} - done
    assert len(answered(folder)) == 60


@pytest.mark.parametrize(("pattern", "export", "line"), [
    ("none-*.npy", "export", "matches no file"), ("x-*.npy", "shards", "holds no SavedModel"),
    ("*", "export", "must end in one of .npy, .npz")])
def test_what_cannot_be_is_one_line(pattern, export, line, folder):
    (folder / "shards" / "notes.txt").touch()
    with pytest.raises(errors.UserError, match=line):
        beam.predict_shards(f"{folder}/shards/{pattern}", f"{folder}/answers", beam.OfExport(f"{folder}/{export}"))
    assert not (folder / "answers").exists()


def test_shards_of_a_table_have_the_answers_of_predict(tmp_path):
    """Class, probabilities, uncertainty and novelty, whatever the kind of the file, with the column that names rows."""
    pytest.importorskip("apache_beam")
    own.write(tmp_path, "train.csv")
    flags = ("--dataset=csv:train.csv", "--run_dir=run", "--num_steps=20", "--hidden_units=8", "--id_column=key",
             "--label_column=kind")
    assert process.run("train", *flags, cwd=tmp_path).code == 0
    (tmp_path / "new").mkdir()
    frame = pd.read_csv(tmp_path / "train.csv")
    frame[:30].to_csv(tmp_path / "new" / "a.csv", index=False)
    frame[30:].to_parquet(tmp_path / "new" / "b.parquet")
    done = process.run("predict", "--run_dir=run", "--input=new/*", "--output=answers", "--runner=DirectRunner",
                       cwd=tmp_path)
    assert done.code == 0, done
    assert done.out.endswith("answers: 2 files of answers written\n")
    alone = process.run("predict", "--run_dir=run", "--input=train.csv", "--output=alone.csv", cwd=tmp_path)
    assert alone.code == 0, alone
    answers = tmp_path / "answers"
    found = pd.concat([pd.read_csv(answers / "a.csv"), pd.read_parquet(answers / "b.parquet")], ignore_index=True)
    pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / "alone.csv"), rtol=1e-4, check_dtype=False)
    (tmp_path / "new" / "c.csv").write_text("nothing\n1\n")
    wrong = process.run("predict", "--run_dir=run", "--input=new/*", "--output=answers", "--runner=DirectRunner",
                        cwd=tmp_path)
    assert wrong.code == 2
    # Beam logs what a worker says as well.
    assert wrong.err.splitlines()[-1].startswith("error: input=new/c.csv: has no column ")
    assert not (tmp_path / "answers" / "c.csv").exists()


@pytest.mark.parametrize(("given", "line"), [
    (["--export_dir=e", "--run_dir=r"], "export_dir=e: --run_dir is given as well"),
    (["--export_dir=e", "--target_accuracy=0.9"], "export_dir=e: --target_accuracy is given as well"),
    (["--export_dir=e", "--keep_given_labels"], "export_dir=e: --keep_given_labels is given as well"),
    (["--run_dir=r"], "run_dir=r: holds no run")])
def test_flags_that_do_not_go_together_are_one_line(given, line, tmp_path):
    done = process.run("predict", "--input=x-*.npy", "--output=o", "--runner=DirectRunner", *given, cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err.startswith(f"error: {line}")
    assert not list(tmp_path.iterdir())


def test_a_shard_of_another_width_is_one_line(folder):
    np.save(folder / "shards" / "wide.npy", np.zeros((2, 4), np.float32))
    answer = tf.saved_model.load(f"{folder}/export").signatures["serving_default"]
    with pytest.raises(errors.UserError, match="has rows of 4, and the export takes 3"):
        beam.answer_shard(answer, f"{folder}/shards/wide.npy", f"{folder}/answers.npz")
