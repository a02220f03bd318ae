"""The operations of a table against NumPy's, on cells that people have."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from adgm_tf.data import cells, columns, preprocess
from adgm_tf.options import ReadOptions
from adgm_tf.runs.columns_graph import ColumnsGraph, input_names

ROWS = 400
WORDS = ("the", "cat", "über", "naïve", "CAFÉ", "ΣΑΣ", "İstanbul", "ß", "dog's", "x_y", "10", "²", "東京", "ﬁne",
         "e\u0301a", "мир", "Ⅻ", "a", "-", "…", "नमस्ते")


def frame(count=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    number = rng.normal(size=count)
    number[::7] = np.nan
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(count)]
    return pd.DataFrame({
        "Größe (m)": 10_000 + number, "colour": rng.choice(["red", "blue", "grün", None], count),
        "skewed": np.exp(3 * rng.normal(size=count)), "skewed down": -np.exp(2 * rng.normal(size=count)),
        "text": [None if i % 11 == 0 else text for i, text in enumerate(texts)], "constant": 1.0,
        "whole": np.floor(5 * rng.normal(size=count)), "class": rng.choice(["x", "y"], count),
        "far": 1e9 + rng.normal(size=count), "text ": [f"{i % 17} common words" for i in range(count)]})


OPTIONS = ReadOptions(text_columns=("text", "text "), max_words=20)


@pytest.fixture(scope="module")
def fitted():
    rows = frame()
    table = preprocess.fit(rows, columns.infer(rows, OPTIONS), OPTIONS)
    return table, ColumnsGraph(table)


def as_inputs(graph, rows):
    """The cells of rows as the inputs take them."""
    return {name: tf.constant(rows[column].to_numpy(np.float64) if graph.specs[name].dtype == tf.float64
                              else rows[column].fillna("").to_numpy(object))
            for column, name in graph.names.items()}


def as_cells(graph, rows):
    """The same as words of a CSV file."""
    return {name: tf.constant(["" if pd.isna(v) else repr(v) if isinstance(v, float) else str(v)
                               for v in rows[column].tolist()], tf.string) for column, name in graph.names.items()}


def test_other_spellings_of_a_category():
    """1 as 1.0 or as true, where training had it as one of these: as NumPy has it."""
    rows = pd.DataFrame({"flag": ["0", "1"] * 30, "code": ["3", "4", "07"] * 20, "truth": ["False", "True"] * 30})
    table = preprocess.fit(rows, columns.infer(rows, ReadOptions(categorical_columns=("flag", "code", "truth"))),
                           ReadOptions())
    graph = ColumnsGraph(table)
    new = pd.DataFrame({"flag": ["0.0", "TRUE", "1", "yes"], "code": ["3.0", "4", "7", "07"],
                        "truth": ["0", "1.0", "true", "no"]}, dtype="str")
    assert_same(table, graph, new)
    assert table.prepared(new)[0][:, :2].argmax(1).tolist()[:3] == [0, 1, 1]


def assert_same(table, graph, rows):
    expected = table.prepared(rows)
    inputs = as_inputs(graph, rows)
    assert {name: (v.dtype, v.shape.rank) for name, v in inputs.items()} == {
        name: (spec.dtype, 1) for name, spec in graph.specs.items()}
    for given in (inputs, graph.parsed(as_cells(graph, rows))):
        found = tf.function(graph.prepared, autograph=False)(given)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == tf.float32
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    return expected


def test_training_rows(fitted):
    table, graph = fitted
    seen, _, observed = assert_same(table, graph, frame())
    assert seen.shape[1] == table.seen_dim
    assert 0 < observed.mean() < 1


@pytest.mark.parametrize("seed", range(1, 4))
def test_new_rows(fitted, seed):
    assert_same(*fitted, frame(seed=seed))


CHANGES = {
    "unseen categories": lambda f: f.assign(colour=["violet", "Red", "красный", ""] * (len(f) // 4), **{"class": "z"}),
    "blanks around": lambda f: f.assign(colour=["\u00a0red\u3000", "\t blue\n", " NA ", "\u2003"] * (len(f) // 4)),
    "words for missing": lambda f: f.assign(**{column: (sorted(cells.MISSING) * len(f))[: len(f)]
                                               for column in ("colour", "text")}),
    "empty text": lambda f: f.assign(text=["", " ", "…", "_", "unknown words"] * (len(f) // 5)),
    "words that return": lambda f: f.assign(text=["the the the cat"] * len(f)),
    "long text": lambda f: f.assign(text=" ".join(WORDS * 200)),
    "all missing": lambda f: f.assign(**dict.fromkeys(f.columns, None)).astype(
        {c: float for c in f.columns if f[c].dtype == float}),
    "huge": lambda f: f.assign(skewed=[1e149, -1e149, 1e30, -1e-300] * (len(f) // 4), far=-1e149, whole=1e20),
    "no row": lambda f: f[:0],
    "one row": lambda f: f[3:4]}


@pytest.mark.parametrize("change", CHANGES)
def test_other_cells(fitted, change):
    assert_same(*fitted, CHANGES[change](frame()))


@pytest.mark.parametrize("kept", [["Größe (m)", "far"], ["colour", "class"], ["text"], ["colour", "skewed"]])
def test_tables_of_fewer_kinds(kept):
    rows = frame()[kept]
    options = ReadOptions(text_columns=("text",) if "text" in kept else ())
    table = preprocess.fit(rows, columns.infer(rows, options), options)
    graph = ColumnsGraph(table)
    assert list(graph.names) == kept
    assert_same(table, graph, rows)


def test_the_way_back_is_numpys(fitted):
    table, graph = fitted
    _, described, _ = table.prepared(frame())
    noise = np.random.default_rng(5).normal(size=described.shape).astype(np.float32)
    noise[0] = 1e6
    for given in (described, described + 0.3 * noise, noise):
        found, expected = graph.inverse(tf.constant(given)), table.inverse(given)
        assert [column for column, name in graph.names.items() if name in found] == list(expected.columns)
        for column, name in graph.names.items():
            if found[name].dtype == tf.string:
                assert [v.decode() for v in found[name].numpy()] == expected[column].tolist()
            else:
                np.testing.assert_allclose(found[name], expected[column].to_numpy(np.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200])
def test_what_numpy_refuses_is_refused_by_its_column(fitted, value):
    _, graph = fitted
    given = as_inputs(graph, frame()[:3]) | {graph.names["skewed"]: tf.constant([1.0, value, 2.0], tf.float64)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="column skewed: must be a finite number of at most 1e"):
        graph.prepared(given)


@pytest.mark.parametrize("word", ["much", "1_000", "1,5", "٣", "0x10", "1 2", "inf"])
def test_cells_that_are_no_number_are_refused_by_their_column(fitted, word):
    _, graph = fitted
    given = as_cells(graph, frame()[:3]) | {graph.names["far"]: tf.constant(["1", word, ""])}
    with pytest.raises(tf.errors.InvalidArgumentError, match="column far: must be a"):
        graph.prepared(graph.parsed(given))


@pytest.mark.parametrize("word", ["1", "-1.5e3", "+.5", "7.", " 12 ", "1E2", "NA", "nan", "?", ""])
def test_cells_are_the_numbers_that_a_csv_file_has(fitted, word):
    table, graph = fitted
    rows = frame()[:1]
    found = graph.prepared(graph.parsed(as_cells(graph, rows) | {"far": tf.constant([word])}))
    np.testing.assert_allclose(found[0], table.seen(rows.assign(far=[word])), atol=1e-5)


def test_bytes_that_are_no_utf8_are_no_category(fitted):
    table, graph = fitted
    given = as_inputs(graph, frame()[:1])
    given |= {"colour": tf.constant([b"\xff\xfe"]), "text": tf.constant([b"cat \xff the"])}
    seen = graph.prepared(given)[0].numpy()[0]
    names = dict(zip(table.seen_names, seen, strict=True))
    assert names["colour is another"] == 1
    assert names["text: cat"] > 0


def test_names_of_inputs_are_identifiers_and_differ():
    odd = ["age", "Age", "Größe (m)", "Gr__e (m)", "1st", "_x", "", "class", "a b", "a_b", "a-b", "東京", "x" * 300]
    names = input_names(odd)
    assert list(names) == odd
    assert len(set(names.values())) == len(odd)
    assert all(name.isidentifier() and name.isascii() and name[0] != "_" for name in names.values())
    assert (names["age"], names["class"], names["a_b"]) == ("age", "column_class", "a_b_2")
    assert (names["Größe (m)"], names["Gr__e (m)"], names["1st"]) == ("Gr_e_m", "Gr_e_m_2", "column_1st")


def test_typical_row_is_one_that_the_graph_takes(fitted):
    _, graph = fitted
    row = graph.typical()
    assert {k: (v.shape, tf.as_dtype(v.dtype if v.dtype != object else tf.string)) for k, v in row.items()} == {
        k: ((1,), spec.dtype) for k, spec in graph.specs.items()}
    seen = graph.prepared({k: tf.constant(v) for k, v in row.items()})[0].numpy()
    assert np.isfinite(seen).all()
    assert seen.any()


def test_a_saved_table_answers_the_same(fitted, tmp_path):
    table, graph = fitted
    module = tf.Module()
    module.tables = graph.tables
    module.prepared = tf.function(graph.prepared, [graph.specs], autograph=False)
    tf.saved_model.save(module, str(tmp_path))
    inputs, expected = as_inputs(graph, frame(seed=9)), table.prepared(frame(seed=9))
    for one, other in zip(tf.saved_model.load(str(tmp_path)).prepared(inputs), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
