"""Answers to the rows of a file: the same whatever the blocks and the files, in the order of the rows."""

import dataclasses

import numpy as np
import own
import pandas as pd
import pytest

from adgm_tf.data import tables
from adgm_tf.host import errors
from adgm_tf.runs import predicting
from adgm_tf.runs.predicting import Asked

PROBABILITIES = [f"probability_{name}" for name in own.CLASSES]
ANSWERS = ["class", *PROBABILITIES, "entropy_nats", "mutual_information_nats", "novelty"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def model(folder):
    return own.untrained(own.config(own.write(folder)))


@pytest.fixture(scope="module")
def new(folder):
    return own.write(folder, "new.csv", count=50, seed=1)


def predicted(model, source, target, **asked):
    said = predicting.predict(model, str(source), str(target), Asked(**asked))
    return pd.read_csv(target, keep_default_na=False) if target.suffix == ".csv" else said


def test_answers_are_those_of_the_model_row_by_row(model, new, tmp_path):
    found = predicted(model, new, tmp_path / "out.csv")
    given = pd.read_csv(new)
    assert list(found.columns) == ["key", *ANSWERS]
    assert found["key"].tolist() == given["key"].tolist()
    probs = model.predict_proba(given)
    np.testing.assert_allclose(found[PROBABILITIES], probs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[PROBABILITIES].sum(1), 1, atol=1e-6)
    assert found["class"].tolist() == model.predict(given).tolist()
    np.testing.assert_allclose(found["novelty"], model.novelty(given), rtol=1e-5)
    np.testing.assert_allclose(found["entropy_nats"], -(probs * np.log(probs)).sum(1), rtol=1e-4)


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_blocks_change_no_answer(model, new, tmp_path, monkeypatch, rows):
    whole = predicted(model, new, tmp_path / "whole.csv", target_accuracy=0.5)
    monkeypatch.setattr(predicting, "BLOCK_ROWS", rows)
    found = predicted(model, new, tmp_path / "blocks.csv", target_accuracy=0.5)
    assert found["class"].tolist() == whole["class"].tolist()
    for name in found.columns[2:]:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-4, atol=1e-6)


def test_memory_holds_a_block_of_a_long_file(model, tmp_path, monkeypatch):
    """60,000 rows, sorted by class and one of them constant but for its key, in blocks of the usual size."""
    rows = own.table(60_000).sort_values("kind", kind="stable")
    rows.to_csv(tmp_path / "long.csv", index=False)
    monkeypatch.setattr(tables, "read", lambda *_: pytest.fail("the file was read whole"))
    asked, of_block = [], predicting._answers
    monkeypatch.setattr(predicting, "_answers", lambda *given: asked.append(len(given[1])) or of_block(*given))
    monkeypatch.setattr(type(model.evaluator), "uncertainty", lambda self, examples: _uniform(len(examples)))
    monkeypatch.setattr(type(model), "novelty", lambda self, x: np.zeros(len(x)))
    found = predicted(model, tmp_path / "long.csv", tmp_path / "out.csv")
    assert asked == [predicting.BLOCK_ROWS] * 6
    assert found["key"].tolist() == rows["key"].tolist()


def _uniform(count):
    from adgm_tf.analysis import uncertainty
    return uncertainty.of_samples(np.full((2, count, 3), 1 / 3))


def test_every_kind_of_file_says_the_same(model, new, tmp_path):
    expected = predicted(model, new, tmp_path / "out.csv")
    given = pd.read_csv(new)
    given.to_parquet(tmp_path / "new.parquet", index=False)
    given.to_csv(tmp_path / "new.tsv.gz", index=False, sep="\t")
    for source in (new, tmp_path / "new.parquet", tmp_path / "new.tsv.gz"):
        predicted(model, source, tmp_path / "out.parquet")
        found = pd.read_parquet(tmp_path / "out.parquet")
        assert found["key"].tolist() == expected["key"].tolist()
        np.testing.assert_allclose(found[PROBABILITIES], expected[PROBABILITIES], rtol=1e-4, atol=1e-6)
    predicted(model, new, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        np.testing.assert_allclose(stored["probabilities"], expected[PROBABILITIES], rtol=1e-4, atol=1e-6)
        assert stored["class_names"].tolist() == list(own.CLASSES)
        assert stored["class"].tolist() == expected["class"].tolist()
        assert stored["key"].tolist() == expected["key"].tolist()
    predicted(model, new, tmp_path / "out.csv.gz")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out.csv.gz"), pd.read_csv(tmp_path / "out.csv"))


def test_ids_keep_their_type(model, new, tmp_path, monkeypatch):
    """Whole numbers stay whole in parquet files, though one of a later block is missing."""
    monkeypatch.setattr(predicting, "BLOCK_ROWS", 10)
    given = pd.read_csv(new).assign(key=pd.array([*range(40), None, *range(41, 50)], dtype="Int64"))
    given.to_parquet(tmp_path / "new.parquet", index=False)
    predicted(model, tmp_path / "new.parquet", tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")["key"]
    assert found.isna().tolist() == (np.arange(50) == 40).tolist()
    assert found.dropna().tolist() == [*range(40), *range(41, 50)]
    import pyarrow.parquet as pq
    assert str(pq.read_schema(tmp_path / "out.parquet").field("key").type) == "int64"


def test_given_labels_are_kept(model, new, tmp_path):
    plain = predicted(model, new, tmp_path / "plain.csv", target_accuracy=0.999)
    found = predicted(model, new, tmp_path / "out.csv", keep_given_labels=True, target_accuracy=0.999)
    kind = pd.read_csv(new)["kind"]
    known = kind.notna()
    assert 0 < known.sum() < len(known)
    assert found["given"].tolist() == known.tolist()
    assert found["class"].tolist() == kind.where(known, plain["class"]).tolist()
    np.testing.assert_array_equal(found[PROBABILITIES], plain[PROBABILITIES])
    assert not found["abstain"][known].any()
    assert found["abstain"][~known].tolist() == plain["abstain"][~known].tolist()


def test_labels_that_are_not_asked_for_may_be_anything(model, new, tmp_path):
    pd.read_csv(new).assign(kind=np.linspace(0, 1, 50)).to_csv(tmp_path / "odd.csv", index=False)
    found, expected = (predicted(model, source, tmp_path / "out.csv") for source in (tmp_path / "odd.csv", new))
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("target", [0.34, 0.6, 1.0])
def test_abstention_follows_the_threshold(model, new, tmp_path, target):
    found = predicted(model, new, tmp_path / "out.csv", target_accuracy=target)
    threshold = model.answers.abstention(target).threshold
    confidence = model.predict_proba(pd.read_csv(new)).max(1)
    assert found["abstain"].tolist() == (confidence < threshold).tolist()


def test_what_was_done_is_said(model, new, tmp_path):
    said = "\n".join(predicting.predict(model, str(new), str(tmp_path / "o.npz"), Asked(target_accuracy=0.5)))
    for words in ("fitted on 20 validation labels", "novelty: share of", "abstain: ", "50 rows"):
        assert words in said


def test_classifiers_leave_novelty_out_and_say_so(folder, new, tmp_path):
    classifier = own.untrained(own.config(folder / "own.csv", model="vat", hidden_units=(8, 8), auxiliary_dim=100,
                                          latent_dim=100))
    said = predicting.predict(classifier, str(new), str(tmp_path / "out.parquet"), Asked())
    assert any(line.startswith("novelty: left out; vat is a classifier") for line in said)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found.columns) == ["key", *ANSWERS[:-1]]
    np.testing.assert_allclose(found["mutual_information_nats"], 0, atol=1e-6)


def test_arrays_and_pictures(tmp_path):
    from PIL import Image
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 4, 5, 1)).astype(np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "own.npz", x=x, y=y, names=["a", "b"])
    images = own.untrained(own.config(tmp_path / "own.npz", dataset=f"npz:{tmp_path / 'own.npz'}", label_column="",
                                      id_column=""))
    for i in range(12):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(x[i, ..., 0]).save(tmp_path / "pictures" / f"{i:02}.png")
    found = predicted(images, tmp_path / "pictures", tmp_path / "pictures.csv")
    expected = predicted(images, tmp_path / "own.npz", tmp_path / "arrays.csv", keep_given_labels=True)
    assert found["file"].tolist() == [f"{i:02}.png" for i in range(12)]
    assert expected["class"].tolist() == ["ab"[i] for i in y]
    np.testing.assert_allclose(found["probability_a"], expected["probability_a"][:12], rtol=1e-4)
    # Rounding may change a tie with the row itself, which is one of the reference.
    np.testing.assert_allclose(found["novelty"], expected["novelty"][:12], atol=1 / 40)


def test_cells_of_no_category_of_training_are_counted(model, new, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "BLOCK_ROWS", 10)
    frame = pd.read_csv(new)
    frame.loc[[3, 4, 45], "colour"] = "violet"
    frame.to_csv(tmp_path / "new.csv", index=False)
    said = predicting.predict(model, str(tmp_path / "new.csv"), str(tmp_path / "out.csv"), Asked())
    assert f"column colour: 3 of {len(frame)} cells are of no category of training" in said
    assert not any("colour" in line for line in predicted(model, new, tmp_path / "out.parquet"))


WRONG = {
    "no such file": (dict(source="nothing.csv"), "there is no such file"),
    "ending of the input": (dict(source="new.xlsx"), "must be a folder of pictures, or end in"),
    "ending of the output": (dict(target="out.xlsx"), "output=.*out.xlsx: must end in .csv, .tsv, .parquet, .npz"),
    "packed output": (dict(target="out.parquet.gz"), "must end in"),
    "output is a folder": (dict(target="taken.csv"), "output=.*taken.csv: is a folder"),
    "output is the input": (dict(target="new.csv"), "output=.*new.csv: is the input"),
    "an address": (dict(target="s3://bucket/out.csv"), "output=s3://bucket/out.csv: must be a path of this machine"),
    "no such column": (dict(id_column="keys"), "id_column=keys: did you mean key"),
    "accuracy in percent": (dict(target_accuracy=95.0), "target_accuracy=95: must be above 0 and at most 1"),
    "a column is missing": (dict(drop="mass"), "has no column mass; its columns are key"),
    "no labels to keep": (dict(drop="kind", keep_given_labels=True), "keep_given_labels=true: .* has no labels"),
    "a label of no class": (dict(label=True, keep_given_labels=True),
                            "its labels: row 45 is cat, and must be one of the [0-9] classes"),
    "a late cell": (dict(late=True), "row 45, column mass is heavy, and must be a number"),
    "a column of the output": (dict(id_column="novelty", rename=True), "id_column=novelty: is the name of a column"),
    "no rows": (dict(rows=0), "has column names and no rows"),
    "an array": (dict(source="own.npz"), "the model learnt from a table")}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing(model, new, tmp_path, monkeypatch, case):
    given, rule = WRONG[case]
    monkeypatch.setattr(predicting, "BLOCK_ROWS", 20)
    frame = pd.read_csv(new, dtype=str, keep_default_na=False)[: given.get("rows")].drop(
        columns=given.get("drop", []))
    if given.get("late"):
        frame.loc[45, "mass"] = "heavy"
    if given.get("label"):
        frame.loc[45, "kind"] = "cat"
    if given.get("rename"):
        frame = frame.rename(columns={"key": "novelty"})
    frame.to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "new.xlsx").write_text("")
    np.savez(tmp_path / "own.npz", x=np.zeros((3, 2)))
    (tmp_path / "taken.csv").mkdir()
    (tmp_path / "out.csv").write_text("as it was")
    before = sorted(tmp_path.iterdir())
    target = given.get("target", "out.csv")
    asked = {k: v for k, v in given.items() if k in {f.name for f in dataclasses.fields(Asked)}}
    with pytest.raises(errors.UserError, match=rule) as error:
        predicting.predict(model, str(tmp_path / given.get("source", "new.csv")),
                           target if "://" in target else str(tmp_path / target), Asked(**asked))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "out.csv").read_text() == "as it was"


def test_a_run_without_labels_names_no_class(folder, new, tmp_path):
    without = own.untrained(own.config(folder / "own.csv", model="m1", num_labels="0", auxiliary_dim=100, num_valid=0))
    with pytest.raises(errors.UserError, match="was trained without labels"):
        predicting.predict(without, str(new), str(tmp_path / "out.csv"), Asked())
    assert not list(tmp_path.iterdir())


def test_no_threshold_without_a_held_out_label(folder, new, tmp_path):
    unheld = own.untrained(own.config(folder / "own.csv", num_valid=0))
    with pytest.raises(errors.UserError, match=r"target_accuracy=0\.9: the run held out no label"):
        predicting.predict(unheld, str(new), str(tmp_path / "out.csv"), Asked(target_accuracy=0.9))
    said = predicting.predict(unheld, str(new), str(tmp_path / "out.csv"), Asked())
    assert "no label was held out to calibrate" in said[0]
