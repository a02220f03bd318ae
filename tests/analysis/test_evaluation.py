"""Evaluation: blocks of samples and of examples change no answer, and memory does not grow with the samples."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.analysis import evaluator
from adgm_tf.data.splits import Examples
from adgm_tf.model import seeds
from adgm_tf.objectives import estimates

N = 7


def as_seen(x):
    return x, None, None


def evaluating(model, prepared=as_seen, **given):
    options = dict(num_samples=4, batch_size=3, seed=0, classifier="q_y") | given
    return evaluator.Evaluator(model, prepared, **options)


def examples(count=N):
    x = building.examples(count).numpy()
    return Examples(x, np.zeros(count, np.int32), np.arange(count))


@pytest.fixture(scope="module")
def model():
    return building.model("sdgm")


@pytest.mark.parametrize("classifier", ["q_y", "bound"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_change_no_answer(model, classifier, batch_size):
    found = evaluating(model, classifier=classifier, batch_size=batch_size).probs(examples())
    seed = seeds.fold(seeds.of_run(0), seeds.Draw.EVALUATION)
    expected = estimates.CLASSIFY_BY[classifier](model, building.examples(N), 4, seed)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("classifier", ["q_y", "bound"])
def test_blocks_of_samples_are_averaged_by_their_sizes(model, classifier, monkeypatch):
    """Two blocks of 3 and one of 1 against their answers, joined in NumPy."""
    monkeypatch.setattr(evaluator, "SAMPLES_AT_ONCE", 3)
    found = evaluating(model, classifier=classifier, num_samples=7).probs(examples())
    of_block = estimates.log_joint_of if classifier == "bound" else estimates.classify_by_q_y
    first = seeds.fold(seeds.of_run(0), seeds.Draw.EVALUATION)
    drawn = [first, *(seeds.fold(first, seeds.Draw.EVALUATION, i) for i in (1, 2))]
    blocks = [of_block(model, building.examples(N), size, seed).numpy().astype(np.float64)
              for size, seed in zip((3, 3, 1), drawn, strict=True)]
    if classifier == "q_y":
        expected = np.average(blocks, axis=0, weights=[3, 3, 1])
    else:
        joint = np.average(np.exp(blocks), axis=0, weights=[3, 3, 1])
        expected = joint / joint.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_the_log_likelihood_of_blocks_is_that_of_all_their_samples(monkeypatch):
    rng = np.random.default_rng(0)
    log_weight = rng.normal(size=(7, N)) * 30 - 500
    blocks = [log_weight[:3], log_weight[3:6], log_weight[6:]]
    means = [np.logaddexp.reduce(b, 0) - np.log(len(b)) for b in blocks]
    expected = np.logaddexp.reduce(log_weight, 0) - np.log(7)
    np.testing.assert_allclose(estimates.log_mean_of_blocks(means, [3, 3, 1]), expected, rtol=1e-9)


@pytest.mark.parametrize("num_samples", [1, 10, 400, 1000, 25_000])
def test_no_call_holds_more_than_so_many_samples_of_so_many_examples(model, num_samples, monkeypatch):
    asked = []

    def answer(model, x, size, seed, **_):
        asked.append(size)
        return estimates.classify_by_q_y(model, x, 1, seed)

    monkeypatch.setitem(estimates.CLASSIFY_BY, "q_y", answer)
    built = evaluating(model, num_samples=num_samples, batch_size=500)
    rows = []
    batches = built._batches
    monkeypatch.setattr(built, "_batches", lambda f, e, size, *given, **named: (
        rows.append(size) or batches(f, e, size, *given, **named)))
    built.probs(examples(20))
    assert max(asked) * max(rows) <= max(500 * evaluator.SAMPLES_OF_A_FULL_BATCH, evaluator.SAMPLES_AT_ONCE)
    assert len(rows) == -(-num_samples // evaluator.SAMPLES_AT_ONCE)


@pytest.mark.parametrize("known", ["x", "both"])
def test_what_p_describes_is_not_what_q_sees(model, known):
    """The bound of every example is that of the two, all units known unless it is said which."""
    x, observed = building.normal([N, building.D], 8).numpy(), np.tile([1, 0, 1], (N, 2)).astype(np.float32)
    given = {"x": x} | ({"observed": observed} if known == "both" else {})
    found = evaluating(model, lambda seen: (seen, given.get("x"), given.get("observed")), batch_size=N)
    seed = seeds.fold(seeds.fold(seeds.of_run(0), seeds.Draw.EVALUATION), 0)
    described = estimates.Described(**{k: tf.constant(v) for k, v in given.items()})
    expected, plain = (estimates.unlabelled_bound_of(model, building.examples(N), 1, seed, described=d)
                       for d in (described, estimates.AS_SEEN))
    np.testing.assert_allclose(found.bounds_nats(examples()), expected, rtol=1e-5)
    assert not np.allclose(expected, plain, rtol=1e-3)
