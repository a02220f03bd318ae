"""Files of one's own: read as they are meant, and one line for each that cannot be."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from adgm_tf.config import Config
from adgm_tf.data import catalogue, own, preprocess, prior, splits, tables
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

RNG = np.random.default_rng(0)
COUNT = 40
FRAME = pd.DataFrame({
    "size": RNG.normal(size=COUNT).round(3),
    "colour": np.array(["red", "dark, \"blue\"", "grün"])[np.arange(COUNT) % 3],
    "label": np.array(["b", "a", ""])[(np.arange(COUNT) * 7) % 5 % 3]})


def config(num_labels="given", **given):
    made = Config(**given)
    object.__setattr__(made, "num_labels", num_labels)
    return made


def write(folder, text, name="own.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(path, kind="csv", **options):
    return catalogue.load(f"{kind}:{path}", options=ReadOptions(**options))


def of(frame, folder, name="own.csv", **options):
    frame.to_csv(folder / name, index=False)
    return load(folder / name, **options)


def same(one, other):
    pd.testing.assert_frame_equal(one.train_x, other.train_x)
    pd.testing.assert_frame_equal(one.test_x, other.test_x)
    np.testing.assert_array_equal(one.train_y, other.train_y)
    np.testing.assert_array_equal(one.test_y, other.test_y)
    assert one.class_names == other.class_names


@pytest.mark.parametrize("how", [
    dict(name="a.tsv", sep="\t"), dict(name="a.csv.gz"), dict(name="a.csv.bz2"), dict(sep=";"), dict(sep="|"),
    dict(encoding="utf-8-sig"), dict(lineterminator="\r\n"), dict(index=True), dict(quoting=1)])
def test_a_table_is_the_same_however_it_is_written(how, tmp_path):
    how = {"name": "a.csv", "index": False} | how
    path = tmp_path / how.pop("name")
    FRAME.to_csv(path, **how)
    same(load(path), of(FRAME, tmp_path, "plain.csv"))


def test_parquet_and_csv_are_the_same_rows(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    same(load(tmp_path / "a.parquet", "parquet"), load(tmp_path / "a.csv"))


def test_every_row_stays_with_its_label(tmp_path):
    source = of(FRAME, tmp_path)
    for x, y in ((source.train_x, source.train_y), (source.test_x, source.test_y)):
        assert len(x)
        np.testing.assert_array_equal(x["size"], FRAME["size"][x.index])
        names = np.array([*source.class_names, ""])[y]
        np.testing.assert_array_equal(names, FRAME["label"][x.index])
    assert set(source.train_x.index) | set(source.test_x.index) == set(range(COUNT))
    assert not set(source.train_x.index) & set(source.test_x.index)


def test_numbers_are_read_to_the_last_bit(tmp_path):
    values = np.concatenate([RNG.normal(size=200) * 10.0 ** RNG.integers(-30, 30, 200), [0.1, 1 / 3, 1e15 + 0.3]])
    source = of(pd.DataFrame({"n": values, "label": ["a", ""] + [""] * 201}), tmp_path, test_fraction=0.0)
    np.testing.assert_array_equal(source.train_x["n"], values)


def test_blank_cells_are_missing_and_blank_labels_unknown(tmp_path):
    path = write(tmp_path, "n,c,label\n1.5,u,a\n,u,\nNA,v,b\n4, ,nan\n5,?,-1\n6,v,a\n")
    source = load(path, test_fraction=0.0)
    assert source.train_x["n"].isna().tolist() == [False, True, True, False, False, False]
    assert source.train_x["c"].isna().tolist() == [False, False, False, True, True, False]
    assert source.train_y.tolist() == [0, UNKNOWN, 1, UNKNOWN, UNKNOWN, 0]


def test_a_single_column_keeps_its_empty_rows(tmp_path):
    path = write(tmp_path, "n\n1\n\n3\n\n5\n")
    assert tables.read("csv", str(path), "x")["n"].tolist() == ["1", "", "3", "", "5"]


@pytest.mark.parametrize(("cells", "classes"), [
    (["1.0", "2.0", "", "2.0"], ("1", "2")), (["1", "10", "9", ""], ("1", "9", "10")),
    (["01", "1", "0001", "001"], ("0001", "001", "01", "1")),
    (["True", "False", "", "True"], ("False", "True")), (["a", "-1", "b", "a"], ("a", "b"))])
def test_classes_are_the_labels_that_occur(cells, classes, tmp_path):
    source = of(pd.DataFrame({"n": [1.5, 2, 3, 4.5], "label": cells}), tmp_path, test_fraction=0.0)
    assert source.class_names == classes


@pytest.mark.parametrize("y", [pd.Series([1.0, np.nan, 2.0]), pd.Series([1, None, 2], dtype="Int64"),
                               pd.Series(["1", None, "2"]), pd.Series(["1", "", "2"], dtype="category"),
                               np.array(["1", "", "2"]), np.array([1, -1, 2]), pd.Series(["1", "no", "2"])])
def test_labels_of_every_type_come_to_the_same_names(y):
    assert own.label_names(y, "no", "labels").tolist() == ["1", None, "2"]


@pytest.mark.parametrize(("names", "taken"), [
    (["Class", "n", "y"], "y"), (["y", "target", "n"], "target"), (["n", "class", "label"], "label"),
    (["LABEL", "y"], "LABEL")])
def test_the_column_of_labels_is_guessed_and_said(names, taken):
    found, said = tables.label_column(names, ReadOptions(), "own")
    assert found == taken
    assert said == [f"labels: column {taken}"]
    assert tables.label_column(names, ReadOptions(label_column=names[0]), "own") == (names[0], [])


def test_a_word_may_mean_unknown(tmp_path):
    frame = FRAME.assign(label=FRAME.label.replace("", "so far"))
    same(of(frame, tmp_path, unlabelled_value="so far"), of(FRAME, tmp_path))
    assert "so far" in of(frame, tmp_path).class_names
    assert any("no cell" in remark for remark in of(FRAME, tmp_path, unlabelled_value="sofar").remarks)


def test_a_column_says_what_is_for_test(tmp_path):
    words = np.array(["train", "Test", "training", "unlabelled"])[np.arange(COUNT) % 4]
    for name, options in (("split", {}), ("part", dict(split_column="part"))):
        source = of(FRAME.assign(**{name: words}), tmp_path, **options)
        np.testing.assert_array_equal(source.test_x.index, np.flatnonzero(words == "Test"))
        assert name not in source.train_x.columns
        assert any(f"test set: column {name}" in remark for remark in source.remarks)


def test_a_column_named_split_that_says_other_things_is_one_like_any(tmp_path):
    source = of(FRAME.assign(split=RNG.normal(size=COUNT)), tmp_path)
    assert "split" in source.train_x.columns


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5])
def test_a_share_of_every_class_is_held_out_and_no_unknown_label(fraction):
    names = np.array(["a"] * 60 + ["b"] * 9 + ["c"] + [None] * 130, object)
    test = own.held_out(names, ReadOptions(test_fraction=fraction))
    for name, count in (("a", 60), ("b", 9), ("c", 1), (None, 130)):
        assert test[names == name].sum() == (0 if name is None else int(fraction * count))
    again, other = (own.held_out(names, ReadOptions(test_fraction=fraction, split_seed=s)) for s in (0, 1))
    np.testing.assert_array_equal(test, again)
    assert fraction == 0 or not np.array_equal(test, other)


LABELS = "n,label\n1.5,a\n2.5,b\n3,a\n"


@pytest.mark.parametrize(("text", "options", "line"), [
    ("", {}, r"dataset=csv:\S+: is empty, or has no column names"),
    ("n,label\n", {}, r"dataset=csv:\S+: has column names and no rows"),
    ("n,n,label\n1,2,a\n", {}, r"dataset=csv:\S+: has two columns 'n'"),
    ("n,,label\n1,2,a\n", {}, r"dataset=csv:\S+: column 2 has no name"),
    ("5.1,3.5,setosa\n4.9,3.0,setosa\n", {}, r"its first line names a column 5.1, which looks like a value"),
    ("1,7,1,label\n1,2,1,a\n", {}, r"its first line names a column 1, which looks like a value"),
    ("n,label\n1,a\n2,b,c\n", {}, r"cannot be read \(Expected 2 fields in line 3, saw 3"),
    ("n,m,label\n1,2,a,\n2,3,b,\n", {}, r"its rows have more cells than the first line has columns"),
    ("n,m,label\n1,2,a\n\n2,3\n4,5,\n", {}, r"row 1 has 2 cells, for the 3 columns of the first line"),
    ('n,label\n"1,a\n2,b\n', {}, r"cannot be read \(EOF inside string"),
    ("n,label\n1,ä\n".encode("latin-1"), {}, r"is not UTF-8 text \(byte 0xe4\)"),
    ("n,m\n1,2\n", {}, r"has no column label, class, target or y; .* its columns are n, m"),
    (LABELS, dict(label_column="lable"), r"^label_column=lable: did you mean label\?"),
    (LABELS, dict(split_column="part"), r"^split_column=part: known: n, label"),
    (LABELS, dict(split_column="label"), r"^split_column=label: is the column of labels"),
    (LABELS, dict(id_column="id"), r"^id_column=id: known: n"),
    (LABELS, dict(test_fraction=1.0), r"^test_fraction=1.0: must be at most 0.99"),
    ("n,label,p\n1,a,train\n2,b,dev\n", dict(split_column="p"), r"^split_column=p: row 1 is dev, and must be train or"),
    ("n,label,p\n1,a,train\n2,b,\n", dict(split_column="p"), r"^split_column=p: row 1 is empty, and must be"),
    ("n,label,split\n1,a,test\n2,b,test\n", {}, r"^split_column=split: has no row for training"),
    ("n,label\n1,0.5\n2,1\n", {}, r"its column label: row 0 is 0.5, and must be a whole number or a name"),
    ("n,label\n1.5,a\ninf,b\n", {}, r"row 1, column n is inf, and must be a finite number"),
    ("n,label\n1.5,a\n1e999,b\n", {}, r"row 1, column n is 1e999, and must be a finite number"),
    ("n,label\n1.5,a\nlong,b\n", dict(numeric_columns=("n",)), r"row 1, column n is long, and must be a number")])
def test_a_wrong_table_is_one_line(text, options, line, tmp_path):
    with pytest.raises(errors.UserError, match=line) as caught:
        load(write(tmp_path, text), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "line"), [
    ("csv:{0}/none.csv", "there is no such file"), ("csv:{0}", "there is no such file"),
    ("parquet:{0}/text", "cannot be read"), ("npz:{0}/text", "is no npz file"),
    ("npz:{0}/none", "there is no such file"),
    ("csv:https://a/b.csv", "must be a path of this machine"), ("cvs:a.csv", "known: .*csv:<file>")])
def test_what_is_no_such_file_is_one_line(name, line, tmp_path):
    write(tmp_path, "n,label\n1,a\n", "text")
    with pytest.raises(errors.UserError, match=f"^dataset=.*{line}") as caught:
        catalogue.load(name.format(tmp_path))
    assert "\n" not in str(caught.value)


# Labels as they are given.

def partly(counts, unknown=30):
    names = np.array([c for c, n in counts.items() for _ in range(n)] + [None] * unknown, object)
    order = np.random.default_rng(1).permutation(len(names))
    x = np.random.default_rng(2).normal(size=(len(names), 3))
    return own.made("own", x, names[order], np.zeros(len(names), bool), class_names=sorted(counts))


@pytest.mark.parametrize("num_labels", ["given", "auto"])
@pytest.mark.parametrize("num_valid", [0, 8])
def test_labels_given_are_used_as_they_are(num_labels, num_valid):
    source = partly({"a": 20, "b": 5, "c": 1})
    found = splits.split(source, config(num_labels, num_valid=num_valid))
    assert len(found.labelled) == 26 - num_valid
    assert len(found.unlabelled) == 56 - num_valid
    assert len(found.valid) == num_valid
    for part in (found.labelled, found.valid):
        assert np.all(part.y != UNKNOWN)
    assert set(found.labelled.y) == {0, 1, 2}


def test_classes_with_no_label_or_one_are_named():
    line = splits.describe(splits.split(partly({"a": 20, "b": 5, "c": 1, "d": 0}), config()))
    assert "labels as given: a 20, b 5, c 1, d 0; a class without a label: d; a class with one label: c" in line
    assert "class" not in splits.describe(splits.split(partly({"a": 20, "b": 5}), config())).partition("as given")[2]


def test_a_full_set_of_labels_leaves_nothing_unlabelled():
    found = splits.split(partly({"a": 20, "b": 5}, unknown=0), config())
    assert (len(found.labelled), len(found.unlabelled)) == (25, 0)


def test_a_number_of_labels_still_hides_the_others():
    source = partly({"a": 20, "b": 20}, unknown=0)
    assert len(splits.split(source, config("8")).labelled) == 8
    bundled = dataclasses.replace(source, own=False)
    with pytest.raises(errors.UserError, match=r"^num_labels=100: own has only 40"):
        splits.split(bundled, config("auto"))


@pytest.mark.parametrize(("counts", "given", "line"), [
    ({"a": 0}, {}, r"^num_labels=given: own has no label in its training part"),
    ({"a": 9}, {}, r"^num_labels=given: own has labels of one class only \(a\)"),
    ({"a": 3, "b": 2}, dict(num_valid=4), r"^num_valid=4: own has 5 labelled examples, .* at most 3 are free")])
def test_labels_that_teach_nothing_are_one_line(counts, given, line):
    with pytest.raises(errors.UserError, match=line):
        splits.split(partly(counts), config(**given))


def test_without_any_label_a_table_can_be_split_for_models_without_classes(tmp_path):
    source = of(FRAME.assign(label=""), tmp_path)
    found = splits.split(source, config("0"))
    assert (len(found.labelled), len(found.unlabelled), len(found.test)) == (0, COUNT, 0)


def test_the_examples_of_a_table_are_taken_as_those_of_an_array(tmp_path):
    found = splits.split(of(FRAME, tmp_path), config("4", num_valid=2))
    for part in (found.labelled, found.unlabelled, found.valid):
        assert len(part.x) == len(part.y)
        np.testing.assert_array_equal(part.take(part.y == 0).x["size"], part.x["size"].to_numpy()[part.y == 0])
        np.testing.assert_array_equal(part.drawn(2).x.columns, part.x.columns)
    assert found.x_shape == (2,)
    assert found.prepared(found.test.x)[0].shape == (len(found.test), found.seen_dim)
    assert found.x_dim == sum(width for _, width in found.blocks)
    assert not set(found.hidden.index) & set(found.labelled.index)


# Arrays in a file.

X, Y = RNG.normal(size=(20, 3)), np.arange(20) % 3


def stored(folder, **of_file):
    np.savez(folder / "own.npz", **of_file)
    return load(folder / "own.npz", "npz", test_fraction=0.0)


@pytest.mark.parametrize("y", [Y, np.array(["a", "b", "c"])[Y], np.array(["0", "1", "2"])[Y], Y.astype(float)])
def test_arrays_have_indices_or_names_for_labels(y, tmp_path):
    source = stored(tmp_path, x=X, y=y, names=np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(source.train_x, X)
    np.testing.assert_array_equal(source.train_y, Y)
    assert source.class_names == ("a", "b", "c")


def test_names_that_are_numbers_are_not_indices(tmp_path):
    source = stored(tmp_path, x=X, y=Y, names=np.array(["2", "1", "0"]))
    np.testing.assert_array_equal(source.train_y, Y)


def test_arrays_of_test_are_a_mask_or_arrays_of_their_own(tmp_path):
    mask = np.arange(20) % 4 == 0
    one = stored(tmp_path, x=X, y=Y, test=mask)
    other = stored(tmp_path, x_train=X[~mask], y_train=Y[~mask], x_test=X[mask], y_test=Y[mask])
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    np.testing.assert_array_equal(one.test_x, X[mask])
    assert stored(tmp_path, x=X).train_y.tolist() == [UNKNOWN] * 20


@pytest.mark.parametrize(("of_file", "line"), [
    (dict(y=Y), r"has no array x; its arrays are y"), (dict(x=X, y=Y[:9]), r"its labels: are 9, for 20 examples"),
    (dict(x=X, y=Y, test=np.zeros(9, bool)), r"its array test is 9 of type bool, and must be true or false for each"),
    (dict(x=X, y=Y, test=np.ones(20, bool)), r"its array test leaves no example for training"),
    (dict(x=X, y=Y, names=np.array(["a", "b"])), r"its labels: row 2 is 2, and must be 0 to 1, the index of one of"),
    (dict(x=X[:0], y=Y[:0]), r"has no examples"),
    (dict(x=X, x_test=X[:, :2]), r"its test examples are 2, its training"),
    (dict(x=np.array([None, "a"], object)), r"cannot be read \(.*; an array of objects must become"),
    (dict(x=X + np.where(np.arange(60).reshape(20, 3) == 13, np.inf, 0)), r"row 4, column 1 is inf, and must be")])
def test_wrong_arrays_are_one_line(of_file, line, tmp_path):
    with pytest.raises(errors.UserError, match=rf"^dataset=npz:\S+: .*{line}|^dataset=npz:\S+, .*{line}") as caught:
        stored(tmp_path, **of_file)
    assert "\n" not in str(caught.value)


# New rows.

def fitted(source):
    return splits.split(source, config("given")).spec.preprocess


def test_new_rows_are_those_of_training_in_their_order(tmp_path):
    source = of(FRAME, tmp_path, test_fraction=0.0)
    like = fitted(source)
    order = RNG.permutation(COUNT)
    new = FRAME.iloc[order][["label", "colour", "size"]].assign(more="x", id=[f"r{i}" for i in order])
    new.to_csv(tmp_path / "new.csv", index=False)
    new.to_parquet(tmp_path / "new.parquet")
    for path in ("new.csv", "new.parquet"):
        rows = catalogue.rows(str(tmp_path / path), like, ReadOptions(id_column="id"))
        np.testing.assert_array_equal(like.seen(rows.x), like.seen(source.train_x)[order])
        assert [name or "" for name in rows.names] == FRAME.label[order].tolist()
        assert rows.frame["id"].tolist() == new["id"].tolist()
    unlabelled = new.drop(columns="label")
    unlabelled.to_csv(tmp_path / "new.csv", index=False)
    assert catalogue.rows(f"csv:{tmp_path}/new.csv", like).names is None


def test_a_column_that_the_model_learnt_from_is_no_label_of_new_rows(tmp_path):
    like = fitted(of(FRAME.rename(columns={"size": "y"}), tmp_path))
    FRAME.rename(columns={"size": "y"}).drop(columns="label").to_csv(tmp_path / "new.csv", index=False)
    assert catalogue.rows(str(tmp_path / "new.csv"), like).names is None


def test_new_arrays_come_from_files_of_both_kinds(tmp_path):
    source = stored(tmp_path, x=X, y=Y)
    like = fitted(source)
    pd.DataFrame(X, columns=["p", "q", "r"]).assign(label=Y).to_csv(tmp_path / "new.csv", index=False)
    from_csv, from_npz = (catalogue.rows(str(tmp_path / name), like) for name in ("new.csv", "own.npz"))
    np.testing.assert_array_equal(from_csv.x, from_npz.x)
    assert from_csv.names.tolist() == from_npz.names.tolist() == [str(y) for y in Y]


@pytest.mark.parametrize(("text", "line"), [
    ("colour,n\nred,1\n", r"new.csv: has no column size; its columns are colour, n"),
    ("size,colour\n1,red\nabc,red\n", r"new.csv: row 1, column size is abc, and must be a number"),
    ("size,colour\n-inf,red\n", r"new.csv: row 0, column size is -inf, and must be a finite number"),
    ("size,colour\n", r"new.csv: has column names and no rows")])
def test_new_rows_that_do_not_fit_are_one_line(text, line, tmp_path):
    like = fitted(of(FRAME, tmp_path))
    with pytest.raises(errors.UserError, match=f"^input=.*{line}") as caught:
        catalogue.rows(str(write(tmp_path, text, "new.csv")), like)
    assert "\n" not in str(caught.value)


def test_new_arrays_that_do_not_fit_are_one_line(tmp_path):
    like = fitted(stored(tmp_path, x=X, y=Y))
    np.savez(tmp_path / "new.npz", x=X[:, :2])
    for text, name, line in ((None, "new.npz", "its examples are 2, those of training 3"),
                             ("a,b\n1,2\n", "new.csv", "has 2 columns of numbers, and the examples of training are 3"),
                             ("a,b,c\n1,2,\n", "new.csv", "row 0, column c is empty, and must be a number"),
                             ("a", "new.doc", r"must be a folder of pictures, or end in \.npz")):
        path = write(tmp_path, text, name) if text else tmp_path / name
        with pytest.raises(errors.UserError, match=f"^input=.*{line}"):
            catalogue.rows(str(path), like)
    table = fitted(of(FRAME, tmp_path))
    with pytest.raises(errors.UserError, match="the model learnt from a table"):
        catalogue.rows(str(tmp_path / "new.npz"), table)


# Cells and labels that are written in several ways.

@pytest.mark.parametrize(("train", "new"), [
    (("0", "1"), ("0.0", "1.0")), (("0", "1"), ("False", "true")), (("False", "True"), ("0", "1")),
    (("3", "4.0", "11"), ("3.0", "4", "11.0")), (("07", "7"), ("07", "7.0"))])
def test_a_category_is_the_same_however_it_is_written(train, new, tmp_path):
    rows = np.arange(60) % len(train)
    given = pd.DataFrame({"n": RNG.normal(size=60), "c": np.array(train)[rows], "label": rows})
    options = dict(categorical_columns=("c",), test_fraction=0.0)
    like = fitted(of(given, tmp_path, **options))
    given.assign(c=np.array(new)[rows]).to_csv(tmp_path / "new.csv", index=False)
    one, other = (like.prepared(catalogue.rows(str(tmp_path / name), like, ReadOptions()).x)
                  for name in ("own.csv", "new.csv"))
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)
    (part,) = like.categories
    assert len(part.values) == len(train)


def test_two_spellings_of_training_are_one_category(tmp_path):
    given = pd.DataFrame({"n": RNG.normal(size=60), "c": np.array(["0", "1", "0.0", "1.0"])[np.arange(60) % 4],
                          "label": np.arange(60) % 3})
    (part,) = fitted(of(given, tmp_path, categorical_columns=("c",), test_fraction=0.0)).categories
    assert part.values == ("0", "1")


# p(y).

def test_a_prior_is_uniform_or_smoothed_counts_or_given():
    y = np.array([0] * 7 + [2] + [UNKNOWN] * 50, np.int32)
    np.testing.assert_allclose(prior.probabilities("uniform", y, 3), np.full(3, 1 / 3))
    np.testing.assert_allclose(prior.probabilities("labels", y, 3), np.array([8, 1, 2]) / 11)
    np.testing.assert_allclose(prior.probabilities("labels", y[:0], 3), np.full(3, 1 / 3))
    np.testing.assert_allclose(prior.probabilities("0.5,0.25,0.25", y, 3), [0.5, 0.25, 0.25])


@pytest.mark.parametrize(("given", "line"), [
    ("0.5,0.5", "has 2 numbers, for 3 classes"), ("0.5,0.5,0", "must be above 0"), ("0.5,0.2,0.2", "their sum 1"),
    ("label", "must be uniform, labels, or a number a class"), ("nan,0.5,0.5", "must be above 0")])
def test_a_wrong_prior_is_one_line(given, line):
    with pytest.raises(errors.UserError, match=f"^class_prior={given}: .*{line}"):
        prior.probabilities(given, np.zeros(3, np.int32), 3)


def test_what_is_fitted_knows_no_row_of_test(tmp_path):
    frame = FRAME.assign(split=["test" if i < 8 else "train" for i in range(COUNT)])
    other = frame.assign(**{"size": np.where(np.arange(COUNT) < 8, 1e6, frame["size"])})
    one, two = (fitted(of(f, tmp_path)) for f in (frame, other))
    rows = pd.DataFrame({"size": [0.5], "colour": ["red"]})
    np.testing.assert_array_equal(one.seen(rows), two.seen(rows))
    assert isinstance(one, preprocess.Preprocess)
