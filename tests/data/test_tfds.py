"""Sets of TensorFlow Datasets, prepared here: with and without names of classes, a test set, hidden labels."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from adgm_tf.data import catalogue
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors

RNG = np.random.default_rng(0)
IMAGE = tfds.features.Image(shape=(4, 3, 1))
NAMED = tfds.features.ClassLabel(names=["cat", "dog", "owl"])


def prepare(folder, splits, features, supervised_keys):
    """Prepares the set `tiny` of {split: [{feature: value}, ...]}."""
    with tfds.core.registered.skip_registration():
        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features),
                                             supervised_keys=supervised_keys)

            def _split_generators(self, _):
                return {name: list(enumerate(rows)) for name, rows in splits.items()}

            def _generate_examples(self):
                return ()

    Tiny(data_dir=folder).download_and_prepare()
    return catalogue.load("tfds:tiny", str(folder))


def rows(labels, shape=(4, 3, 1), dtype=np.uint8):
    return [{"image": RNG.integers(0, 256, shape).astype(dtype), "label": y} for y in labels]


def test_classes_have_the_names_of_the_set(tmp_path):
    found = prepare(tmp_path, {"train": rows([0, 1, 2, 0]), "test": rows([2, 1])}, {"image": IMAGE, "label": NAMED},
                    ("image", "label"))
    assert found.class_names == ("cat", "dog", "owl")
    assert found.train_x.shape == (4, 4, 3, 1)
    assert sorted(found.train_y.tolist()) == [0, 0, 1, 2]
    assert sorted(found.test_y.tolist()) == [1, 2]


def test_whole_numbers_without_names_are_classes(tmp_path):
    found = prepare(tmp_path, {"train": rows([3, 7, 3]), "test": rows([7])},
                    {"image": IMAGE, "label": tfds.features.Scalar(np.int64)}, ("image", "label"))
    assert found.class_names == ("3", "7")
    assert found.test_y.tolist() == [1]


def test_hidden_test_labels_are_unknown(tmp_path):
    found = prepare(tmp_path, {"train": rows([0, 1, 2]), "test": rows([-1, -1])}, {"image": IMAGE, "label": NAMED},
                    ("image", "label"))
    assert found.test_y.tolist() == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "unsupervised"])
def test_a_split_without_labels_joins_the_training_set(name, tmp_path):
    found = prepare(tmp_path, {"train": rows([0, 1, 2]), "test": rows([1]), name: rows([0, -1, 2, 1])},
                    {"image": IMAGE, "label": NAMED}, ("image", "label"))
    assert sorted(found.train_y.tolist()) == [UNKNOWN] * 4 + [0, 1, 2]
    assert found.train_x.shape == (7, 4, 3, 1)


def test_without_a_test_set_there_is_none(tmp_path):
    found = prepare(tmp_path, {"train": rows([0, 1, 2])}, {"image": IMAGE, "label": NAMED}, ("image", "label"))
    assert found.test_x.shape == (0, 4, 3, 1)


def test_a_validation_set_stands_for_the_test_set(tmp_path):
    found = prepare(tmp_path, {"train": rows([0, 1, 2]), "validation": rows([1, 1])},
                    {"image": IMAGE, "label": NAMED}, ("image", "label"))
    assert found.test_y.tolist() == [1, 1]


def test_without_a_pair_of_its_own_choice_the_only_image_and_the_only_label_are_taken(tmp_path):
    both = {"image": IMAGE, "label": NAMED, "id": tfds.features.Text()}
    found = prepare(tmp_path, {"train": [row | {"id": "a"} for row in rows([0, 1, 2])]}, both, None)
    assert sorted(found.train_y.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("features", "keys"), [
    ({"image": IMAGE, "label": tfds.features.Tensor(shape=(2,), dtype=np.int64)}, ("image", "label")),
    ({"image": tfds.features.Tensor(shape=(4, 3, 1), dtype=np.uint8), "label": NAMED}, ("image", "label")),
    ({"image": IMAGE, "label": tfds.features.Scalar(np.int64)}, None),
    ({"image": IMAGE, "label": NAMED}, ("image", "image", "label"))])
def test_what_is_no_image_classification_is_one_line(features, keys, tmp_path):
    labels = [[0, 1]] * 3 if features["label"].shape else [0, 1, 2]
    with pytest.raises(errors.UserError, match=r"^dataset=tfds:tiny: is not an image classification set$"):
        prepare(tmp_path, {"train": rows(labels)}, features, keys)


def test_images_of_several_sizes_are_one_line(tmp_path):
    features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": NAMED}
    with pytest.raises(errors.UserError, match=r"^dataset=tfds:tiny: its images differ in size"):
        prepare(tmp_path, {"train": rows([0, 1, 2])}, features, ("image", "label"))


def test_images_of_16_bits_are_understood(tmp_path):
    features = {"image": tfds.features.Image(shape=(4, 3, 1), dtype=np.uint16), "label": NAMED}
    found = prepare(tmp_path, {"train": rows([0, 1, 2], dtype=np.uint16)}, features, ("image", "label"))
    assert found.train_x.dtype == np.float32
    assert 0 <= found.train_x.min() <= found.train_x.max() <= 1
