import json

import numpy as np
import pytest
from sklearn import metrics as sk

from adgm_tf.analysis import metrics

PROBS = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
Y = np.array([0, 1, 1, 1])


def test_error_is_the_share_of_wrong_answers():
    assert metrics.error_percent(PROBS, Y) == 25


def test_confusion_counts_true_classes_in_rows():
    np.testing.assert_array_equal(metrics.confusion(PROBS, Y), [[1, 0, 0], [1, 2, 0], [0, 0, 0]])


def test_error_of_a_class_without_examples_is_none():
    assert metrics.class_error_percent(PROBS, Y) == [0, pytest.approx(100 / 3), None]


def test_log_loss_is_the_mean_surprise_and_finite():
    assert metrics.log_loss_nats(PROBS, Y) == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert np.isfinite(metrics.log_loss_nats(PROBS, np.full(4, 2)))


RANDOM = np.random.default_rng(0)
MANY = RANDOM.dirichlet(np.full(6, 0.5), 60_000)
# The last class never occurs, and some labels are not known.
LABELS = np.minimum(RANDOM.integers(-1, 6, 60_000), 4)
KNOWN = LABELS != -1


def test_figures_are_scikit_learns_over_known_labels():
    y, answers = LABELS[KNOWN], MANY[KNOWN].argmax(-1)
    assert metrics.error_percent(MANY, LABELS) == pytest.approx(100 * (1 - sk.accuracy_score(y, answers)))
    assert metrics.macro_f1(MANY, LABELS) == pytest.approx(sk.f1_score(y, answers, average="macro"))
    assert metrics.log_loss_nats(MANY, LABELS) == pytest.approx(sk.log_loss(y, MANY[KNOWN], labels=range(6)))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert metrics.balanced_error_percent(MANY, LABELS) == pytest.approx(
            100 * (1 - sk.balanced_accuracy_score(y, answers)))
    np.testing.assert_array_equal(metrics.confusion(MANY, LABELS), sk.confusion_matrix(y, answers, labels=range(6)))
    for k in (1, 2, 5, 6):
        assert metrics.top_error_percent(MANY, LABELS, k) == pytest.approx(
            100 * (1 - np.mean([c in top for c, top in zip(y, np.argsort(-MANY[KNOWN], -1)[:, :k], strict=True)])))


@pytest.mark.filterwarnings("error")
def test_balanced_error_is_that_of_balanced_rows():
    probs, y = np.repeat(PROBS, [1, 1, 1, 1], 0), Y
    assert metrics.balanced_error_percent(probs, y) == pytest.approx(np.mean([0, 100 / 3]))
    more = np.repeat(np.arange(4), [50, 1, 1, 1])
    assert metrics.balanced_error_percent(probs[more], y[more]) == pytest.approx(
        metrics.balanced_error_percent(probs, y))


def test_confusion_by_name_counts_every_known_row():
    names = [f"class {i}" for i in range(6)]
    found = metrics.confusion_by_name(MANY, LABELS, names)
    assert sum(sum(row.values()) for row in found.values()) == KNOWN.sum()
    assert "class 5" not in found
    assert found["class 2"]["class 5"] == np.sum((LABELS == 2) & (MANY.argmax(-1) == 5))


def test_the_most_confused_pairs_come_first_and_none_is_right():
    found = metrics.most_confused(np.array([[9, 1, 0], [4, 0, 0], [0, 2, 7]]), ["a", "b", "c"], 5)
    assert [(p.true, p.predicted, p.count) for p in found] == [("b", "a", 4), ("c", "b", 2), ("a", "b", 1)]
    assert found[2].percent_of_true == pytest.approx(10)
    assert metrics.most_confused(np.diag([3, 4]), ["a", "b"], 5) == []


@pytest.mark.parametrize(("count", "num"), [(0, 1), (1, 1), (3, 10), (0, 60_000), (2000, 60_000)])
def test_the_ends_of_an_interval_are_two_standard_errors_from_the_share(count, num):
    low, high = metrics.wilson(count, num)
    assert 0 <= low <= count / num <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(count / num - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / num), rel=1e-5)


def test_an_interval_holds_the_error_as_often_as_it_says():
    wrong = np.random.default_rng(0).binomial(40, 0.1, 2000)
    held = [low <= 0.1 <= high for low, high in (metrics.wilson(int(w), 40) for w in wrong)]
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("num", [0, 3])
def test_nothing_is_said_without_a_known_label(num):
    probs, y = PROBS[:num], np.full(num, -1)
    found = metrics.summary(probs, y, ["a", "b", "c"])
    assert found["num_labels"] == 0
    assert np.isnan([found[k] for k in ("error_percent", "balanced_error_percent", "macro_f1", "log_loss_nats")]).all()
    assert (found["error_low_percent"], found["error_high_percent"]) == (0, 100)
    assert found["class_error_percent"] == {"a": None, "b": None, "c": None}
    assert found["confusion"] == {}
    assert np.isnan(metrics.top_error_percent(probs, y, 2))


@pytest.mark.filterwarnings("error")
def test_one_row_of_one_class_is_enough():
    found = metrics.summary(PROBS[:1], Y[:1], ["a", "b", "c"])
    assert (found["error_percent"], found["balanced_error_percent"], found["macro_f1"]) == (0, 0, 1)
    assert found["error_high_percent"] > 70
    json.dumps(found, allow_nan=False)


def test_an_answer_that_is_no_number_is_wrong():
    probs = np.array([[np.nan, np.nan, np.nan], [1, 0, 0]])
    assert metrics.error_percent(probs, np.array([0, 0])) == 50
    assert metrics.top_error_percent(probs, np.array([0, 0]), 3) == 50
    assert metrics.confusion(probs, np.array([0, 0])).sum() == 1
