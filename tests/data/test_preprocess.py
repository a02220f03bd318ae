"""What q sees and what p describes of rows, against plain NumPy; stored and found again."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import PowerTransformer, StandardScaler

from adgm_tf.data import columns, numeric, preprocess, words
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

ROWS = 60_000
RNG = np.random.default_rng(0)
TEXTS = ["The cat sat, the cat ran.", "A dog ran; the DOG barked!", "cat and dog, dog and cat", "über naïve CAFÉ café",
         "the über cat of 1984", "1984 was the year"]


def fitted(frame, **options):
    options = ReadOptions(**options)
    return preprocess.fit(frame, columns.infer(frame, options), options)


def small(count=60):
    rng = np.random.default_rng(3)
    number = rng.normal(size=count)
    number[::7] = np.nan
    return pd.DataFrame({
        "colour": rng.choice(["red", "blue", "green", None], count), "n": number, "size": 10 + rng.normal(size=count),
        "text": [TEXTS[i % 6] + f" row {i % 11}" if i % 9 else None for i in range(count)],
        "skewed": np.exp(3 * rng.normal(size=count)) * (rng.uniform(size=count) < 0.6),
        "grade": rng.choice(["x", "y"], count)})


OPTIONS = dict(text_columns=("text",))


def of_column(values):
    """The numbers fitted on a single column, and what q sees of it."""
    frame = pd.DataFrame({"c": np.asarray(values, np.float64)})
    found = numeric.fit(frame, ("c",))
    return found, found.seen(frame)[:, 0].astype(np.float64)


NOISE = RNG.normal(size=ROWS)
NUMBERS = {"normal": NOISE, "far from zero": 10_000 + NOISE, "very far": 1e9 + NOISE, "tiny": 1e-9 * NOISE,
           "huge": 1e100 * NOISE, "sorted": np.sort(NOISE), "skewed": np.exp(3 * NOISE),
           "skewed down": -np.exp(3 * NOISE),
           "skewed far away": 10_000 + np.exp(2 * NOISE), "skewed huge": 1e30 * np.exp(3 * NOISE),
           "mostly zeros": np.where(RNG.uniform(size=ROWS) < 0.9, 0, np.exp(NOISE)),
           "nearly only zeros": np.where(RNG.uniform(size=ROWS) < 0.999, 0, 1 + np.abs(NOISE)),
           "one far out": np.append(NOISE[1:], 1e8), "whole": np.floor(5 * NOISE)}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_come_to_mean_0_and_variance_1_in_their_order(kind):
    x = NUMBERS[kind]
    found, seen = of_column(x)
    assert abs(seen.mean()) < 1e-4
    assert abs(seen.std() - 1) < 1e-3
    order = np.argsort(x, kind="stable")
    assert np.all(np.diff(seen[order]) >= 0)
    wide = found.standardised(x[:, None])[:, 0]
    np.testing.assert_allclose(found.inverse(wide[:, None])[:, 0], x, rtol=1e-6, atol=1e-8 * np.abs(x).max())


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_skewed_are_straightened_and_no_others(kind):
    x = NUMBERS[kind]
    found, seen = of_column(x)
    before, after = (abs(np.mean(((v - v.mean()) / v.std()) ** 3)) for v in (x / np.abs(x).max(), seen))
    assert found.curved[0] == (before > numeric.SKEWED)
    if found.curved[0]:
        assert after < before / 1.1
    else:
        np.testing.assert_allclose(seen, (x - x.mean()) / x.std(), atol=1e-5)


def test_a_skewed_column_is_bent_as_yeo_and_johnson_bend_it():
    x = np.exp(RNG.normal(size=5000))
    found, seen = of_column(x)
    u = (x - x.min()) / np.median((x - x.min())[x > x.min()])
    theirs = PowerTransformer().fit(u[:, None])
    np.testing.assert_allclose(found.power[0], theirs.lambdas_[0])
    np.testing.assert_allclose(seen, theirs.transform(u[:, None])[:, 0], atol=1e-5)


@pytest.mark.parametrize("power", [-5.0, -1.0, -0.3, 0.0, 0.5, 1.0])
def test_bending_is_smooth_at_zero_and_goes_back(power):
    u = np.linspace(-3, 8, 2001)
    bent = numeric._bent(u, power)
    assert np.all(np.diff(bent) > 0)
    h = 1e-6
    slopes = np.diff(numeric._bent(np.array([-2 * h, -h, h, 2 * h]), power))[[0, 2]] / h
    np.testing.assert_allclose(slopes, [1, 1], atol=1e-4)
    np.testing.assert_allclose(numeric._straight(bent, power), u, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e20, 10_000.0])
def test_a_constant_column_keeps_its_scale(value):
    found, seen = of_column(np.full(1000, value))
    assert found.scale[0] == 1
    np.testing.assert_allclose(seen, 0, atol=1e-9 * max(abs(value), 1))
    np.testing.assert_allclose(found.standardised(np.array([[value + 0.5]])), 0.5, atol=1e-3 + 1e-9 * value)


def test_a_number_far_outside_training_stays_finite():
    for kind in ("normal", "skewed", "skewed down", "mostly zeros"):
        found, _ = of_column(NUMBERS[kind])
        for value in (1e149, -1e149, 1e30, -1e30):
            seen = found.seen(pd.DataFrame({"c": [value]}))
            assert np.isfinite(seen).all()
            assert np.isfinite(np.square(seen)).all()


def test_a_missing_number_is_at_the_median_and_indicated():
    x = np.append(np.exp(NOISE[:999]), [np.nan] * 201)
    found, _ = of_column(x)
    frame = pd.DataFrame({"c": x})
    seen = found.seen(frame)
    known = seen[:999]
    np.testing.assert_allclose(seen[999:, 0], np.median(known[:, 0]), atol=1e-6)
    np.testing.assert_array_equal(seen[:, 1], np.isnan(x))
    np.testing.assert_allclose(known[:, 0].mean(dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_array_equal(found.observed(frame)[:, 0], ~np.isnan(x))
    np.testing.assert_array_equal(found.described(frame)[:999], known[:, :1])
    assert not found.described(frame)[999:].any()
    assert of_column(x[:999])[0].seen(frame).shape == (1200, 1)


def test_what_p_describes_is_what_the_cells_say():
    frame = small()
    found = fitted(frame, **OPTIONS)
    described, observed = (pd.DataFrame(of(frame), columns=found.described_names)
                           for of in (found.described, found.observed))
    assert [name for name, _ in found.blocks] == ["gaussian", "categorical", "categorical", "bernoulli"]
    assert sum(width for _, width in found.blocks) == described.shape[1]
    for colour in ("red", "blue", "green"):
        np.testing.assert_array_equal(described[f"colour = {colour}"], frame.colour == colour)
        np.testing.assert_array_equal(observed[f"colour = {colour}"], frame.colour.notna())
    np.testing.assert_array_equal(observed["n"], frame.n.notna())
    np.testing.assert_array_equal(observed["text: cat"], frame.text.notna())
    np.testing.assert_array_equal(described["text: cat"], frame.text.fillna("").str.contains("cat"))
    assert not described.to_numpy()[observed.to_numpy() == 0].any()


def test_prepared_is_the_three_together():
    frame = small()
    found = fitted(frame, **OPTIONS)
    for one, other in zip(found.prepared(frame), (found.seen(frame), found.described(frame), found.observed(frame)),
                          strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float32
    assert found.seen(frame).shape == (60, found.seen_dim) == (60, len(found.seen_names))


def test_a_category_has_one_place_and_others_and_missing_theirs():
    frame = small()
    found = fitted(frame, **OPTIONS)
    new = frame.iloc[:4].assign(colour=["red", "violet", None, " blue "])
    seen = pd.DataFrame(found.seen(new), columns=found.seen_names)
    places = ["colour = blue", "colour = green", "colour = red", "colour is another", "colour is missing"]
    np.testing.assert_array_equal(seen[places], np.eye(5)[[2, 3, 4, 0]])
    observed = pd.DataFrame(found.observed(new), columns=found.described_names)
    assert observed["colour = red"].tolist() == [1, 0, 0, 1]


def test_only_the_most_frequent_categories_have_a_place():
    values = np.repeat(["often", "sometimes", "seldom", "hardly"], [50, 30, 10, 5])
    frame = pd.DataFrame({"c": values, "n": np.arange(95) * 0.7 % 3})
    found = fitted(frame, max_categories=2)
    seen = pd.DataFrame(found.seen(frame), columns=found.seen_names)
    np.testing.assert_array_equal(seen["c is another"], np.isin(values, ["seldom", "hardly"]))
    assert found.blocks == (("gaussian", 1), ("categorical", 2))


def test_text_is_tf_idf_as_scikit_learn_has_it():
    frame = pd.DataFrame({"t": TEXTS * 2})
    found = words.fit(frame, "t", 100)
    theirs = TfidfVectorizer(token_pattern=r"[^\W_]+", sublinear_tf=True, vocabulary=found.vocabulary).fit(frame.t)
    np.testing.assert_allclose(found.seen(frame), theirs.transform(frame.t).toarray(), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.seen(frame), axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found.share, found.described(frame).mean(0))


def test_words_are_letters_and_digits_of_any_script_in_small_letters():
    frame = pd.DataFrame({"t": ["Über_CAFÉ, 1984!", "über café 1984", "слово-слово", "слово x", "日本 x y"]})
    found = words.fit(frame, "t", 100)
    assert found.vocabulary == ("1984", "café", "über", "слово")
    np.testing.assert_array_equal(found.seen(frame)[0], found.seen(frame)[1])
    assert not found.seen(frame)[4].any()


def test_the_vocabulary_is_what_most_texts_have():
    frame = pd.DataFrame({"t": ["every often twice once"] + ["every often twice"] + ["every often"] * 3 + [
        "every", None]})
    assert words.fit(frame, "t", 100).vocabulary == ("often", "twice")
    assert words.fit(frame, "t", 1).vocabulary == ("often",)
    assert words.fit(pd.DataFrame({"t": ["!", "?"]}), "t", 9).vocabulary == ()


@pytest.mark.parametrize("x", [RNG.normal(size=(500, 3)) * [1, 5, 0.1], 10_000 + RNG.normal(size=(500, 2)),
                               RNG.integers(0, 256, (300, 4, 3, 1)).astype(np.uint8)])
def test_the_total_standard_deviation_is_that_of_what_q_sees(x):
    found = preprocess.fit(x, (), ReadOptions())
    np.testing.assert_allclose(found.total_stddev, np.sqrt(found.seen(x).astype(np.float64).var(0).sum()), rtol=1e-9)


def test_the_total_standard_deviation_of_a_table_is_that_of_all_its_blocks(monkeypatch):
    frame = small(500)
    whole = fitted(frame, **OPTIONS)
    expected = np.sqrt(whole.seen(frame).astype(np.float64).var(0).sum())
    np.testing.assert_allclose(whole.total_stddev, expected, rtol=1e-9)
    monkeypatch.setattr("adgm_tf.data.tabular.ROWS", 7)
    np.testing.assert_allclose(fitted(frame, **OPTIONS).total_stddev, whole.total_stddev, rtol=1e-9)


def test_arrays_are_seen_as_they_are_described():
    x = RNG.normal(size=(50, 3)) * 4 + 7
    found = preprocess.fit(x, (), ReadOptions())
    np.testing.assert_allclose(found.seen(x), StandardScaler().fit_transform(x), atol=1e-5)
    np.testing.assert_array_equal(found.described(x), found.seen(x))
    assert found.observed(x) is None
    assert found.prepared(x)[1:] == (None, None)
    assert found.blocks == (("gaussian", 3),)
    np.testing.assert_allclose(found.inverse(found.seen(x)), x, rtol=1e-5)
    images = RNG.integers(0, 256, (9, 4, 3, 1)).astype(np.uint8)
    of_images = preprocess.fit(images, (), ReadOptions())
    np.testing.assert_allclose(of_images.seen(images), images.reshape(9, 12) / 255, rtol=1e-6)
    assert of_images.blocks == (("bernoulli", 12),)
    with pytest.raises(errors.UserError, match="examples: are 2, and those of training 3"):
        found.seen(x[:, :2])


@pytest.mark.parametrize("x", [small(), small()[["n", "size"]], small()[["colour"]], RNG.normal(size=(50, 3)),
                               RNG.integers(0, 256, (9, 4, 3, 1)).astype(np.uint8)])
def test_what_is_stored_answers_the_same_bit_for_bit(x, tmp_path):
    found = fitted(x, **(OPTIONS if "text" in x else {})) if isinstance(x, pd.DataFrame) else preprocess.fit(
        x, (), ReadOptions())
    preprocess.save(found, tmp_path)
    again = preprocess.load(tmp_path)
    for one, other in zip(found.prepared(x), again.prepared(x), strict=True):
        assert one is other is None or one.tobytes() == other.tobytes()
    for name in ("total_stddev", "blocks", "seen_names", "described_names", "seen_dim"):
        assert getattr(again, name) == getattr(found, name)
    assert again.describe() == found.describe()
    described = found.described(x)
    np.testing.assert_array_equal(np.asarray(again.inverse(described)), np.asarray(found.inverse(described)))
    with np.load(tmp_path / "preprocess.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fb" for name in stored.files)


def test_what_is_fitted_is_there_in_simple_types():
    found = fitted(small(), **OPTIONS).to_arrays()
    assert {"numbers/power", "numbers/median", "categories/0/values", "texts/0/idf", "texts/0/vocabulary"} <= set(found)
    assert all(isinstance(value, np.ndarray | list | float | str) for value in found.values())
    json.dumps({key: value for key, value in found.items() if not isinstance(value, np.ndarray)})


def test_typical_rows_are_in_the_units_of_the_table():
    frame = small()
    found = fitted(frame, **OPTIONS)
    rows = found.inverse(found.described(frame))
    assert list(rows.columns) == list(frame.columns)
    there = frame.n.notna().to_numpy()
    np.testing.assert_allclose(rows.n[there], frame.n[there], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows["size"], frame["size"], rtol=1e-4)
    np.testing.assert_allclose(rows.skewed, frame.skewed, rtol=1e-2, atol=1e-5)
    known = frame.colour.notna()
    assert rows.colour[known].tolist() == frame.colour[known].tolist()
    assert "cat" in rows.text[1].split() or "dog" in rows.text[1].split()
    far = found.inverse(np.full((1, len(found.described_names)), 1e6))
    assert far["size"][0] == frame["size"].max()


def test_a_line_a_column_is_described():
    lines = fitted(small().assign(one=1), **OPTIONS).describe()
    assert len(lines) == 7
    assert "colour: category (words), 3 different values, " in lines[0]
    assert lines[0].endswith("; 3 categories: blue, green, red")
    assert lines[4].endswith("; skewed, straightened by a power")
    assert " words" in lines[3]
    assert lines[6] == "one: left out (constant)"


@pytest.mark.parametrize(("change", "line"), [
    (lambda f: f.drop(columns="n"), "has no column n; its columns are colour, size"),
    (lambda f: f.assign(n="much"), "row 0, column n is much, and must be a number"),
    (lambda f: f.assign(n=[1.0] * 59 + [np.inf]), "row 59, column n is inf, and must be a finite number"),
    (lambda f: f.assign(colour=[[1]] * 60), "column colour: holds lists or other compounds")])
def test_rows_that_do_not_fit_are_one_line(change, line):
    found = fitted(small(), **OPTIONS)
    with pytest.raises(errors.UserError, match=line) as caught:
        found.seen(change(small()))
    assert "\n" not in str(caught.value)


def test_rows_may_have_their_columns_in_any_order_and_more_of_them():
    frame = small()
    found = fitted(frame, **OPTIONS)
    other = frame[frame.columns[::-1]].assign(more=3)
    np.testing.assert_array_equal(found.seen(other), found.seen(frame))
    np.testing.assert_array_equal(found.seen(frame[7:8]), found.seen(frame)[7:8])
    assert found.seen(frame[:0]).shape == (0, found.seen_dim)


def test_a_table_that_says_nothing_is_one_line():
    frame = pd.DataFrame({"t": ["one two three", "four five six", "seven eight nine"]})
    with pytest.raises(errors.UserError, match=r"^dataset: no column says anything"):
        fitted(frame)


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "preprocess.npz").write_bytes(b"PK"), lambda folder: (folder / "preprocess.npz").unlink(),
    lambda folder: (folder / "preprocess.json").write_text("{"),
    lambda folder: (folder / "preprocess.json").write_text("{}"),
    lambda folder: (folder / "preprocess.json").write_text('{"format": 99}')])
def test_what_was_stored_and_is_damaged_is_one_line(damage, tmp_path):
    preprocess.save(fitted(small(), **OPTIONS), tmp_path)
    damage(tmp_path)
    with pytest.raises(errors.UserError, match="preprocess") as caught:
        preprocess.load(tmp_path)
    assert "\n" not in str(caught.value)
