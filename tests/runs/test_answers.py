"""What a run keeps for its answers: held-out labels, the temperature, and the bounds that novelty is measured by."""

import dataclasses
import json

import numpy as np
import own
import pytest
import tensorflow as tf

from adgm_tf.analysis import calibration, evaluator, metrics
from adgm_tf.config import Config
from adgm_tf.data import catalogue, splits
from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.runs import answers, held_out, trained
from adgm_tf.training import loop

SMALL = dict(hidden_units=(64, 64), auxiliary_dim=16, latent_dim=16)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return own.config(own.write(tmp_path_factory.mktemp("answers"), count=300))


@pytest.fixture(scope="module")
def model(options):
    return own.untrained(options)


def test_what_samples_say_in_the_mean(model, options):
    """Probabilities, entropy and mutual information against all samples at once, and probabilities as ever."""
    rows = own.split(options).valid
    found = model.evaluator.uncertainty(rows)
    seen = tf.constant(model.spec.prepared(rows.x)[0])
    seed = seeds.fold(seeds.of_run(options.seed), seeds.Draw.EVALUATION)
    a = model.model.sample_auxiliary(seen, options.num_eval_samples, seed, shared_noise=True).value
    each = model.model.q_y(seen, a).probs_parameter().numpy().astype(np.float64)
    mean = each.mean(0)
    np.testing.assert_allclose(found.probs, mean, rtol=1e-5)
    np.testing.assert_allclose(found.probs, model.evaluator.probs(rows), rtol=1e-5)
    total = -(mean * np.log(mean)).sum(-1)
    np.testing.assert_allclose(found.entropy_nats, total, rtol=1e-5)
    np.testing.assert_allclose(found.mutual_information_nats, total + (each * np.log(each)).sum(-1).mean(0), atol=1e-5)
    assert (found.mutual_information_nats <= found.entropy_nats).all()


def test_a_row_has_one_bound_whatever_is_around_it(model, options):
    rows = own.split(options).valid
    alone = np.concatenate([model.evaluator.bounds_alone_nats(rows.take(slice(i, i + 1))) for i in range(5)])
    np.testing.assert_allclose(model.evaluator.bounds_alone_nats(rows)[:5], alone, rtol=1e-4)
    np.testing.assert_allclose(model.bound(rows.x)[:5], alone, rtol=1e-4)


def test_the_temperature_is_that_of_the_validation_labels(model, options):
    known = own.split(options).valid.known
    probs = model.evaluator.probs(known)
    assert model.answers.num_labels == len(known) == 20
    assert model.answers.temperature == calibration.fit_temperature(probs, known.y)
    assert model.answers.calibration.to_json() == calibration.calibrate(probs, known.y).to_json()
    np.testing.assert_allclose(model.predict_proba(known.x), calibration.apply(probs, model.answers.temperature),
                               rtol=1e-6)


@pytest.mark.parametrize(("num_valid", "words"), [(0, "unlabelled"), (99, "unlabelled"), (100, "validation")])
def test_rows_that_did_not_train_are_the_reference_where_there_are_enough(options, num_valid, words):
    found = own.untrained(dataclasses.replace(options, num_valid=num_valid))
    data = own.split(found.config)
    expected = {"unlabelled": data.unlabelled, "validation": data.valid}[words]
    assert found.answers.reference == f"{len(expected):,} {words} rows"
    bounds = found.answers.reference_bounds
    assert len(bounds) == len(expected)
    assert (np.diff(bounds) >= 0).all()
    np.testing.assert_allclose(np.sort(found.bound(expected.x)), bounds, rtol=1e-4)
    assert found.novelty(expected.x).mean() == pytest.approx(0.5, abs=1e-3)


def test_what_is_written_is_read(model, tmp_path):
    answers.write(model.answers, tmp_path)
    found = answers.read(tmp_path)
    assert (found.temperature, found.reference) == (model.answers.temperature, model.answers.reference)
    np.testing.assert_array_equal(found.reference_bounds, model.answers.reference_bounds)
    for stored, given in zip(found.held_out, model.answers.held_out, strict=True):
        np.testing.assert_array_equal(stored, given)
    told = json.loads((tmp_path / "answers.json").read_text())
    assert told["calibration"]["after"]["calibration_error"] == found.calibration.after.calibration_error
    for target, line in told["abstention"].items():
        assert line["coverage"] == found.abstention(float(target)).coverage


def test_a_run_without_answers_gives_probabilities_as_they_are(tmp_path):
    found = answers.read(tmp_path)
    assert (found.temperature, found.fitted_temperature, found.calibration) == (1, None, None)
    with pytest.raises(errors.UserError, match=r"target_accuracy=0\.9: the run held out no label"):
        found.abstention(0.9)


@pytest.mark.parametrize("spoil", [
    lambda path: (path / "answers.npz").write_bytes(b"no archive"), lambda path: (path / "answers.npz").unlink(),
    lambda path: (path / "answers.json").write_text("{}"), lambda path: (path / "answers.json").write_text("{"),
    lambda path: (path / "answers.json").write_text(json.dumps(
        json.loads((path / "answers.json").read_text()) | {"temperature": -1}))])
def test_spoilt_answers_are_one_line(model, tmp_path, spoil):
    answers.write(model.answers, tmp_path)
    spoil(tmp_path)
    with pytest.raises(errors.UserError, match=r"^run_dir=.*cannot be read \("):
        answers.read(tmp_path)


def test_abstention_reaches_its_target_on_the_held_out_labels(model):
    kept = model.answers
    probs = calibration.apply(kept.held_out.probs, kept.temperature)
    right = metrics.predicted(probs) == kept.held_out.y
    for target in (0.3, 0.5, right[np.argmax(probs.max(1))] * 1.0):
        found = kept.abstention(target)
        if found.coverage:
            answered = probs.max(1) >= found.threshold
            assert right[answered].mean() >= target
            assert answered.mean() == pytest.approx(found.coverage)


class Watched:
    """Stands for training: says of each row the class that the labels it was given make most frequent."""

    def __init__(self, monkeypatch):
        self.seen, self.asked = [], []

        def train(data, config, num_steps, interrupts):
            del config, num_steps, interrupts
            self.seen.append(data.labelled)
            return self

        monkeypatch.setattr(held_out, "_trained", train)

    def probs(self, examples):
        self.asked.append(examples)
        return np.tile([0.5, 0.3, 0.2], (len(examples), 1))


@pytest.mark.parametrize("num", [2, 3, 5])
def test_cross_fitting_asks_no_model_for_a_label_that_it_has_seen(options, model, monkeypatch, num, capsys):
    watched, data = Watched(monkeypatch), own.split(options)
    asked = dataclasses.replace(options, calibration_folds=num)
    found = held_out.of(model.evaluator, data, asked, 20)
    assert f"about {num} times the training" in capsys.readouterr().out
    assert len(watched.seen) == len(watched.asked) == num
    for seen, rows in zip(watched.seen, watched.asked, strict=True):
        assert not set(seen.index) & set(rows.index)
        assert sorted([*seen.index, *rows.index]) == data.labelled.index.tolist()
        assert set(seen.y) == {0, 1, 2}
    assert len(found) == len(data.labelled)
    np.testing.assert_array_equal(found.y, data.labelled.y)
    assert found.words == f"{len(data.labelled)} labels by cross-fitting in {num} folds"


@pytest.mark.slow
def test_cross_fitted_models_train_as_the_run_did(options, monkeypatch):
    """Each one is trained without a folder, and leaves the options of the run as they are."""
    asked = dataclasses.replace(options, num_valid=0, calibration_folds=2, num_steps=10, consistency="none")
    model = trained.train(asked, own.split(asked))
    assert model.answers.num_labels == len(own.split(asked).labelled)
    assert 1 / 20 <= model.answers.temperature <= 20
    probs = model.answers.held_out.probs
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-4)
    # Two models: their answers to one row differ.
    assert len(np.unique(model.answers.held_out.fold)) == 2


def test_a_signal_while_models_train_for_the_calibration_names_the_run(options, model, monkeypatch):
    def stop(*_, **__):
        raise loop.Interrupted(15, 3)

    monkeypatch.setattr(held_out.loop, "train", stop)
    with pytest.raises(loop.Interrupted) as stopped:
        held_out.of(model.evaluator, own.split(options), dataclasses.replace(options, calibration_folds=2), 20)
    assert stopped.value.run_dir == options.run_dir


def test_no_class_with_two_labels_fits_nothing(options, model, monkeypatch, capsys):
    watched, data = Watched(monkeypatch), own.split(options)
    _, one = np.unique(data.labelled.y, return_index=True)
    few = dataclasses.replace(data, labelled=data.labelled.take(np.sort(one)))
    found = held_out.of(model.evaluator, few, dataclasses.replace(options, calibration_folds=5), 20)
    assert len(found) == 0
    assert not watched.seen
    assert "no class has two labels" in capsys.readouterr().out


def test_one_fold_is_none():
    with pytest.raises(errors.UserError, match="calibration_folds=1: must be 0 or at least 2"):
        Config(calibration_folds=1)


def test_novelty_tells_noise_from_digits():
    """Uniform noise is surer of its class than it should be; its bound gives it away."""
    options = Config(dataset="digits", num_labels="50", num_valid=100, num_steps=200, **SMALL)
    data = splits.split(catalogue.load("digits"), options)
    model = trained.train(options, data)
    noise = np.random.default_rng(0).integers(0, 256, data.test.x.shape).astype(np.uint8)
    assert metrics.auroc(model.novelty(data.test.x), model.novelty(noise)) > 0.95
    assert model.novelty(data.test.x).mean() == pytest.approx(0.5, abs=0.1)


def test_a_classifier_and_a_model_without_labels_keep_what_there_is(options):
    classifier = own.untrained(own.config(options.dataset.partition(":")[2], model="vat", auxiliary_dim=100,
                                          latent_dim=100))
    assert len(classifier.answers.reference_bounds) == 0
    assert classifier.answers.num_labels == 20
    data = own.split(dataclasses.replace(options, model="m1", num_labels="0", auxiliary_dim=100))
    without = own.untrained(dataclasses.replace(options, model="m1", num_labels="0", auxiliary_dim=100), data)
    assert len(without.answers.reference_bounds) == len(data.unlabelled)
    assert without.answers.num_labels == 0
    assert evaluator.of(without.model, data.prepared, without.config).bounds_alone_nats(data.valid).shape == (20,)
