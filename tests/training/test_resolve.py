"""The preset: what it follows, what it leaves alone, and what it may not look at."""

import dataclasses

import building
import numpy as np
import own
import pytest

from adgm_tf.config import Config
from adgm_tf.training import resolve


def found(src=None, **given):
    config = Config(**(dict(preset="auto", num_labels="6") | given))
    return resolve.resolve(config, building.split(config, src), given)


def vectors(dim, spread=1.0):
    src = building.vectors(dim=dim)
    return dataclasses.replace(src, train_x=src.train_x * spread, test_x=src.test_x * spread)


def test_what_is_given_stays_and_the_rest_follows_the_data():
    chosen = found(balance_weight=7.0, num_steps=2400, hidden_units=(500, 500))
    assert (chosen.balance_weight, chosen.num_steps, chosen.hidden_units) == (7.0, 2400, (500, 500))
    assert chosen.entropy_weight > 0
    assert found(preset="none").entropy_weight == 0


def test_the_radius_is_that_of_the_spread_that_q_sees_up_to_the_largest():
    assert found(vectors(4)).consistency_radius == pytest.approx(2 * found(vectors(1)).consistency_radius)
    assert found(vectors(4, 1000.0)).consistency_radius == pytest.approx(found(vectors(4)).consistency_radius)
    assert found(vectors(400)).consistency_radius == resolve.LARGEST_RADIUS


def test_hidden_labels_change_nothing():
    config = Config(preset="auto", num_labels="6")
    splits = building.split(config)
    hidden = ~np.isin(splits.unlabelled.index, splits.labelled.index)
    y = splits.unlabelled.y.copy()
    y[hidden] = np.roll(y[hidden], 7)
    other = dataclasses.replace(splits, unlabelled=dataclasses.replace(splits.unlabelled, y=y))
    assert np.any(y != splits.unlabelled.y)
    assert resolve.resolve(config, other) == resolve.resolve(config, splits)


@pytest.mark.parametrize("labels", ["3", "6", "30", "all"])
def test_batches_take_in_few_labels_at_once_and_divide_by_four(labels):
    size = found(num_labels=labels).labelled_batch_size
    assert size >= (100 if labels == "all" else int(labels))
    assert size % 4 == 0


def test_rows_of_a_table_have_a_shallower_classifier_than_vectors(tmp_path):
    config = own.config(own.write(tmp_path), preset="auto", hidden_units=(8, 7))
    assert resolve.resolve(config, own.split(config)).classifier_units == (8,)
    default = Config.hidden_units
    config = own.config(own.write(tmp_path), preset="auto", hidden_units=default)
    assert resolve.resolve(config, own.split(config), {"hidden_units"}).classifier_units == default[:1]
    assert found().classifier_units == ()


def test_large_images_are_drawn_as_binary_ones_and_small_ones_are_not():
    assert found(building.images(shape=(28, 28, 1))).binarization == "auto"
    assert found(building.images(shape=(8, 8, 1))).binarization == "none"


def test_a_small_radius_starts_larger_and_none_above_the_largest():
    assert found(vectors(1)).consistency_radius_start == resolve.RADIUS_START
    assert found(vectors(400)).consistency_radius_start == 1
    between = found(vectors(16))
    assert between.consistency_radius * between.consistency_radius_start == pytest.approx(resolve.LARGEST_RADIUS)


def test_few_rows_have_their_labels_carried_along_their_neighbours(monkeypatch):
    assert found().propagation_weight > 0
    monkeypatch.setattr(resolve, "FEW_ROWS", 10)
    assert found().propagation_weight == 0


def test_labels_are_not_carried_along_rows_with_categories(tmp_path):
    path = own.write(tmp_path)
    for ignored, weight in ((), 0.0), (("colour",), 4.0):
        config = own.config(path, preset="auto", ignore_columns=ignored)
        assert resolve.resolve(config, own.split(config)).propagation_weight == weight


def test_constant_data_have_no_larger_radius_at_the_start():
    assert found(vectors(4, 0.0)).consistency_radius_start == 1


def test_the_radius_of_many_columns_stays_as_it_is(monkeypatch):
    assert found(vectors(4)).consistency_radius_start > 1
    monkeypatch.setattr(resolve, "WIDE", 2)
    assert found(vectors(4)).consistency_radius_start == 1


def test_vat_has_the_preset_but_for_what_it_does_not_use():
    ours, vat = found(model="sdgm"), found(model="vat")
    assert vat.classification_weight == pytest.approx(len(building.vectors().train_y) / 6)
    assert ours.classification_weight is None
    for name in Config.__dataclass_fields__:
        if "vat" in Config.used_by(name) and name not in ("model", "classification_weight"):
            assert getattr(vat, name) == getattr(ours, name), name
        elif name != "model" and "vat" not in Config.used_by(name):
            assert getattr(vat, name) == getattr(Config(), name), name
