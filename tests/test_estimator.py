"""The estimator: relations between its answers, those of scikit-learn's tools, and what it is told."""

import copy
import os
import pickle
import signal

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import adgm_tf as adgm
from adgm_tf.config import Config
from adgm_tf.data import classes
from adgm_tf.host.errors import UserError

SMALL = dict(hidden_units=(12,), auxiliary_dim=3, latent_dim=2, num_steps=120)
NAMES = np.array(["cat", "dog", "owl"])


def estimator(**given):
    return adgm.SemiSupervisedClassifier(**{"random_state": 0} | SMALL | given)


def blobs(count=240):
    return make_blobs(count, centers=[[0, 0, 5], [5, 0, 0], [0, 5, 0]], random_state=3)


def some_known(y, every=8):
    """Labels, all but each eighth unknown."""
    return np.where(np.arange(len(y)) % every == 0, y, -1)


@pytest.fixture(scope="module")
def data():
    X, y = blobs()
    return X, y, some_known(y)


@pytest.fixture(scope="module")
def fitted(data):
    """Of names, most of them unknown."""
    X, _, known = data
    return estimator().fit(X, np.where(known < 0, "", NAMES[known]))


@pytest.fixture(scope="module")
def frame(data):
    X, y, _ = data
    rng = np.random.default_rng(0)
    found = pd.DataFrame(X, columns=["long", "wide", "high"])
    found.loc[rng.random(len(X)) < 0.2, "wide"] = np.nan
    return found.assign(colour=np.where(rng.random(len(X)) < 0.1, None, NAMES[y]))


@pytest.fixture(scope="module")
def of_frame(frame, data):
    return estimator().fit(frame, pd.Series(data[2]))


@pytest.mark.parametrize(("y", "found", "unknown"), [
    ([3, -1, 7, 3], np.array([3, 7]), [1]),
    ([2.0, np.nan, 0.0], np.array([0.0, 2.0]), [1]),
    (["b", "a", "", None, "-1"], np.array(["a", "b"]), [2, 3, 4]),
    ([1, None, 0, -1], np.array([0, 1]), [1, 3]),
    ([True, False, None], np.array([False, True]), [2]),
    (np.array([10, 9], np.uint8), np.array([9, 10], np.uint8), []),
    (["10", "9"], np.array(["10", "9"]), []),
    (pd.array([1, None, 0], "Int64"), np.array([0, 1]), [1]),
    (pd.Categorical(["b", None, "a"]), np.array(["a", "b"]), [1]),
    (pd.array(["b", None, "a"], "string"), np.array(["a", "b"]), [1])])
def test_classes_are_of_the_type_of_the_labels(y, found, unknown):
    y = classes.array_of(y)
    labels = classes.understood(y, -1)
    assert labels.classes.dtype.kind == found.dtype.kind
    np.testing.assert_array_equal(labels.classes, found)
    assert np.flatnonzero(~classes.are_known(labels.names)).tolist() == unknown
    for name, of in zip(labels.names, y, strict=True):
        assert name is None or labels.classes[labels.class_names.index(name)] == of


def test_minus_one_is_a_class_where_it_can_be_nothing_else():
    y = np.array([-1, 1, 1, -1])
    with pytest.warns(UserWarning, match="-1 is taken for a class"):
        assert classes.understood(y, -1).classes.tolist() == [-1, 1]
    assert classes.understood(np.array([-1, 0, 1]), -1).classes.tolist() == [0, 1]
    assert classes.understood(np.array([-1, 0, 1]), None).classes.tolist() == [-1, 0, 1]
    assert classes.understood(np.array([-1, 0, 1, 9]), 9).classes.tolist() == [-1, 0, 1]
    assert classes.understood(np.array(["a", "b", "?"]), "?").classes.tolist() == ["a", "b"]
    with pytest.raises(UserError, match="one class"):
        classes.understood(np.array([1, np.nan]), -1)


def test_it_learns_and_says_its_classes(fitted, data):
    X, y, _ = data
    assert fitted.classes_.tolist() == NAMES.tolist()
    assert np.mean(fitted.predict(X) == NAMES[y]) > 0.95
    np.testing.assert_array_equal(fitted.predict(X), NAMES[fitted.predict_proba(X).argmax(1)])


def test_given_labels_are_kept_and_the_others_are_predicted(fitted, data):
    X, y, known = data
    given = known >= 0
    np.testing.assert_array_equal(fitted.transduction_[given], NAMES[y[given]])
    np.testing.assert_array_equal(fitted.transduction_[~given], fitted.predict(X[~given]))
    np.testing.assert_array_equal(fitted.label_distributions_[given], np.eye(3)[y[given]])
    np.testing.assert_array_equal(fitted.label_distributions_[~given], fitted.predict_proba(X[~given]))


@pytest.mark.parametrize("through", [lambda m, path: pickle.loads(pickle.dumps(m)), lambda m, path: copy.deepcopy(m),
                                     lambda m, path: joblib.load(joblib.dump(m, path / "m.joblib")[0], mmap_mode="r")])
def test_a_copy_answers_the_same_bit_for_bit(fitted, data, tmp_path, through):
    X = data[0]
    again = through(fitted, tmp_path)
    for method in ("predict", "predict_proba", "transform", "bound", "novelty"):
        np.testing.assert_array_equal(getattr(again, method)(X), getattr(fitted, method)(X))
    np.testing.assert_array_equal(again.sample("dog", 3), fitted.sample("dog", 3))


def test_a_pickle_holds_no_training_row(fitted, of_frame, data, frame):
    for model, cell in ((fitted, data[0][17, 0]), (of_frame, frame["long"][17])):
        stored = pickle.dumps(model)
        assert np.float64(cell).tobytes() not in stored and np.float32(cell).tobytes() not in stored


def test_an_answer_does_not_depend_on_the_rows_beside_it(fitted, data):
    X = data[0][:40]
    order = np.random.default_rng(0).permutation(40)
    for method in ("predict_proba", "transform"):
        answer = getattr(fitted, method)
        whole = answer(X)
        np.testing.assert_array_equal(np.concatenate([answer(X[i: i + 1]) for i in range(40)]), whole)
        np.testing.assert_array_equal(answer(X[order]), whole[order])


@pytest.mark.slow
def test_it_is_what_fit_trains(data):
    X, _, known = data
    model = adgm.fit(X, known, seed=5, split_seed=5, **SMALL)
    np.testing.assert_array_equal(estimator(random_state=5).fit(X, known).predict_proba(X), model.predict_proba(X))


def test_what_is_not_given_is_what_the_configuration_says(fitted):
    given = {"hidden_units", "auxiliary_dim", "latent_dim", "num_steps"}
    chosen = fitted.model_.config
    assert (chosen.model, chosen.eval_every, chosen.patience) == (Config.model, Config.eval_every, Config.patience)
    assert {name for name, v in estimator().get_params().items() if v is not None} == given | {
        "validation_fraction", "unknown_label", "verbose", "random_state"}


def test_a_frame_has_names_and_missing_cells(of_frame, frame, data):
    X, y, _ = data
    assert of_frame.feature_names_in_.tolist() == list(frame.columns) and of_frame.n_features_in_ == 4
    assert of_frame.classes_.dtype == data[2].dtype
    assert np.mean(of_frame.predict(frame) == y) > 0.95
    holes = frame.assign(long=np.nan, colour=None)
    assert of_frame.predict_proba(holes).shape == (len(X), 3)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(of_frame.predict_proba(frame.to_numpy()), of_frame.predict_proba(frame))
    with pytest.raises(ValueError, match="must be in the same order"):
        of_frame.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="3 features"):
        of_frame.predict(X)
    assert list(of_frame.sample(1, 4).columns) == list(frame.columns)


def test_numbers_may_be_missing_in_new_rows_where_some_were_in_training(fitted, data):
    X, y, known = data
    holes = X.copy()
    holes[::5, 1] = np.nan
    model = estimator().fit(holes, known)
    assert np.mean(model.predict(holes) == y) > 0.9
    assert model.predict(np.full((2, 3), np.nan)).shape == (2,)
    assert isinstance(model.sample(0, 2), np.ndarray) and not hasattr(model, "feature_names_in_")
    with pytest.raises(UserError, match="row 0, column 1 is NaN"):
        fitted.predict(holes)


def test_images_come_with_or_without_channels():
    y = np.arange(90) % 3
    X = np.clip(40 * y[:, None, None] + np.random.default_rng(0).integers(0, 60, (90, 5, 4)), 0, 255).astype(np.uint8)
    known = some_known(y, 4)
    model = estimator().fit(X, known)
    assert model.n_features_in_ == 20 and model.sample(0, 2).shape == (2, 5, 4, 1)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X[..., None]))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X.astype(np.int64)))
    with pytest.raises(UserError, match="have the type float32, those of training uint8"):
        model.predict(X / 255)
    with pytest.raises(ValueError, match="25 features"):
        model.predict(np.zeros((2, 5, 5), np.uint8))


def test_a_trained_model_takes_examples_as_in_training_and_no_others(fitted, of_frame, data, frame):
    model, table, X = fitted.model_, of_frame.model_, data[0]
    np.testing.assert_array_equal(model.predict(X[:3].tolist()), model.predict(pd.DataFrame(X[:3])))
    for asked, wrong, line in ((model, X * np.nan, "x, its examples: row 0, column 0 is nan"),
                               (model, X[:0], "x: has no"), (table, frame[:0], "x: has no"),
                               (model, X[:, :1], "x: its examples are 1, those of training"),
                               (model, X.astype(str), "x, its examples: have the type"),
                               (table, X, "x: is a ndarray, and must be a DataFrame")):
        with pytest.raises(UserError, match=line):
            asked.predict(wrong)
    for most_probable in (fitted.predict, model.predict):
        with pytest.raises(UserError, match=r"x: row 0 is too far from those of training"):
            most_probable(X * 1e300)


@pytest.mark.parametrize(("given", "line"), [
    (dict(count=-1), "count=-1: must be a whole number"), (dict(count=1.5), "count=1.5: must"),
    (dict(seed=None), "seed=None: must"), (dict(seed=True), "seed=True: must")])
def test_a_sample_has_a_count_and_a_seed(fitted, given, line):
    with pytest.raises(UserError, match=line):
        fitted.model_.sample(**given)
    assert len(fitted.model_.sample(count=np.int64(2), seed=-3)) == 2


def test_what_needs_a_file_is_refused_in_memory(data):
    X, _, known = data
    for name, value in (("label_column", "u"), ("test_fraction", 0.5), ("loggers", ("mlflow",)), ("run_dir", "there")):
        with pytest.raises(UserError, match=rf"^{name}=.*: is an option of a file or a run directory"):
            adgm.fit(X, known, **{name: value})
    with pytest.raises(UserError, match=r"^id_column=zz: known: "):
        adgm.fit(pd.DataFrame(X).add_prefix("c"), known, id_column="zz")
    with pytest.raises(UserError, match=r"^options=unlabelled_value: is the argument unknown_label"):
        estimator(options={"unlabelled_value": "0"}).fit(X, known)


def test_score_leaves_unknown_labels_out(fitted, data):
    X, y, known = data
    right = fitted.predict(X) == NAMES[y]
    names = np.where(known < 0, "", NAMES[known])
    assert fitted.score(X, names) == pytest.approx(np.mean(right[known >= 0]))
    assert fitted.score(X, np.where(known < 0, None, NAMES[known])) == fitted.score(X, names)
    assert fitted.score(X, np.full(len(y), "owl")) == pytest.approx(np.mean(fitted.predict(X) == "owl"))
    with pytest.raises(UserError, match="nothing to score"):
        fitted.score(X, np.full(len(y), ""))


@pytest.mark.slow
def test_a_search_over_folds_with_unknown_labels(data):
    X, y, known = data
    found = GridSearchCV(estimator(hidden_units=[8]), {"num_steps": np.array([1, 150])},
                         cv=StratifiedKFold(2)).fit(X, known)
    assert found.best_params_ == {"num_steps": 150}
    assert found.best_score_ > 0.9 and np.mean(found.predict(X) == y) > 0.9


def test_it_stands_in_a_pipeline_and_names_its_output(data):
    X, y, known = data
    pipeline = make_pipeline(StandardScaler(), estimator(latent_dim=4)).fit(X * 1e6, known)
    assert np.mean(pipeline.predict(X * 1e6) == y) > 0.9
    assert pipeline.get_feature_names_out().tolist() == ["z0", "z1", "z2", "z3"]
    rows = pd.DataFrame(X * 1e6, index=np.arange(len(X)) + 7)
    out = pipeline.set_output(transform="pandas").transform(rows)
    assert list(out.columns) == ["z0", "z1", "z2", "z3"] and out.index[0] == 7


@pytest.mark.slow
def test_a_callback_sees_the_loop_and_can_end_it(data):
    X, _, known = data
    seen = []
    model = estimator(options={"steps_per_call": 10}, callbacks=[lambda event: seen.append(event.step),
                                                                 lambda event: event.step >= 30]).fit(X, known)
    assert seen == [10, 20, 30] and model.n_iter_ == 30
    assert [row["step"] for row in model.history_] == seen
    assert all(np.isfinite(row["loss"]) for row in model.history_)


@pytest.mark.slow
def test_an_interrupt_ends_a_search_too(data):
    """As KeyboardInterrupt: scikit-learn takes any other exception for one fit that failed, and goes on."""
    X, _, known = data
    model = estimator(callbacks=[lambda event: os.kill(os.getpid(), signal.SIGINT)], options={"steps_per_call": 10})
    with pytest.raises(KeyboardInterrupt, match="at step 10"):
        model.fit(X, known)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.slow
def test_a_classifier_is_an_estimator_too(data):
    X, y, known = data
    model = adgm.SemiSupervisedClassifier(model="vat", hidden_units=(12,), num_steps=150, random_state=0).fit(X, known)
    assert np.mean(model.predict(X) == y) > 0.9
    with pytest.raises(UserError, match="model=vat: is a classifier"):
        model.novelty(X)


def test_patience_ends_training_that_gains_nothing(data, capsys):
    X, y, _ = data
    noise = np.random.default_rng(0).permutation(y)
    model = estimator(options={"steps_per_call": 5}, validation_fraction=0.25, patience=2, eval_every=5, num_steps=2000,
                      verbose=True).fit(X, noise)
    assert model.n_iter_ < 2000
    assert all("validation_error_percent" in row for row in model.history_)
    assert model.model_.answers.num_labels == 60
    out = capsys.readouterr()
    assert "180 labelled" in out.out and "step 5/2000" in out.out


@pytest.mark.slow
def test_a_bar_is_shown_in_a_notebook(data, monkeypatch, capsys):
    import sys
    X, _, known = data
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    estimator(verbose=True, num_steps=20, options={"steps_per_call": 10}).fit(X, known)
    out = capsys.readouterr()
    assert "20/20" in out.err and "step 20/20" not in out.out


@pytest.mark.slow
def test_random_states(data):
    X, _, known = data

    def drawn(state):
        return estimator(random_state=state, num_steps=3).fit(X, known).predict_proba(X)

    np.testing.assert_array_equal(drawn(np.random.RandomState(4)), drawn(np.random.RandomState(4)))
    assert not np.array_equal(drawn(None), drawn(None))


@pytest.mark.parametrize(("given", "line"), [
    (dict(options={"hidden_unit": (3,)}), "options=hidden_unit: did you mean hidden_units"),
    (dict(options={"num_steps": 3}), "options=num_steps: is set by an argument"),
    (dict(options={"seed": 3}), "options=seed: is set by an argument"),
    (dict(options={"label_column": "u"}), "label_column=u: is an option of a file"),
    (dict(options=[1]), "options=[1]: must be a dict"), (dict(callbacks=print), "is no list of functions"),
    (dict(random_state=-1), "random_state=-1: must be at least 0"),
    (dict(patience=3), "patience=3: needs a validation_fraction"),
    (dict(validation_fraction=1.0), "validation_fraction=1.0: must be"),
    (dict(validation_fraction="a"), "validation_fraction=a: must be"),
    (dict(validation_fraction=0.99), "at most"),
    (dict(model="m1"), "model=m1: has no y"),
    (dict(model="label_spreading"), "model=label_spreading: is fitted at once"),
    (dict(model="sdmg"), "model=sdmg: did you mean sdgm"),
    (dict(num_steps=0), "num_steps=0: must be at least 1"),
    (dict(callbacks=[3]), "callbacks: 3 is no function"),
])
def test_wrong_arguments_are_named(data, given, line):
    X, _, known = data
    with pytest.raises(ValueError) as raised:
        estimator(**given).fit(X, known)
    assert line in str(raised.value)


@pytest.mark.parametrize(("X", "y", "line"), [
    (blobs()[0], np.full(240, -1), "no label that is known"),
    (blobs()[0], np.full(240, 3), "labels of one class only (3)"),
    (blobs()[0], np.arange(240) + 0.5, "continuous"),
    (blobs()[0], np.array(["a", 1] * 120, object), "numbers and text"),
    (blobs()[0], np.arange(7) % 2, "inconsistent numbers of samples"),
    (pd.DataFrame({"a": []}), [], "0 sample(s)"),
    (pd.DataFrame({"a": ["x", "y"] * 2, "when": ["2020-01-03", "2021-05-04"] * 2}), [0, 1, 0, 1], "a date or a time"),
])
def test_wrong_data_are_named(X, y, line):
    with pytest.raises(ValueError) as raised:
        estimator().fit(X, y)
    assert line in str(raised.value)


def test_nothing_is_answered_before_it_is_fitted(data):
    for method in ("predict", "predict_proba", "transform", "bound", "novelty"):
        with pytest.raises(NotFittedError):
            getattr(estimator(), method)(data[0])
    with pytest.raises(NotFittedError):
        clone(estimator()).sample()


def test_draws_are_of_their_class(fitted, data):
    X, y, _ = data
    for i, name in enumerate(NAMES):
        drawn = fitted.sample(name, 50)
        assert drawn.shape == (50, 3)
        distances = [np.linalg.norm(drawn.mean(0) - X[y == c].mean(0)) for c in range(3)]
        assert np.argmin(distances) == i
    with pytest.raises(UserError, match="label=cow"):
        fitted.sample("cow")


@pytest.mark.parametrize("which", ["fitted", "of_frame"])
def test_a_saved_model_is_a_run_directory(which, request, data, frame, tmp_path):
    model = request.getfixturevalue(which)
    X = data[0] if which == "fitted" else frame
    path = model.save(tmp_path / "run")
    again, found = adgm.SemiSupervisedClassifier.load(path), adgm.load(path)
    for method in ("predict_proba", "transform", "novelty"):
        np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
        np.testing.assert_array_equal(getattr(found, method)(X), getattr(model, method)(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.classes_.dtype == model.classes_.dtype and again.n_features_in_ == model.n_features_in_
    assert again.hidden_units == (12,) and again.random_state == 0
    assert hasattr(again, "feature_names_in_") == (which == "of_frame")
    (path / "estimator.json").unlink()
    assert adgm.SemiSupervisedClassifier.load(path).classes_.tolist() == model.classes_.tolist()
