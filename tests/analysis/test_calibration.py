import numpy as np
import pytest
from scipy import optimize, special
from sklearn.metrics import log_loss

from adgm_tf.analysis import calibration, metrics


def simulated(num, num_classes=10, sharper=1.0, seed=0, scale=2.0):
    """Classes drawn from softmax(logits), and softmax(sharper * logits): calibrated at the temperature `sharper`."""
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(num, num_classes))
    y = (logits + random.gumbel(size=logits.shape)).argmax(-1)
    return special.softmax(sharper * logits, -1), y


@pytest.mark.parametrize("sharper", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_known_temperature_is_found_again(sharper, dtype):
    probs, y = simulated(60_000, sharper=sharper)
    assert calibration.fit_temperature(probs.astype(dtype), y) == pytest.approx(sharper, rel=0.03)


def test_calibrated_probabilities_keep_the_temperature_of_one_within_its_error():
    found = [calibration.fit_temperature(*simulated(500, seed=seed)) for seed in range(30)]
    standard_error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - 1) < 4 * standard_error < 0.1


def test_the_order_of_the_rows_does_not_matter():
    probs, y = simulated(3000, sharper=2)
    order = np.argsort(y)
    assert calibration.fit_temperature(probs[order], y[order]) == pytest.approx(calibration.fit_temperature(probs, y))


def test_the_temperature_is_where_its_equation_says():
    probs, y = simulated(40, 3, sharper=2.5)

    def objective(log_t):
        return len(y) * log_loss(y, calibration.apply(probs, np.exp(log_t)), labels=range(3)) + log_t**2 / 0.5

    best = optimize.minimize_scalar(objective, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8}).x
    assert np.log(calibration.fit_temperature(probs, y)) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("num", [1, 3, 30])
def test_the_log_loss_of_the_rows_fitted_on_gets_no_worse(num, seed):
    probs, y = simulated(num, 4, sharper=np.random.default_rng(seed).uniform(0.2, 5), seed=seed)
    after = calibration.apply(probs, calibration.fit_temperature(probs, y))
    assert metrics.log_loss_nats(after, y) <= metrics.log_loss_nats(probs, y) + 1e-12


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 8.0])
def test_answers_stay_and_probabilities_sum_to_one(temperature):
    probs, _ = simulated(1000)
    after = calibration.apply(probs, temperature)
    np.testing.assert_array_equal(after.argmax(-1), probs.argmax(-1))
    np.testing.assert_allclose(after.sum(-1), 1)
    confident = np.mean(after.max(-1) - probs.max(-1))
    assert np.sign(np.round(confident, 12)) == -np.sign(np.round(np.log(temperature), 12))


def test_temperatures_multiply():
    probs, _ = simulated(100)
    np.testing.assert_allclose(calibration.apply(calibration.apply(probs, 2), 3), calibration.apply(probs, 6))


@pytest.mark.parametrize("num", [1, 2, 5, 20])
def test_a_handful_of_right_answers_gives_a_temperature_that_is_no_extreme(num):
    probs, y = np.full((num, 3), 0.05), np.zeros(num, int)
    probs[:, 0] = 0.9
    assert 0.3 < calibration.fit_temperature(probs, y) < 1


@pytest.mark.parametrize("confident", [0.9, 0.999999, 1.0])
def test_a_handful_of_wrong_answers_takes_confidence_away_within_bounds(confident):
    probs = np.tile([confident, 1 - confident], (3, 1))
    found = calibration.fit_temperature(probs, np.ones(3, int))
    assert 1 < found <= 20
    assert np.isfinite(calibration.apply(probs, found)).all()


def test_unknown_labels_and_rows_of_nan_take_no_part():
    probs, y = simulated(300, sharper=2)
    more, labels = np.concatenate([probs, probs[:9], np.full((5, 10), np.nan)]), np.concatenate([y, [-1] * 9, [1] * 5])
    assert calibration.fit_temperature(more, labels) == calibration.fit_temperature(probs, y)
    assert calibration.scores(more, labels) == calibration.scores(probs, y)
    assert np.isnan(calibration.apply(more, 2.0)[-5:]).all()


@pytest.mark.parametrize("num", [0, 3])
def test_without_a_label_nothing_changes(num):
    probs, _ = simulated(num)
    assert calibration.fit_temperature(probs, np.full(num, -1)) == 1
    found = calibration.calibrate(probs, np.full(num, -1))
    assert found.before.num_labels == 0
    assert np.isnan(found.after.calibration_error)


def test_one_row_is_enough_for_an_answer():
    found = calibration.calibrate(np.array([[0.7, 0.3]]), np.array([0]))
    assert found.before.calibration_error == pytest.approx(0.3)
    assert found.before.log_loss_nats == pytest.approx(-np.log(0.7))
    assert found.after == found.before, "the only row has no other that a temperature could be fitted on"


def test_log_loss_is_scikit_learns_and_the_brier_score_its_definition():
    probs, y = simulated(500, 4, sharper=3)
    found = calibration.scores(probs, y)
    assert found.log_loss_nats == pytest.approx(log_loss(y, probs))
    assert found.brier == pytest.approx(np.mean(np.sum((probs - np.eye(4)[y])**2, -1)))


def test_calibrated_data_have_an_error_near_zero_and_as_chance_says():
    found = calibration.scores(*simulated(60_000))
    assert found.calibration_error < 0.01
    assert found.calibration_error_equal_mass < 0.01
    few = [calibration.scores(*simulated(100, seed=seed)) for seed in range(40)]
    assert np.mean([s.calibration_error for s in few]) == pytest.approx(
        np.mean([s.calibration_error_by_chance for s in few]), rel=0.15)


def test_overconfident_data_have_the_error_of_their_overconfidence():
    probs = np.tile([0.9, 0.1], (10_000, 1))
    y = (np.arange(10_000) % 10 >= 6).astype(int)
    found = calibration.scores(probs, y)
    assert found.calibration_error == pytest.approx(0.3)
    assert found.calibration_error_equal_mass == pytest.approx(0.3), "rows of one confidence are in one bin"


@pytest.mark.parametrize("equal_mass", [False, True])
@pytest.mark.parametrize("num", [1, 7, 60, 2000])
def test_bins_hold_every_row_once_and_keep_the_means(num, equal_mass):
    probs, y = simulated(num, sharper=2)
    found = calibration.reliability(probs, y, equal_mass=equal_mass)
    assert found.count.sum() == num
    assert (np.diff(found.confidence) > 0).all()
    assert found.confidence @ found.count == pytest.approx(probs.max(-1).sum())
    assert found.accuracy @ found.count == pytest.approx(np.sum(probs.argmax(-1) == y))
    if equal_mass and num == 2000:
        assert found.count.max() - found.count.min() <= 1
        assert len(found.count) == calibration.NUM_BINS


def test_folds_hold_labelled_rows_by_class_and_never_the_only_one():
    y = np.array([0] * 10 + [1] * 5 + [2] + [-1] * 4)
    fold = calibration.folds(y, 5, seed=0)
    assert (fold[-5:] == -1).all(), "the only row of a class, and rows without a label"
    assert np.bincount(fold[:10]).tolist() == [2] * 5
    assert np.bincount(fold[10:15]).tolist() == [1] * 5
    for k in range(5):
        assert set(y[(fold != k) & (y != -1)]) == {0, 1, 2}
    np.testing.assert_array_equal(fold, calibration.folds(y, 5, seed=0))
    assert (fold != calibration.folds(y, 5, seed=1)).any()


def test_folds_are_even_where_classes_are_small():
    counts = np.bincount(calibration.folds(np.repeat(np.arange(26), 2), 5, seed=0))
    assert counts.max() - counts.min() <= 1


def test_a_rows_own_label_does_not_move_its_probabilities():
    probs, y = simulated(50, 3, sharper=3)
    fold = calibration.folds(y, 5, seed=0)
    found = calibration.cross_fitted(probs, y, fold)
    for k in range(5):
        others = y.copy()
        others[fold == k] = (others[fold == k] + 1) % 3
        np.testing.assert_array_equal(calibration.cross_fitted(probs, others, fold)[fold == k], found[fold == k])
    assert not np.allclose(found, probs)


def test_what_is_said_of_calibration_is_what_new_rows_see():
    probs, y = simulated(400, sharper=3)
    found = calibration.calibrate(probs, y, calibration.folds(y, 5, seed=0))
    new, labels = simulated(60_000, sharper=3, seed=1)
    then = calibration.scores(calibration.apply(new, found.temperature), labels)
    assert found.after.log_loss_nats == pytest.approx(then.log_loss_nats, rel=0.15)
    assert then.calibration_error < 0.3 * calibration.scores(new, labels).calibration_error
    assert found.after.log_loss_nats < found.before.log_loss_nats
    assert set(found.to_json()) == {"temperature", "before", "after"}
