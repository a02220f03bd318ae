"""Data on disk: the rows, the moments, the batches and the weights are those of the same data in memory."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data import catalogue, mapped, splits
from adgm_tf.host import errors
from adgm_tf.training import blocks, plan
from adgm_tf.training.step import Trainer

SIZES = dict(model="m2", hidden_units=(8,), latent_dim=2, consistency="none", class_sum="exact", preset="none",
             labelled_batch_size=6, unlabelled_batch_size=10, num_steps=100, steps_per_call=4, num_valid=7)
RNG = np.random.default_rng(0)
N = 211
VECTORS = (RNG.normal(size=(N, 5)) * [1, 1e3, 1e-3, 5, 0] + [0, 1e6, 3, 0, 7]).astype(np.float32)
IMAGES = RNG.integers(0, 256, (N, 4, 3)).astype(np.uint8)
LABELS = np.where(np.arange(N) % 3 == 0, -1, np.arange(N) % 4)


def stored(folder, shards, **found):
    """The same arrays as npz:FILE and as npy:FOLDER."""
    np.savez(folder / "data.npz", **found)
    (folder / "npy").mkdir()
    for name, array in found.items():
        if shards == 1:
            np.save(folder / "npy" / f"{name}.npy", array)
        else:
            for i, part in enumerate(np.array_split(array, shards)):
                np.save(folder / "npy" / f"{name}-{i}.npy", part)
    return f"npz:{folder}/data.npz", f"npy:{folder}/npy"


def split(name, **options):
    config = Config(dataset=name, **(SIZES | options))
    return splits.split(catalogue.load(name, options=config), config), config


def trainer(name, **options):
    found, config = split(name, **options)
    return Trainer(config, plan.make(config, found), found, tf.distribute.get_strategy())


@pytest.fixture(params=[(VECTORS, 1), (VECTORS, 12), (IMAGES, 3)], ids=["vectors", "shards", "images"])
def data(request, tmp_path):
    x, shards = request.param
    return stored(tmp_path, shards, x=x, y=LABELS)


def test_rows_on_disk_are_those_in_memory(data):
    (one, _), (other, _) = (split(name) for name in data)
    assert isinstance(other.unlabelled.x, mapped.Mapped)
    for part in ("labelled", "unlabelled", "valid", "test"):
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(a.index, b.index)
        np.testing.assert_array_equal(a.y, b.y)
        assert a.x.dtype == b.x.dtype
        np.testing.assert_array_equal(a.x, np.asarray(b.x))
        order = np.random.default_rng(1).integers(0, len(a), 50)
        np.testing.assert_array_equal(a.x[order], np.asarray(b.take(order).x))
    assert one.spec.preprocess.total_stddev == other.spec.preprocess.total_stddev


def test_weights_are_those_of_resident_arrays_bit_for_bit(data):
    one, other = trainer(data[0]), trainer(data[1], resident="false")
    assert isinstance(other.feed, blocks.Blocks)
    # 3 and 5 end inside a block, 11 spans several.
    for count in (3, 5, 1, 11):
        assert one.train(count) == other.train(count)
    assert one.step == other.step == 20
    for a, b in zip(one.model.variables, other.model.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_goes_on_inside_a_block_takes_the_same_batches(tmp_path):
    one, other = (trainer(name, resident="false") for name in stored(tmp_path, 2, x=VECTORS, y=LABELS))
    one.train(9)
    for a, b in zip((*other.model.variables, *other.optimizer.variables()),
                    (*one.model.variables, *one.optimizer.variables()), strict=True):
        a.assign(b)
    assert other.train(6) == one.train(6)


@pytest.mark.parametrize(("resident", "memory", "expected"), [
    ("true", 1, True), ("false", 2**40, False), ("auto", 2**40, True), ("auto", 1000, False)])
def test_what_is_resident(resident, memory, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=memory))
    in_memory, on_disk = (split(name)[0] for name in stored(tmp_path, 1, x=VECTORS, y=LABELS))
    assert blocks.is_resident(resident, on_disk, 1) == expected
    assert blocks.is_resident(resident, in_memory, 1) == (resident != "false")


@pytest.mark.parametrize("given", [{}, dict(propagation_weight=2.0)], ids=str)
def test_arrays_in_memory_come_in_blocks_too(given):
    one, other = (trainer("digits", num_labels="100", resident=resident, **given) for resident in ("true", "false"))
    assert one.train(10) == other.train(10)


def test_moments_do_not_depend_on_where_the_rows_are_nor_on_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 400)
    (one, _), (other, _) = (split(name) for name in stored(tmp_path, 2, x=VECTORS, y=LABELS))
    fitted, again = (s.spec.preprocess.scaling for s in (one, other))
    np.testing.assert_array_equal(fitted.offset, again.offset)
    np.testing.assert_array_equal(fitted.scale, again.scale)
    rows = np.union1d(one.labelled.index, one.unlabelled.index)
    x = VECTORS[np.setdiff1d(np.arange(N), [])].astype(np.float64)
    assert len(rows) < len(x)
    wide = np.concatenate([one.labelled.x, one.unlabelled.x[~np.isin(one.unlabelled.index, one.labelled.index)]])
    np.testing.assert_allclose(fitted.offset, wide.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(1 / fitted.scale[:4], wide.astype(np.float64).std(0)[:4], rtol=1e-9)
    assert fitted.scale[4] == 1


@pytest.mark.parametrize(("found", "line"), [
    (dict(x=np.where(np.arange(N * 5).reshape(N, 5) == 1003, np.nan, VECTORS)), "row 200, column 3 is nan"),
    (dict(x=np.asfortranarray(VECTORS)), "x.npy is stored column by column"),
    (dict(x=VECTORS, y=LABELS[:9]), "are 9, for 211 examples"),
    (dict(z=VECTORS), "has no x.npy"),
    (dict(x=np.array([[None]], object)), "holds objects")])
def test_wrong_folders_end_in_one_line(found, line, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BLOCK_BYTES", 400)
    for name, array in found.items():
        np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(errors.UserError, match=line):
        split(f"npy:{tmp_path}")


def test_a_file_cut_short_is_found_before_anything_is_written(tmp_path):
    np.save(tmp_path / "x.npy", VECTORS)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    with pytest.raises(errors.UserError, match="its header says"):
        split(f"npy:{tmp_path}")
