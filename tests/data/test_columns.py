"""What a column is taken for, and what is said of it."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from adgm_tf.data import cells, columns
from adgm_tf.data.columns import CATEGORY, LEFT_OUT, NUMBER, TEXT
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

ROWS = 200
RNG = np.random.default_rng(0)
SENTENCES = [" ".join(RNG.choice(["a", "long", "story", "of", "many", "words"], 8)) for _ in range(ROWS)]


def inferred(values, name="c", labels=None, **options):
    frame = pd.DataFrame({name: values, "other": np.arange(len(values)) * 0.7 % 3})
    return columns.infer(frame, ReadOptions(**options), labels)[0]


@pytest.mark.parametrize(("values", "kind"), [
    (RNG.normal(size=ROWS), NUMBER), (RNG.integers(0, 50, ROWS), NUMBER), (RNG.integers(1, 4, ROWS), NUMBER),
    (RNG.integers(0, 2, ROWS), CATEGORY), (RNG.integers(0, 2, ROWS).astype(bool), CATEGORY),
    (RNG.choice(["red", "blue"], ROWS), CATEGORY), (RNG.choice(["1", "2", "x"], ROWS), CATEGORY),
    (RNG.choice(["007", "012", "100"], ROWS), CATEGORY), (RNG.choice(["0.5", "0", "10.25"], ROWS), NUMBER),
    (RNG.normal(size=ROWS).astype(str), NUMBER), (SENTENCES, TEXT), (SENTENCES[:3] * (ROWS // 2), CATEGORY),
    (np.arange(ROWS), LEFT_OUT), (RNG.permutation(ROWS) + 5000, LEFT_OUT),
    ([f"u{i}" for i in range(ROWS)], LEFT_OUT), (np.full(ROWS, 3.0), LEFT_OUT), ([""] * ROWS, LEFT_OUT),
    ([None] * ROWS, LEFT_OUT), (["same"] * (ROWS - 1) + [""], LEFT_OUT), (10_000 + RNG.normal(size=ROWS), NUMBER),
    (1_000_000 * np.arange(ROWS), NUMBER)])
def test_what_a_column_is_taken_for(values, kind):
    as_text = pd.Series(values).map(lambda value: "" if value is None else str(value))
    for given in (values, as_text):
        assert inferred(given).kind == kind


def test_a_key_by_its_name_may_be_spread_out():
    assert inferred(1_000_000 * np.arange(ROWS), "customer_id").kind == LEFT_OUT
    assert inferred(1_000_000 * np.arange(ROWS), "customer_id", numeric_columns=("customer_id",)).kind == NUMBER


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "Int64", "Float64", "object"])
def test_numbers_of_every_type_are_the_same_numbers(dtype):
    values = pd.Series(RNG.integers(0, 50, ROWS)).astype(dtype)
    found, wrong = cells.numbers(values)
    np.testing.assert_array_equal(found, values.astype(float))
    assert not wrong.any()
    assert inferred(values).kind == NUMBER


@pytest.mark.parametrize(("given", "number"), [
    ("12", 12), (" -1.5e3 ", -1500), ("+.5", 0.5), ("5.", 5), ("", np.nan), ("NA", np.nan), ("?", np.nan),
    (None, np.nan),
    (decimal.Decimal("0.1"), 0.1), (True, 1), ("inf", np.inf), ("-Infinity", -np.inf), (7, 7)])
def test_cells_that_are_numbers(given, number):
    found, wrong = cells.numbers(pd.Series([given, "1.5"], dtype=object))
    np.testing.assert_array_equal(found, [number, 1.5])
    assert not wrong.any()


@pytest.mark.parametrize("given", ["1_000", "1,5", "12 kg", "0x10", "\u0661\u0662", "1e", "--1", "1 2"])
def test_cells_that_are_no_numbers(given):
    found, wrong = cells.numbers(pd.Series([given, "1.5"], dtype=object))
    assert wrong.tolist() == [True, False]
    assert np.isnan(found[0])


def test_the_word_of_a_number_does_not_depend_on_its_type():
    for values in ([1, 2, None], [1.0, 2.0, np.nan], ["1", "2", ""], pd.Series([1, 2, None], dtype="Int64")):
        assert cells.words(pd.Series(values)).tolist() == ["1", "2", None]


@pytest.mark.parametrize(("values", "option", "kind"), [
    (RNG.integers(1, 4, ROWS), "categorical_columns", CATEGORY), (SENTENCES, "categorical_columns", CATEGORY),
    (["one two"] * ROWS, "text_columns", TEXT), (np.arange(ROWS), "numeric_columns", NUMBER),
    (np.full(ROWS, 3.0), "numeric_columns", NUMBER), (SENTENCES, "ignore_columns", LEFT_OUT),
    ([[1], [2]] * (ROWS // 2), "ignore_columns", LEFT_OUT), (["2024-01-05"] * ROWS, "ignore_columns", LEFT_OUT),
    ([f"u{i}" for i in range(ROWS)], "id_column", LEFT_OUT)])
def test_a_named_column_is_what_it_is_named(values, option, kind):
    found = inferred(values, **{option: "c" if option == "id_column" else ("c",)})
    assert found.kind == kind
    assert option in found.why


def test_how_many_cells_are_missing_and_values_different_is_counted():
    found = inferred(["a", "b", "", None, "NA", " a "] * 5)
    assert (found.missing, found.distinct) == (15, 2)
    found = inferred([1.5, 2.5, np.nan, 1.5] * 5)
    assert (found.missing, found.distinct) == (5, 2)


DATES = ["2024-01-05", "2024-02-05 10:30:00", "2023-12-31T23:59:59Z"]


@pytest.mark.parametrize("values", [
    DATES * 9, ["5/1/2024", "06/12/23", ""] * 9, ["1.5.2024", "2.5.2024"] * 9, ["10:30", "23:59:59"] * 9,
    pd.to_datetime(["2024-01-05", None, "2024-03-05"] * 9), pd.to_timedelta([1, 2, 3] * 9, unit="h"),
    [datetime.date(2024, 1, d) for d in range(1, 28)]])
def test_dates_are_refused_by_name(values):
    line = r"^column when: row 0 is .*, a date or a time; leave it out with ignore_columns=when, or turn it into num"
    with pytest.raises(errors.UserError, match=line) as caught:
        inferred(values, "when")
    assert "\n" not in str(caught.value)


def test_a_date_among_words_is_a_word():
    assert inferred(["2024-01-05", "red", "blue", "green"] * 9).kind == CATEGORY


@pytest.mark.parametrize(("values", "options", "line"), [
    ([*RNG.normal(size=ROWS).astype(str), "many"], {}, rf"^column c: row {ROWS} is many, and nearly all others"),
    (["1,5", "2,75", "3,0"] * 9, {}, r"^column c: row 0 is 1,5, with a decimal comma; write numbers with a point"),
    ([[1, 2], [3]] * 9, {}, r"^column c: holds lists or other compounds"),
    ([1.5, 2.5], dict(text_columns=("d",)), r"^text_columns=d: known: c, other"),
    ([1.5, 2.5], dict(text_columns=("c",), numeric_columns=("c",)), r"^text_columns=c: the column is also named as"),
    ([1.5, 2.5], dict(ignore_columns=("c", "other")), r"has no column to learn from; left out are c \(ignore")])
def test_a_column_that_cannot_be_understood_is_one_line(values, options, line):
    with pytest.raises(errors.UserError, match=line) as caught:
        inferred(values, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("values", "line"), [
    (np.full(ROWS, 3.0), "column c: constant in training, left out"),
    ([""] * ROWS, "column c: nothing but empty cells in training, left out"),
    (np.arange(ROWS), "column c: as unique as a key, left out; numeric_columns=c keeps it"),
    ([f"u{i}" for i in range(ROWS)], "column c: as unique as a key, left out; categorical_columns=c or text_col")])
def test_columns_that_say_nothing_are_said_aloud(values, line):
    assert inferred(values).remark.startswith(line)


def test_a_column_that_stands_for_the_label_is_said_aloud_and_kept():
    labels = np.array(["a", "b", "c", None], object)[np.arange(ROWS) % 4]
    codes = np.array([10, 20, 30, 10])[np.arange(ROWS) % 4]
    found = inferred(codes, labels=labels)
    assert found.kind == NUMBER
    assert found.remark.startswith("column c: stands for the label, one to one")
    for other in (np.where(np.arange(ROWS) == 0, 20, codes), np.arange(ROWS) % 4 // 2, RNG.normal(size=ROWS)):
        assert not inferred(other, labels=labels).remark
    assert not inferred(codes[:6], labels=labels[:6]).remark


def test_a_line_a_column_says_what_and_why():
    lines = columns.describe([inferred(RNG.integers(1, 4, ROWS), "grade"), inferred([*"ab", ""] * 9, "colour")])
    assert lines == ["grade: number (whole numbers of 3 values; categorical_columns=grade if they are codes), 3 "
                     "different values", "colour: category (words), 2 different values, 9 missing"]


def test_typed_columns_stay_what_they_are():
    frame = pd.DataFrame({"n": ["1", "", "2.5"], "c": [1.0, 2.0, np.nan], "t": ["a b c", None, "d e f"], "out": 0})
    found = columns.infer(frame, ReadOptions(categorical_columns=("c",), text_columns=("t",)))
    once = columns.typed(frame, found, "own")
    pd.testing.assert_frame_equal(columns.typed(once, found, "own"), once)
    assert list(once.columns) == ["n", "c", "t"]
    assert once["c"].tolist()[:2] == ["1", "2"]
    assert columns.typed(frame[["t", "c", "n"]], found, "own").equals(once)
