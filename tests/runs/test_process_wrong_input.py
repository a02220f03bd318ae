"""Wrong input: one clear line, status 2, and nothing written."""

import errno
import json
import os
import shutil
import subprocess

import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf.host import errors, files
from adgm_tf.runs import job, record

pytestmark = [pytest.mark.process, pytest.mark.slow]

FRESH = {
    "data set": (["--dataset=digit"], "dataset=digit: did you mean digits"),
    "data set far from any": (["--dataset=qqq"], "dataset=qqq: known: mnist5k, digits, moons, mnist, tfds:<name>"),
    "TFDS name": (["--dataset=tfds:mnst"], "dataset=tfds:mnst: did you mean tfds:mnist"),
    "TFDS not prepared": (["--dataset=tfds:mnist", "--data_dir=nowhere"],
                          "dataset=tfds:mnist: no prepared copy in data_dir=nowhere"),
    "mnist not prepared": (["--dataset=mnist", "--data_dir=nowhere"], "no prepared copy in data_dir=nowhere"),
    "model": (["--model=agdm"], "model=agdm: did you mean adgm"),
    "option": (["--class_sum=topp"], "class_sum=topp: did you mean topk"),
    "schedule": (["--learning_rate_schedule=cosin"], "learning_rate_schedule=cosin: did you mean cosine"),
    "number below": (["--num_steps=0"], "num_steps=0: must be at least 1"),
    "not finite": (["--learning_rate=nan"], "learning_rate=nan: must be finite"),
    "list": (["--hidden_units=16,x"], "hidden_units=16,x: must be whole numbers with commas between"),
    "no layer": (["--hidden_units="], "hidden_units=: must name at least one layer"),
    "labels": (["--num_labels=1598"], "num_labels=1598: digits has only 1597 examples"),
    "labels of a class": (["--num_labels=1590"], "num_labels=1590: needs 159 examples of class"),
    "labels are text": (["--num_labels=many"], "num_labels=many: must be a whole number of at least 0, or all, g"),
    "negative labels": (["--num_labels=-1"], "num_labels=-1: must be a whole number of at least 0, or all, g"),
    "class without a label": (["--num_labels=9"], "num_labels=9: digits has 10 classes, and a class without a single"),
    "valid": (["--num_valid=5000"], "num_valid=5000: digits has only 1597 examples"),
    "nothing left": (["--num_valid=1597"], "num_valid=1597: "),
    "top_k": (["--class_sum=topk", "--top_k=10"], "top_k=10: must be below the 10 classes of digits"),
    "class_prior size": (["--class_prior=0.5,0.5"], "class_prior=0.5,0.5: has 2 numbers, for 10 classes"),
    "class_prior sum": (["--dataset=moons", "--class_prior=0.5,0.6"],
                        "class_prior=0.5,0.6: every probability must be above 0, and their sum 1"),
    "vectors binarised": (["--dataset=moons", "--binarization=bernoulli"], "binarization=bernoulli: moons has real"),
    "vectors convolved": (["--dataset=moons", "--trunk=convolutional"], "trunk=convolutional: the data have no images"),
    "no filter": (["--trunk=convolutional", "--filters="], "filters=: must name at least one"),
    "vectors as Bernoulli": (["--dataset=moons", "--likelihood=bernoulli"], "likelihood=bernoulli: the data have real"),
    "nothing to learn from": (["--model=m1", "--num_labels=all"], "num_labels=all: m1 has no y"),
    "nothing for m1": (["--model=m1", "--num_unlabelled=0"],
                       "num_unlabelled=0: m1 has no y and learns from unlabelled examples only; use --num_unlabelled="),
    "nothing at all, of vectors": (["--dataset=moons", "--num_labels=0", "--num_unlabelled=0"],
                                   "num_labels=0, num_unlabelled=0: leave nothing to"),
    "nothing at all": (["--num_labels=0", "--num_unlabelled=0"], "num_labels=0, num_unlabelled=0: leave nothing to"),
    "topk in a logarithm": (["--class_sum=topk", "--num_importance_samples=5"],
                            "num_importance_samples=5: not with class_sum=topk"),
    "nothing to freeze": (["--model=m2", "--freeze_auxiliary"], "freeze_auxiliary=true: m2 has no q(a|x) to freeze"),
    "unlabelled": (["--num_unlabelled=1598"], "num_unlabelled=1598: digits has only 1597 examples"),
    "no features": (["--model=m2", "--features_run=nowhere"], "features_run=nowhere: holds no run"),
    "classifier": (["--classifier=bond"], "classifier=bond: did you mean bound"),
    "device": (["--devices=GPU:7"], "devices=GPU:7: "),
    "device name": (["--devices=TPU"], "devices=TPU: "),
    "device twice": (["--devices=CPU:0,CPU:0"], "devices=CPU:0,CPU:0: names a device twice"),
    "devices of one": (["--strategy=one_device", "--devices=CPU:0,CPU:1"],
                       "devices=CPU:0,CPU:1: strategy=one_device takes one"),
    "batch over replicas": (["--devices=CPU:0,CPU:1", "--labelled_batch_size=15"],
                            "labelled_batch_size=15: must divide by the 2 replicas"),
    "no cluster": (["--strategy=multi_worker", "--run_dir=run"], "strategy=multi_worker: needs the cluster"),
}


@pytest.mark.parametrize("case", FRESH)
def test_fresh_run(tmp_path, case):
    flags, said = FRESH[case]
    done = process.forked("train", *process.TINY, *flags, cwd=tmp_path, env=process.NO_NETWORK, timeout=60)
    assert process.is_one_error(done), done
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_errors_end_a_real_process_the_same_way(tmp_path):
    done = process.run("train", *process.TINY, "--num_labels=9", "--run_dir=run", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [
    "{", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'], ids=["cut short", "no place"])
def test_malformed_cluster(tmp_path, text):
    done = process.forked("train", *process.TINY, "--run_dir=run", cwd=tmp_path, env={"TF_CONFIG": text})
    assert process.is_one_error(done), done
    assert "TF_CONFIG=" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flags", "said"), [(["--nmu_steps=5"], "nmu_steps"), (["--num_steps=five"], "num_steps"),
                                             (["stray"], "stray"), (["--flagfile=nowhere"], "nowhere")],
                         ids=["unknown flag", "not a number", "no flag", "no flagfile"])
def test_usage_is_status_1(tmp_path, flags, said):
    done = process.forked("train", *flags, cwd=tmp_path)
    assert done.code == 1
    assert said in done.out + done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_measures_one_thing_at_a_time(tmp_path):
    done = process.forked("benchmark", "--on_disk", "--profile=exact", cwd=tmp_path)
    assert (done.code, done.err) == (2, "error: profile=exact: --on_disk is given as well; one is measured at a time\n")
    done = process.forked("benchmark", "--on_disk", "--threads", "--json=found.json", cwd=tmp_path)
    assert done.err == "error: threads: --on_disk is given as well; one is measured at a time\n"
    done = process.forked("benchmark", "--threads", "--accelerator", "--minutes=0", cwd=tmp_path)
    assert done.err == "error: accelerator: --threads is given as well; one is measured at a time\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("wrong") / "run"
    job.run(dict(dataset="digits", model="m2", hidden_units=(8,), latent_dim=2, num_steps=2, num_eval_samples=1,
                 consistency="none", class_sum="exact", run_dir=str(run_dir)))
    return run_dir


@pytest.fixture
def run_dir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(entry, run_dir, *flags):
    """Returns the line of an entry point that refuses, having written nothing."""
    before = contents(run_dir.parent)
    done = process.forked(entry, "--run_dir=run", *flags, cwd=run_dir.parent, env=process.NO_NETWORK, timeout=60)
    assert process.is_one_error(done), done
    assert contents(run_dir.parent) == before
    return done.err


def test_run_of_another_configuration(run_dir):
    line = refused("train", run_dir, "--model=adgm", "--latent_dim=3", "--learning_rate=0.01", "--eval_every=1")
    assert "run_dir=run: holds a run of another configuration: " in line
    assert "model is m2, not adgm; latent_dim is 2, not 3; learning_rate is 0.001, not 0.01" in line
    assert "eval_every" not in line


def test_run_that_another_process_trains(run_dir):
    with files.locked(run_dir):
        assert refused("train", run_dir) == "error: run_dir=run: is locked by another process, which trains it\n"
    assert process.forked("train", "--run_dir=run", cwd=run_dir.parent).code == 0


def test_cosine_ends_where_it_was_to_end(run_dir):
    assert "num_steps is 2, not 5" in refused("train", run_dir, "--num_steps=5")


def test_folder_without_a_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert "run_dir=run: exists and holds no run" in refused("train", folder)
    for entry in ("evaluate", "sample", "export"):
        assert "run_dir=run: holds no run" in refused(entry, folder)


def test_file_in_the_place_of_a_folder(tmp_path):
    path = tmp_path / "run"
    path.write_text("mine")
    assert "run_dir=run: exists and holds no run" in refused("train", path)
    done = process.forked("train", *process.TINY, *process.PLAIN, "--run_dir=run/inside", cwd=tmp_path)
    assert process.is_one_error(done), done
    assert "run/inside" in done.err
    assert path.read_text() == "mine"
    assert "run_dir=run: holds no run" in refused("evaluate", path)


def test_no_such_folder(tmp_path):
    for entry in ("evaluate", "sample", "export"):
        done = process.forked(entry, "--run_dir=none", cwd=tmp_path)
        assert process.is_one_error(done), done
        assert "run_dir=none: holds no run" in done.err
        assert process.forked(entry, cwd=tmp_path).err == "error: run_dir: must be given, as --run_dir=...\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flags", "said"), [
    (["--dataset=mnist5k"], "dataset=mnist5k: its examples are 28 x 28 x 1, the run's are 8 x 8 x 1"),
    (["--dataset=moons"], "dataset=moons: its examples are 2, the run's are 8 x 8 x 1"),
    (["--dataset=digit"], "dataset=digit: did you mean digits"),
    (["--split=tset"], "split=tset: did you mean test"),
    (["--split=valid"], "split=valid: the run has no such examples"),
    (["--weights=first"], "weights=first: "),
    (["--weights=best"], "weights=best: the run held out no validation set"),
], ids=lambda v: v[0] if isinstance(v, list) else "")
def test_evaluation(run_dir, flags, said):
    assert said in refused("evaluate", run_dir, *flags)


def changed(run_dir, **fields):
    path = run_dir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def damaged_split(run_dir):
    path = run_dir / "split.npz"
    path.write_bytes(path.read_bytes()[:-30])


DAMAGES = {
    "config cut short": (lambda d: (d / "config.json").write_text('{"model":'), "config.json cannot be read ("),
    "config empty": (lambda d: (d / "config.json").write_text(""), "config.json cannot be read ("),
    "config a list": (lambda d: (d / "config.json").write_text("[1]"), "config.json cannot be read ("),
    "config binary": (lambda d: (d / "config.json").write_bytes(b"\xff\xfe"), "config.json cannot be read ("),
    "config of a later version": (lambda d: changed(d, flavour="sweet"), "flavour"),
    "config with text": (lambda d: changed(d, latent_dim="two"), "latent_dim=two: must be a whole number"),
    "config with null": (lambda d: changed(d, num_steps=None), "num_steps=None: must be a whole number"),
    "config with a bad value": (lambda d: changed(d, model="agdm"), "did you mean adgm"),
    "config of other sizes": (lambda d: changed(d, latent_dim=3), "checkpoint"),
    "split cut short": (damaged_split, "split.npz cannot be read ("),
    "split empty": (lambda d: (d / "split.npz").write_bytes(b""), "split.npz cannot be read ("),
    "split of other data": (lambda d: np.savez(d / "split.npz", labelled=[0], unlabelled=[1], valid=[]),
                            "split.npz names other examples"),
}


def test_damaged_records_are_left_out(run_dir):
    path = run_dir / "metrics.jsonl"
    path.write_bytes(b'\xff\xfe\n[1]\n{"step"' + b"\n" + path.read_bytes())
    (run_dir / "results.json").unlink()
    assert process.forked("train", "--run_dir=run", cwd=run_dir.parent).code == 0
    assert all(isinstance(line, dict) for line in process.lines(run_dir))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_run_directory(run_dir, damage):
    do, said = DAMAGES[damage]
    do(run_dir)
    for entry in ("train", "evaluate"):
        assert said in refused(entry, run_dir)


def test_no_split(run_dir):
    (run_dir / "split.npz").unlink()
    for entry in ("evaluate", "sample"):
        assert "run_dir=run: holds no split.npz" in refused(entry, run_dir)


def test_uneven_labels_are_spread_and_said(tmp_path, capsys):
    job.run(dict(dataset="digits", model="m2", hidden_units=(8,), latent_dim=2, num_steps=1, num_eval_samples=1,
                 num_labels="13", consistency="none", class_sum="exact", run_dir=str(tmp_path / "run")))
    line = next(text for text in capsys.readouterr().out.splitlines() if "labels a class" in text)
    counts = list(map(int, line.rpartition(": ")[2].split(", ")))
    assert sorted(counts) == [1] * 7 + [2] * 3


FULL = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file"),
        tf.errors.ResourceExhaustedError(None, None, "some/file; No space left on device")]


@pytest.mark.parametrize("error", FULL, ids=["Python", "TensorFlow"])
@pytest.mark.parametrize("existed", [False, True], ids=["new", "empty"])
def test_fresh_run_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch, error, existed):
    def full(*_):
        raise error

    if existed:
        (tmp_path / "run").mkdir()
    monkeypatch.setattr(record, "describe_run", full)
    with pytest.raises(type(error)):
        job.run(dict(dataset="digits", model="m2", hidden_units=(8,), latent_dim=2, consistency="none",
                     run_dir=str(tmp_path / "run")))
    assert list(tmp_path.rglob("*")) == ([tmp_path / "run"] if existed else [])


def test_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    path = tmp_path / "kept.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_goes_through_a_link_and_spares_what_is_no_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    files.write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.UserError, match="pipe: must be a file, or not be there yet"):
        files.write_text(tmp_path / "pipe", "text")
    assert (tmp_path / "pipe").is_fifo()


def test_a_lock_leaves_no_empty_folder(tmp_path):
    for wait in (True, False):
        with files.locked(tmp_path / "new", wait=wait):
            with pytest.raises(BlockingIOError), files.locked(tmp_path / "new", wait=False):
                pass
            assert (tmp_path / "new").is_dir()
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of a given size."""
    mounted = []

    def mount(kibibytes):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)], check=False,
                              capture_output=True) if shutil.which("mount") and os.geteuid() == 0 else None
        if done is None or done.returncode:
            pytest.skip("a small file system can be mounted by root alone")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_no_space_at_the_start(small_disk):
    disk = small_disk(8)
    done = process.forked("train", *process.TINY, *process.PLAIN, "--num_steps=20", f"--run_dir={disk}/run", cwd="/")
    assert process.is_one_error(done), done
    assert done.err.startswith("error: no space left on the device")
    assert list(disk.iterdir()) == []


def test_no_space_later_keeps_what_is_whole(small_disk):
    disk = small_disk(180)
    done = process.forked("train", *process.TINY, *process.PLAIN, "--num_steps=200", f"--run_dir={disk}/run",
                          "--keep_checkpoints=20", cwd="/")
    assert process.is_one_error(done), done
    assert done.err.startswith("error: no space left on the device")
    assert not [p for p in (disk / "run").rglob("*") if p.name.startswith(".")]
    kept = list((disk / "run" / "checkpoints").glob("*.index"))
    assert kept
    for index in kept:
        assert process.tensors(index.with_suffix(""))
