import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import roc_auc_score

from adgm_tf.analysis import metrics, uncertainty


def samples(num_samples=7, num=50, num_classes=4, seed=0):
    return special.softmax(2 * np.random.default_rng(seed).normal(size=(num_samples, num, num_classes)), -1)


def answers(num, seed=0, grid=None):
    """Probabilities of two classes, right as often as they say; rounded to a grid they have ties."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, num)
    if grid:
        confidence = np.round(confidence * grid) / grid
    y = (random.random(num) >= confidence).astype(int)
    return np.stack([confidence, 1 - confidence], -1), y


def test_entropy_and_mutual_information_are_their_equations():
    probs = samples()
    found = uncertainty.of_samples(probs)
    np.testing.assert_allclose(found.probs, probs.mean(0))
    np.testing.assert_allclose(found.entropy_nats, stats.entropy(probs.mean(0), axis=-1))
    np.testing.assert_allclose(found.mutual_information_nats,
                               stats.entropy(probs.mean(0), axis=-1) - stats.entropy(probs, axis=-1).mean(0))


def test_mutual_information_is_the_mean_divergence_from_the_mean():
    probs = samples()
    divergence = special.rel_entr(probs, probs.mean(0)).sum(-1).mean(0)
    np.testing.assert_allclose(uncertainty.of_samples(probs).mutual_information_nats, divergence)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mutual_information_lies_between_zero_and_the_entropy(dtype):
    found = uncertainty.of_samples(samples(num=2000).astype(dtype))
    assert (found.mutual_information_nats >= 0).all()
    assert (found.mutual_information_nats <= found.entropy_nats).all()
    assert (found.entropy_nats <= np.log(4) + 1e-9).all()


def test_samples_that_agree_share_no_information_and_certain_ones_that_do_not_share_all():
    agreeing = uncertainty.of_samples(np.repeat(samples(1), 9, 0))
    np.testing.assert_allclose(agreeing.mutual_information_nats, 0, atol=1e-12)
    certain = uncertainty.of_samples(np.eye(3)[:, None])
    assert certain.entropy_nats == pytest.approx(np.log(3))
    assert certain.mutual_information_nats == pytest.approx(certain.entropy_nats)
    assert uncertainty.of_samples(samples(1)).mutual_information_nats == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("cuts", [[], [1], [3, 5], [1, 2, 3, 4, 5, 6]])
def test_blocks_are_the_whole(cuts):
    probs = samples()
    whole = uncertainty.of_samples(probs)
    for part, of_whole in zip(uncertainty.of_blocks(iter(np.split(probs, cuts))), whole, strict=True):
        np.testing.assert_allclose(part, of_whole, atol=1e-14)
    means = uncertainty.of_means(probs.mean(0), stats.entropy(probs, axis=-1).mean(0))
    np.testing.assert_allclose(means.mutual_information_nats, whole.mutual_information_nats, atol=1e-14)


def test_no_sample_is_an_error():
    with pytest.raises(ValueError, match="blocks"):
        uncertainty.of_blocks([])


@pytest.mark.parametrize("draw", ["normal", "exponential", "integers"])
def test_novelty_of_rows_as_the_reference_is_uniform(draw):
    random = np.random.default_rng(0)
    draws = {"normal": lambda n: 1e4 + random.normal(size=n), "exponential": lambda n: -random.exponential(size=n),
             "integers": lambda n: random.integers(-10**6, 10**6, n).astype(float)}[draw]
    found = uncertainty.novelty(draws(2000), draws(60_000))
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_novelty_is_its_equation_with_ties_half():
    random = np.random.default_rng(0)
    bounds, reference = random.integers(0, 9, 40).astype(float), random.integers(0, 9, 30).astype(float)
    expected = [np.mean(reference > b) + np.mean(reference == b) / 2 for b in bounds]
    np.testing.assert_allclose(uncertainty.novelty(bounds, reference), expected)
    assert uncertainty.novelty(reference, reference).mean() == pytest.approx(0.5)


def test_a_lower_bound_is_never_less_novel():
    bounds = np.sort(np.random.default_rng(0).normal(size=100))
    found = uncertainty.novelty(bounds, np.random.default_rng(1).normal(size=500))
    assert (np.diff(found) <= 0).all()


def test_what_is_no_number_is_most_novel():
    reference = np.array([-5.0, -4.0, -3.0])
    found = uncertainty.novelty(np.array([-np.inf, np.nan, -1e30, -4.5, np.inf]), reference)
    np.testing.assert_allclose(found, [1, 1, 1, 2 / 3, 0])
    among_its_like = uncertainty.novelty(np.array([np.nan, -4.0]), np.array([-np.inf, np.nan, -4.0, -3.0]))
    np.testing.assert_allclose(among_its_like, [0.75, 0.375])


def test_one_reference_row_or_none():
    np.testing.assert_array_equal(uncertainty.novelty(np.array([1.0, 2.0, 3.0]), np.array([2.0])), [1, 0.5, 0])
    assert np.isnan(uncertainty.novelty(np.array([1.0]), np.array([]))).all()
    assert uncertainty.novelty(np.array([]), np.array([1.0])).shape == (0,)


def test_the_most_novel_come_first_and_nan_last():
    assert uncertainty.most(np.array([1, np.nan, 3, 3, -np.inf]), 4).tolist() == [2, 3, 0, 4]
    assert uncertainty.most(np.array([]), 10).tolist() == []


def test_novelty_separates_as_the_bound_does():
    random = np.random.default_rng(0)
    usual, novel, reference = random.normal(size=500), random.normal(-2, 1, 400), random.normal(size=3000)
    by_bound = roc_auc_score([0] * 500 + [1] * 400, -np.concatenate([usual, novel]))
    found = metrics.auroc(uncertainty.novelty(usual, reference), uncertainty.novelty(novel, reference))
    assert found == pytest.approx(by_bound, abs=0.005)
    assert metrics.auroc(usual, usual) == 0.5


@pytest.mark.parametrize("grid", [None, 10])
@pytest.mark.parametrize("num", [1, 30, 60_000])
def test_risk_coverage_ends_at_the_error_and_covers_more_and_more(num, grid):
    probs, y = answers(num, grid=grid)
    found = uncertainty.risk_coverage(probs, y)
    assert found.coverage[-1] == 1
    assert (np.diff(found.coverage) > 0).all()
    assert (np.diff(found.threshold) <= 0).all()
    error = metrics.error_percent(probs, y)
    assert 100 * found.risk[-1] == pytest.approx(error)
    assert found.error_percent_at(1.0) == pytest.approx(error)
    if num == 60_000:
        assert found.area < found.risk[-1], "confidence tells right from wrong here"
        assert found.error_percent_at(0.1) < 100 * 0.06


def test_risk_at_a_threshold_is_the_error_of_the_rows_above_it():
    probs, y = answers(500, grid=40)
    found = uncertainty.risk_coverage(probs, y)
    for threshold in np.unique(found.threshold):
        kept = probs.max(-1) >= threshold
        place = np.flatnonzero(found.threshold >= threshold)[-1]
        assert found.coverage[place] == pytest.approx(kept.mean())
        assert 100 * found.risk[place] == pytest.approx(metrics.error_percent(probs[kept], y[kept]))


def test_the_area_does_not_depend_on_the_order_of_equals_and_is_the_error_if_all_are():
    probs, y = answers(300, grid=10)
    order = np.argsort(y, kind="stable")
    assert uncertainty.risk_coverage(probs[order], y[order]).area == pytest.approx(
        uncertainty.risk_coverage(probs, y).area)
    same = uncertainty.risk_coverage(np.tile([0.6, 0.4], (300, 1)), y)
    np.testing.assert_allclose(same.risk, y.mean())


@pytest.mark.parametrize("sure", [None, 0.9])
@pytest.mark.parametrize("target", [0.7, 0.9, 0.99])
@pytest.mark.parametrize("grid", [None, 20])
def test_abstention_reaches_the_target_on_the_rows_it_was_chosen_on(target, grid, sure):
    probs, y = answers(3000, grid=grid)
    found = uncertainty.abstention(probs, y, target, sure)
    kept = found.keeps(probs)
    assert kept.mean() == pytest.approx(found.coverage)
    if kept.any():
        assert np.mean(probs[kept].argmax(-1) == y[kept]) == pytest.approx(found.accuracy)
        assert found.accuracy >= target
    else:
        assert found.threshold == np.inf
        assert np.isnan(found.accuracy)
    if target == 0.7:
        assert found.threshold == 0
        assert found.coverage == 1


@pytest.mark.parametrize("target", [0.8, 0.9])
def test_no_smaller_threshold_would_do(target):
    probs, y = answers(400)
    found, confidence = uncertainty.abstention(probs, y, target), probs.max(-1)
    for threshold in confidence[confidence < found.threshold]:
        kept = confidence >= threshold
        assert np.mean(probs[kept].argmax(-1) == y[kept]) < target


def test_being_sure_costs_coverage_and_holds_for_new_rows():
    missed, plainly_missed = 0, 0
    for seed in range(100):
        probs, y = answers(300, seed=seed)
        sure, plain = (uncertainty.abstention(probs, y, 0.85, s) for s in (0.9, None))
        assert sure.threshold >= plain.threshold
        # Rows are right as often as their confidence says, which is uniform: above t it is (1 + t) / 2 on average.
        missed += (1 + max(sure.threshold, 0.5)) / 2 < 0.85
        plainly_missed += (1 + max(plain.threshold, 0.5)) / 2 < 0.85
    assert missed <= 10
    assert plainly_missed > 20, "else the test could not tell one from the other"


def test_a_target_out_of_reach_keeps_nothing():
    probs, y = np.tile([0.8, 0.2], (50, 1)), np.arange(50) % 2
    for sure in (None, 0.95):
        found = uncertainty.abstention(probs, y, 0.9, sure)
        assert (found.threshold, found.coverage) == (np.inf, 0)
        assert not found.keeps(np.array([[1.0, 0.0]])).any()


def test_nan_and_unknown_labels_and_one_row():
    probs = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    found = uncertainty.abstention(probs, np.array([0, 0, -1]), 0.9)
    assert (found.coverage, found.num_labels, found.threshold) == (0.5, 2, 0.9)
    assert found.keeps(probs).tolist() == [True, False, False]
    assert uncertainty.risk_coverage(probs, np.array([0, 0, -1])).risk.tolist() == [0, 0.5]
    assert uncertainty.abstention(probs[:1], np.array([0]), 1.0).threshold == 0
    assert uncertainty.abstention(probs[:0], np.array([], int), 0.5).threshold == np.inf
    assert np.isnan(uncertainty.risk_coverage(probs[:0], np.array([], int)).area)
    assert np.isnan(uncertainty.of_samples(probs[None]).entropy_nats[1])
