import math

import numpy as np
import pytest
from scipy import stats

from adgm_tf.experiments import comparison
from adgm_tf.host import errors


def line(row, split, error, valid=1000, seed=0):
    return {"row": row, "split_seed": split, "seed": seed, "steps": 9, "num_valid_labels": valid,
            "test_error_percent": error}


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_interval_is_that_of_a_paired_test(count):
    rng = np.random.default_rng(count)
    one, other = rng.normal(5, 2, count), rng.normal(4, 2, count)
    found, test = comparison.paired(one, other), stats.ttest_rel(one, other)
    expected = test.confidence_interval(0.95)
    np.testing.assert_allclose([found.mean, found.low, found.high], [(one - other).mean(), expected.low, expected.high])
    assert (found.low > 0 or found.high < 0) == (test.pvalue < 0.05)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 9, (2000, 5))
    found = [comparison.paired(c + rng.normal(1, 1, 5), c + rng.normal(0, 1, 5)) for c in common]
    assert np.mean([d.low < 1 < d.high for d in found]) == pytest.approx(0.95, abs=0.02)


def test_what_all_splits_share_takes_no_part():
    one, other, shift = np.array([1.0, 2, 4]), np.array([0.0, 2, 1]), np.array([5.0, -3, 40])
    found, shifted, back = (comparison.paired(*pair) for pair in (
        (one, other), (one + shift, other + shift), (other, one)))
    np.testing.assert_allclose((shifted.mean, shifted.low, shifted.high), (found.mean, found.low, found.high))
    np.testing.assert_allclose((back.mean, back.low, back.high), (-found.mean, -found.high, -found.low))


def test_only_splits_that_both_have_count_in_whatever_order():
    lines = [line("a", 2, 7.0), line("a", 0, 1.0), line("a", 1, 2.0), line("b", 1, 5.0), line("b", 0, 3.0),
             line("b", 0, 90.0, seed=1)]
    found = comparison.differences(lines, "a", "b")
    assert set(found) == {"test_error_percent"}
    assert (found["test_error_percent"].count, found["test_error_percent"].mean) == (2, -2.5)


def test_one_split_has_no_interval():
    found = comparison.paired(np.array([3.0]), np.array([1.0]))
    assert (found.mean, found.count) == (2.0, 1)
    assert math.isnan(found.low)
    text = comparison.markdown([line("a", 0, 3.0), line("b", 0, 1.0)], [("a", "b"), ("a", "missing")])
    assert text.splitlines()[2:] == ["| a - b | test error, points | 1 | +2.00 | - |"]


@pytest.mark.parametrize(("other", "said"), [
    (line("b", 1, 1.0), "compare=a,b: have no split in common"),
    (line("b", 0, 1.0, valid=0), "compare=a,b: hold out 1,000 and 0 validation images"),
    (line("c", 0, 1.0), "compare=b: known: a, c")])
def test_rows_that_cannot_be_paired_are_one_line(other, said):
    with pytest.raises(errors.UserError, match=f"^{said}"):
        comparison.differences([line("a", 0, 3.0), other], "a", "b")
