"""Cells and labels as people write them, at the sizes that they have."""

import numpy as np
import pandas as pd
import pytest

from adgm_tf.data import categorical, columns, own, tables
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

RNG = np.random.default_rng(0)


def test_the_type_category_is_taken_at_its_word_but_for_keys_and_texts():
    frame = pd.DataFrame({
        "k": pd.Categorical(1000 * (np.arange(60) % 3)), "n": RNG.normal(size=60), "id": pd.Categorical(range(60)),
        "text": pd.Categorical([f"a text of row {i}" for i in range(60)])})
    assert [c.kind for c in columns.infer(frame, ReadOptions())] == [
        columns.CATEGORY, columns.NUMBER, columns.LEFT_OUT, columns.TEXT]


def test_the_last_of_many_rows_may_be_short(tmp_path):
    """60,000 rows sorted by their label, most labels empty, a blank line, and a cell longer than csv's own limit."""
    lines = [f"{i},word,{'a' if i < 40 else 'b' if i < 80 else ''}" for i in range(60_000)]
    lines[70] = f"70,{'long ' * 40_000},b"
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["n,text,label", *lines, "   ", ""]))
    assert len(tables.read("csv", str(path), "d")) == 60_000
    assert sum(map(len, tables.blocks("csv", str(path), "d", 7000))) == 60_000
    path.write_text("\n".join(["n,text,label", *lines[:-1], "", "59999,word", ""]))
    for read in (lambda: tables.read("csv", str(path), "d"), lambda: list(tables.blocks("csv", str(path), "d", 7000))):
        with pytest.raises(errors.UserError, match=r"^d: row 59999 has 2 cells, for the 3 columns"):
            read()


def test_categories_of_many_rows_in_any_order(tmp_path):
    """60,000 cells, sorted and skewed, some missing and some new: each has the place of its own word."""
    words = np.sort(RNG.choice(["0", "1", "10", "1.5", "-1"], 60_000, p=[0.9, 0.05, 0.03, 0.01, 0.01]))
    part = categorical.Categories("c", ("-1", "0", "1", "1.5", "10"))
    cells_of = pd.Series(words).replace({"0": "0.0", "10": "10.0"})
    cells_of[::100], cells_of[1::100] = None, "2"
    places = part.seen(pd.DataFrame({"c": cells_of.astype("str")})).argmax(1)
    expected = np.array([part.values.index(word) for word in words])
    expected[::100], expected[1::100] = 6, 5
    np.testing.assert_array_equal(places, expected)
    assert part.unknown(pd.DataFrame({"c": cells_of.astype("str")})) == 600


@pytest.mark.parametrize("values", [("1234567890123456789", "1234567890123456788"), ("1", str(2**53 + 1))])
def test_labels_of_many_digits_keep_them(values):
    for given in (np.array(values), pd.Series(values), np.array([*map(int, values)], object)):
        assert own.label_names(given, "", "y").tolist() == list(values)
