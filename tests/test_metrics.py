import numpy as np
import pytest

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
