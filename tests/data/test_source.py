"""What a source may give: understood where it can be, one line with row, column, value and rule where it cannot."""

import zlib

import building
import numpy as np
import pytest

from adgm_tf.config import Config
from adgm_tf.data import arrays, catalogue, labels, splits
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.source import Source
from adgm_tf.host import errors

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])
GREY = RNG.integers(0, 256, (6, 4, 5)).astype(np.uint8)


def made(train_x=X, train_y=Y, test_x=None, test_y=None, class_names=None):
    test_x = train_x if test_x is None else test_x
    return Source("own", train_x, train_y, test_x, train_y if test_y is None else test_y, class_names)


def changed(array, place, value):
    array = np.array(array, copy=True)
    array[place] = value
    return array


@pytest.mark.parametrize(("y", "names", "indices"), [
    ([0, 1, 2, 0, 1, 2], ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
    ([3, 10, 20, 3, 10, 20], ("3", "10", "20"), [0, 1, 2, 0, 1, 2]),
    ([0.0, 1.0, np.nan, 0.0, 1.0, 1.0], ("0", "1"), [0, 1, UNKNOWN, 0, 1, 1]),
    (["b", "a", "", "b", None, "a"], ("a", "b"), [1, 0, UNKNOWN, 1, UNKNOWN, 0]),
    (["10", "9", "9", "10", "10", "9"], ("9", "10"), [1, 0, 0, 1, 1, 0]),
    ([-1, 0, 1, 0, 1, -1], ("0", "1"), [UNKNOWN, 0, 1, 0, 1, UNKNOWN]),
    ([-1] * 6, (), [UNKNOWN] * 6),
    ([True, False, True, True, False, True], ("0", "1"), [1, 0, 1, 1, 0, 1]),
    (np.array([b"cat", b"dog", b"cat", b"dog", b"cat", b"dog"]), ("cat", "dog"), [0, 1, 0, 1, 0, 1]),
    ([float("nan"), "x", "y", None, "x", "y"], ("x", "y"), [UNKNOWN, 0, 1, UNKNOWN, 0, 1])])
def test_labels_without_names_are_the_classes_that_occur(y, names, indices):
    found = made(train_y=y)
    assert found.class_names == names
    assert found.train_y.dtype == np.int32
    assert found.train_y.tolist() == indices


@pytest.mark.parametrize("y", [[0, 1, 2, -1, 0, 1], ["a", "b", "c", None, "a", "b"],
                               [0.0, 1.0, 2.0, np.nan, 0.0, 1.0], ["0", "1", "2", "", "0", "1"]])
def test_labels_with_names_are_indices_or_names(y):
    assert made(train_y=y, class_names=("a", "b", "c")).train_y.tolist() == [0, 1, 2, UNKNOWN, 0, 1]


def test_a_word_is_no_index_where_classes_are_numbers():
    """Names 1, 2, 3: the label 0 is of no class, and 1 is the first; as a number 1 is the second."""
    names = ("1", "2", "3")
    assert labels.indexed(np.array(["1", "3", None], object), names, "y").tolist() == [0, 2, -1]
    assert labels.indexed(np.array([1.0, 2.0, np.nan]), names, "y").tolist() == [1, 2, -1]
    with pytest.raises(errors.UserError, match=r"y: row 7 is 0, and must be one of the 3 classes 1, 2, 3, or -1"):
        labels.indexed(np.array(["1", "2", "0"], object), names, "y", first=5)
    with pytest.raises(errors.UserError, match=r"y: row 1 is inf, and must be a whole number or a name"):
        labels.indexed(np.array([1.0, np.inf]), names, "y")


def test_a_class_that_the_test_set_alone_has_is_a_class():
    found = made(train_y=["a", "b", "a", "b", "a", "b"], test_y=["a", "b", "c", "a", "b", "c"])
    assert found.class_names == ("a", "b", "c")


@pytest.mark.parametrize(("given", "line"), [
    (dict(train_y=[0, 1, 5, 0, 1, 2], class_names=("a", "b", "c")),
     r"its training labels: row 2 is 5, and must be 0 to 2, the index of one of the 3 classes a, b, c, or -1 where"),
    (dict(train_y=[0, 1, -2, 0, 1, 2], class_names=("a", "b", "c")), r"its training labels: row 2 is -2, and must be"),
    (dict(test_y=[0, 1, 2, 0, 1, 3], class_names=("a", "b", "c")), r"its test labels: row 5 is 3, and must be"),
    (dict(train_y=["a", "b", "d", "a", "b", "c"], class_names=("a", "b", "c")), r"its training labels: row 2 is d, "),
    (dict(train_y=Y, class_names=("a", "b")), r"its training labels: row 2 is 2, and must be 0 to 1, the index of"),
    (dict(train_y=np.eye(6)), r"its training labels: are 6 x 6, and must be one label a row; of one-hot rows take the"),
    (dict(train_y=Y[:, None]), r"its training labels: are 6 x 1, and must be one label a row"),
    (dict(train_y=[0, 1, 0.5, 0, 1, 2]), r"its training labels: row 2 is 0.5, and must be a whole number or a name"),
    (dict(train_y=Y[:4]), r"its training labels: are 4, for 6 examples"),
    (dict(test_y=Y[:4]), r"its test labels: are 4, for 6 examples"),
    (dict(class_names=("a", "b", "a")), r"names the class a twice"),
    (dict(train_x=X[:0], train_y=[]), r"has no training examples"),
    (dict(test_x=X[:, :2]), r"its test examples are 2, its training examples 3"),
    (dict(train_x=GREY, test_x=GREY[:, :3]), r"its test examples are 3 x 5 x 1, its training examples 4 x 5 x 1"),
    (dict(train_x=GREY, test_x=GREY / 255.0), r"its test images have the type float32, its training images uint8"),
    (dict(train_x=changed(X, (4, 1), np.nan)), r"its training examples: row 4, column 1 is nan, and must be a finite"),
    (dict(test_x=changed(X, (5, 2), -np.inf)), r"its test examples: row 5, column 2 is -inf, and must be a finite"),
    (dict(train_x=changed(GREY / 255.0, (3, 1, 2), np.nan)), r"row 3, pixel 1, 2 is nan, and must be a finite"),
    (dict(train_x=GREY / 1.0), r"row 0, pixel 0, 0, 0 is \d+, and must lie between 0 and 1; whole numbers of 0 to 255"),
    (dict(train_x=changed(GREY.astype(int), (2, 0, 0), 256)), r"row 2, pixel 0, 0, 0 is 256, and must lie between"),
    (dict(train_x=np.full((6, 3), "x")), r"its training examples: have the type <U1, and must be numbers"),
    (dict(train_x=X.astype(complex)), r"have the type complex64|have the type complex128"),
    (dict(train_x=X[:, 0]), r"its training examples: have the shape 6, and must be rows of numbers"),
    (dict(train_x=np.zeros((6, 0))), r"have the shape 6 x 0, and must be"),
    (dict(train_x=np.zeros((6, 2, 2, 2, 2))), r"have the shape 6 x 2 x 2 x 2 x 2, and must be")])
def test_what_cannot_be_understood_is_one_line(given, line):
    with pytest.raises(errors.UserError, match=rf"^dataset=own[:,] .*{line}") as caught:
        made(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("x", "dtype", "unit"), [
    (GREY, np.uint8, 255), (GREY[..., None], np.uint8, 255), (GREY.astype(np.int64), np.uint8, 255),
    (np.stack([GREY] * 4, -1), np.uint8, 255), ((GREY > 99), np.uint8, 255),
    (GREY.astype(np.uint16) * 257, np.float32, 1), (GREY / 255, np.float32, 1),
    ((GREY / 255).astype(np.float32), np.float32, 1)])
def test_images_of_every_type_come_to_the_same_pixels(x, dtype, unit):
    source = made(train_x=x)
    assert source.is_image
    assert source.train_x.dtype == dtype
    expected = ((GREY > 99) * 1.0 if x.dtype == bool else GREY / 255)[..., None]
    pixels = splits.split(source, Config(num_labels="6")).prepared(source.train_x)[0].reshape(source.train_x.shape)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, source.train_x.shape), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8,
                                   np.uint32, bool])
def test_vectors_of_every_type_keep_their_values(dtype):
    x = (100 * RNG.normal(size=(6, 3))).astype(dtype)
    found = made(train_x=x)
    assert not found.is_image
    np.testing.assert_array_equal(found.train_x, x)
    assert found.train_x.dtype in (np.float32, np.float64)


def test_large_whole_numbers_are_not_rounded():
    x = 2**40 + np.arange(18).reshape(6, 3)
    np.testing.assert_array_equal(made(train_x=x).train_x, x)


def test_an_empty_test_set_is_none():
    for empty in ([], np.zeros((0, 3)), X[:0]):
        found = made(test_x=empty, test_y=[])
        assert found.test_x.shape == (0, 3)
        assert found.test_y.shape == (0,)


ROWS = 200_000


def columns(kind):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(ROWS, 1))
    return {"far": 10_000 + noise, "tiny": 1e-9 * noise, "huge": 1e20 * noise, "skewed": np.exp(4 * noise),
            "sorted": np.sort(noise, 0), "far and huge": 1e20 * (10_000 + noise), "time": 1.7e9 + 0.1 * noise,
            "rare": (rng.uniform(size=(ROWS, 1)) < 1e-4) * 1.0, "below": -10_000 + noise,
            "subnormal": 1e-310 * noise, "ten million": 1e7 + rng.integers(0, 5, (ROWS, 1)).astype(float)}[kind]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["far", "tiny", "huge", "skewed", "sorted", "far and huge", "time", "rare", "below",
                                  "ten million"])
def test_columns_come_to_mean_0_and_variance_1(kind, dtype):
    x = columns(kind).astype(dtype)
    if x.std(dtype=np.float64) == 0:
        pytest.skip("constant in this type")
    found = building.split(Config(num_labels="0"), Source("own", x, np.full(ROWS, -1), x, np.full(ROWS, -1)))
    seen = found.prepared(x)[0].astype(np.float64)
    assert abs(seen.mean()) < 1e-4
    assert abs(seen.std() - 1) < 1e-3


@pytest.mark.parametrize("value", [0.0, 3.0, -1e20, 1e-30, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_is_constant_in_training_keeps_its_scale(value, dtype):
    x = np.full((1000, 2), value, dtype)
    x[:, 1] = RNG.normal(size=1000)
    test = x[:2].copy()
    test[1, 0] = value + 0.5
    found = building.split(Config(num_labels="0"), Source("own", x, [-1] * 1000, test, [-1, -1]))
    assert np.abs(found.prepared(x)[0][:, 0]).max() < 1e-3 * max(abs(value), 1)
    if abs(value) < 1e10:
        np.testing.assert_allclose(found.prepared(test)[0][1, 0], 0.5, atol=1e-3)


def test_a_column_below_the_smallest_number_stays_finite():
    x = columns("subnormal")
    found = building.split(Config(num_labels="0"), Source("own", x, [-1] * ROWS, x, [-1] * ROWS))
    assert np.isfinite(found.prepared(x)[0]).all()


def partly_known(known=0.3, num_classes=3, count=120):
    rng = np.random.default_rng(2)
    y = np.where(rng.uniform(size=count) < known, np.arange(count) % num_classes, UNKNOWN)
    return Source("own", rng.normal(size=(count, 2)), y, rng.normal(size=(9, 2)), [0, 1, 2, -1, -1, -1, 0, 1, 2],
                  ("a", "b", "c"))


@pytest.mark.parametrize("num_labels", ["9", "all"])
@pytest.mark.parametrize("num_valid", [0, 6])
def test_unknown_labels_are_chosen_for_nothing(num_labels, num_valid):
    source = partly_known()
    found = splits.split(source, Config(num_labels=num_labels, num_valid=num_valid))
    for part in (found.labelled, found.valid):
        assert np.all(part.y != UNKNOWN)
    known = int(np.sum(source.train_y != UNKNOWN))
    assert len(found.labelled) == (9 if num_labels == "9" else known - num_valid)
    assert len(found.unlabelled) == len(source.train_y) - num_valid
    assert np.all(found.hidden.known.y != UNKNOWN)
    assert len(found.hidden.known) == known - num_valid - len(found.labelled)
    assert len(found.test.known) == 6


def test_more_labels_than_are_known_is_one_line():
    source = partly_known()
    known = int(np.sum(source.train_y != UNKNOWN))
    with pytest.raises(errors.UserError, match=rf"^num_labels=60: own has only {known} examples whose labels are"):
        splits.split(source, Config(num_labels="60"))


def test_without_any_label_there_is_nothing_to_choose():
    source = made(train_y=[-1] * 6)
    with pytest.raises(errors.UserError, match=r"^num_labels=3: own has no labels; use --num_labels=0"):
        splits.split(source, Config(num_labels="3"))
    found = splits.split(source, Config(num_labels="0", num_valid=2))
    assert (len(found.labelled), len(found.valid), len(found.unlabelled)) == (0, 2, 4)


def test_what_is_said_of_a_split_counts_the_unknown_labels():
    found = splits.split(partly_known(), Config(num_labels="9"))
    unknown = int(np.sum(found.unlabelled.y == UNKNOWN))
    assert splits.describe(found).endswith(f"; {unknown} of the unlabelled have labels that nobody knows")


def test_names_of_labels_are_read_once():
    assert labels.names_of([1, 2, -1], "labels").tolist() == ["1", "2", None]
    assert arrays.shown((2, 3)) == "2 x 3"


@pytest.mark.parametrize(("dataset", "count", "sums"), [
    ("digits", "50", (834681760, 2977774717, 2250008932)), ("mnist5k", "100", (1785792829, 164047634, 1965714088)),
    ("moons", "6", (1076127139, 494844524, 2145718225))])
def test_a_split_has_the_labels_that_it_had_in_every_version(dataset, count, sums):
    """Published differences are over splits by number, from versions 0.1.0 on."""
    for (split_seed, num_valid), expected in zip(((0, 0), (1, 0), (0, 20)), sums, strict=True):
        config = Config(dataset=dataset, num_labels=count, split_seed=split_seed, num_valid=num_valid)
        chosen = np.sort(splits.split(catalogue.load(dataset), config).labelled.index)
        assert zlib.crc32(chosen.astype("<i8").tobytes()) == expected
