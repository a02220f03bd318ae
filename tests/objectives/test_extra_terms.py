"""Terms of one's own in the loss, and modules that register what is one's own."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.objectives import loss
from adgm_tf.training import plan, step, systems

L, U = 3, 4
SMALL = dict(num_labels="6", labelled_batch_size=L, unlabelled_batch_size=U, hidden_units=(9,), auxiliary_dim=3,
             latent_dim=2, consistency="none", class_sum="exact", weight_prior=False)


def confidence(of):
    """- max_y q(y|a,x) of every example."""
    return -tf.reduce_mean(tf.reduce_max(tf.nn.softmax(of.logits), -1), 0)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Two terms for as long as a test lasts."""
    monkeypatch.setattr(loss, "EXTRA", {})
    loss.register("confidence", confidence)
    loss.register("size", lambda of: tf.reduce_sum(of.batch.x ** 2, -1))
    return loss.register


def terms_of(model, **given):
    objective = building.objective(**given)
    return building.terms(model, *building.batch(model, L, U), objective, building.seed(1))


def test_a_term_that_is_registered_and_not_asked_for_is_not_there():
    assert not {"confidence", "size"} & {term.name for term in terms_of(building.model())}


def test_a_term_of_ones_own_has_its_values_and_its_weight():
    adgm = building.model()
    terms = terms_of(adgm, extra_terms=("confidence=2.5", "size=-0.5"))
    found = {term.name: term for term in terms}
    x, _, x_unlabelled = building.batch(adgm, L, U)
    size = np.sum(np.concatenate([x, x_unlabelled]).astype(float) ** 2, -1)
    np.testing.assert_allclose(found["size"].values, size, rtol=1e-5)
    assert [(found[name].of, found[name].weight) for name in ("confidence", "size")] == [("all", 2.5), ("all", -0.5)]
    plain = building.total(terms_of(adgm), L, U)
    own = 2.5 * np.mean(found["confidence"].values) - 0.5 * size.mean()
    np.testing.assert_allclose(building.total(terms, L, U), plain + own, rtol=1e-5)


def test_a_term_of_ones_own_is_learnt_from_and_recorded():
    """The gradient is that of the loss without it, and its own times the weight."""
    def gradients(**given):
        config = Config(**SMALL, **given)
        splits = building.split(config)
        built = step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
        batch = built.batches.take(built.arrays, building.rows(built.batches, 0), tf.constant(0), built.seed)
        return built, built.loss_and_gradients(batch, built.seed)[1]

    built, with_term = gradients(extra_terms=("confidence=3",))
    _, plain = gradients()
    _, double = gradients(extra_terms=("confidence=6",))
    for one, none, two in zip(with_term, plain, double, strict=True):
        np.testing.assert_allclose(two - none, 2 * (one - none), rtol=1e-3, atol=1e-4)
    learners = {v.ref() for key in ("q_a", "q_y") for v in built.model.conditionals[key].trainable_variables}
    for variable, one, none in zip(built.model.trainable_variables, with_term, plain, strict=True):
        assert np.allclose(one, none, rtol=1e-5, atol=1e-7) is (variable.ref() not in learners)
    assert built.term_names[-2:] == ("confidence", "loss")
    _, last = built.train(1)
    assert -1 < last["confidence"] < -1 / 3


@pytest.mark.parametrize(("given", "line"), [
    ("confidense=1", "extra_terms=confidense: did you mean confidence? known: confidence, size"),
    ("confidence=much", "extra_terms=confidence=much: must be NAME=WEIGHT with a number as weight"),
    ("confidence", "extra_terms=confidence: must be NAME=WEIGHT with a number as weight"),
    ("size=1,size=2", "extra_terms=size=2: size stands there twice")])
def test_a_term_that_cannot_be_is_one_line(given, line):
    with pytest.raises(errors.UserError) as caught:
        systems.check(Config(extra_terms=tuple(given.split(","))))
    assert str(caught.value) == line


def test_a_term_by_the_name_of_another_is_one_line(registered):
    registered("classification", confidence)
    config = Config(**SMALL, extra_terms=("classification=1",))
    splits = building.split(config)
    with pytest.raises(errors.UserError, match=r"^extra_terms=classification: is the name of another term"):
        step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())


@pytest.mark.parametrize("name", systems.CLASSIFIERS)
def test_classifiers_have_no_terms_but_theirs(name):
    with pytest.raises(errors.UserError, match=rf"^extra_terms=size=1: does not apply to {name}; leave it out$"):
        systems.check(Config(model=name, extra_terms=("size=1",)))


PLUGIN = """
import tensorflow as tf
from adgm_tf.model import family
from adgm_tf.objectives import loss
family.register("of_a_plugin", family.Row("x", "x", "axy", "yz", "ayz"))
loss.register("constant", lambda of: tf.ones([of.batch.x.shape[0]]))
"""


def test_a_plugin_is_imported_before_its_names_are_looked_up(tmp_path, monkeypatch):
    from adgm_tf.model.family import FAMILY
    (tmp_path / "plugin_of_a_test.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(**SMALL, model="of_a_plugin", plugin=("plugin_of_a_test",), extra_terms=("constant=2",))
    try:
        splits = building.split(config)
        built = step.Trainer(config, plan.make(config, splits), splits, tf.distribute.get_strategy())
        assert built.train(1)[1]["constant"] == 1
    finally:
        FAMILY.pop("of_a_plugin", None)


def test_a_plugin_that_is_not_there_is_one_line():
    with pytest.raises(errors.UserError, match=r"^plugin=not_there: cannot be imported \(No module named"):
        systems.check(Config(plugin=("not_there",)))
