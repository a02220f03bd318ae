import dataclasses

import building
import numpy as np
import pytest

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import construction, family
from adgm_tf.model.family import FAMILY, Row
from adgm_tf.objectives import estimates
from adgm_tf.training import systems

CONDITIONALS = {
    "adgm": {"q_a_given_x", "q_y_given_ax", "q_z_given_xy", "p_x_given_yz"},
    "adgm_deterministic": {"q_a_given_x", "q_y_given_ax", "q_z_given_xy", "p_x_given_yz"},
    "adgm_icml": {"q_a_given_x", "q_y_given_ax", "q_z_given_axy", "p_a_given_xyz", "p_x_given_yz"},
    "sdgm": {"q_a_given_x", "q_y_given_ax", "q_z_given_axy", "p_a_given_yz", "p_x_given_ayz"},
    "m2": {"q_y_given_x", "q_z_given_xy", "p_x_given_yz"},
    "m1": {"q_z_given_x", "p_x_given_z"},
    "avae": {"q_a_given_x", "q_z_given_ax", "p_a_given_xz", "p_x_given_z"},
}


def test_every_row_has_its_factorisation_here():
    assert set(CONDITIONALS) == set(FAMILY)


@pytest.mark.parametrize("name", FAMILY)
def test_a_model_has_the_conditionals_of_its_factorisation(name):
    built = building.model(name, scatter=0)
    assert {c.name for c in built.conditionals.values()} == CONDITIONALS[name]


@pytest.mark.parametrize("name", FAMILY)
def test_parents_stand_in_alphabetical_order(name):
    for key in ("q_a", "q_y", "q_z", "p_a", "p_x"):
        parents = getattr(FAMILY[name], key)
        assert parents is None or list(parents) == sorted(set(parents))


@pytest.mark.parametrize("name", FAMILY)
def test_the_generative_and_the_inference_model_are_acyclic(name):
    row = FAMILY[name]
    order_q = [("a", row.q_a), ("y", row.q_y), ("z", row.q_z)]
    known = {"x"}
    for variable, parents in order_q:
        assert set(parents or "") <= known
        known |= {variable} if parents is not None else set()
    assert set(row.p_x) <= known - {"x"}
    assert not ("a" in row.p_x and "x" in (row.p_a or ""))


def test_parents_are_sorted_and_named_once():
    assert Row("x", "xa", "yxa", "zyx", "zy") == Row("x", "ax", "axy", "xyz", "yz") == FAMILY_WITHOUT_SOURCE
    assert Row(None, "xx", "yxy", None, "zyz") == Row(None, "x", "xy", None, "yz")


FAMILY_WITHOUT_SOURCE = dataclasses.replace(FAMILY["adgm_icml"], source="")


@pytest.mark.parametrize(("parents", "line"), [
    (("w", "x", "xy", "", "yz"), "q_a=w: w is no variable; the variables are a, x, y and z"),
    (("x", "a x", "xy", "", "yz"), "q_y= ax:   is no variable; the variables are a, x, y and z"),
    (("ax", "ax", "xy", "", "yz"), "q_a=ax: q(a|.) cannot look at a, only at x"),
    (("x", "xy", "xy", "", "yz"), "q_y=xy: q(y|.) cannot look at y, only at a, x"),
    (("xy", "ax", "xy", "", "yz"), "q_a=xy: q(a|.) cannot look at y, only at x"),
    (("x", "axz", "xy", "", "yz"), "q_y=axz: q(y|.) cannot look at z, only at a, x"),
    (("x", "ax", "xyz", "", "yz"), "q_z=xyz: q(z|.) cannot look at z, only at a, x, y"),
    (("x", "ax", "xy", "ayz", "yz"), "p_a=ayz: p(a|.) cannot look at a, only at x, y, z"),
    (("x", "ax", "xy", "", "xyz"), "p_x=xyz: p(x|.) cannot look at x, only at a, y, z"),
    (("x", "ax", "axy", "xyz", "ayz"), "p_a=xyz, p_x=ayz: x and a look at one another"),
    ((None, "ax", "xy", None, "yz"), "q_y=ax: looks at a, but q_a is None"),
    ((None, "x", "axy", None, "yz"), "q_z=axy: looks at a, but q_a is None"),
    ((None, "x", "xy", None, "ayz"), "p_x=ayz: looks at a, but q_a is None"),
    (("x", None, "xy", "", "z"), "q_z=xy: looks at y, but q_y is None"),
    (("x", None, "x", "yz", "z"), "p_a=yz: looks at y, but q_y is None"),
    (("x", None, "x", "", "yz"), "p_x=yz: looks at y, but q_y is None"),
    (("x", "ax", "xy", None, "ayz"), "p_x=ayz: looks at a, but p_a is None: a would be drawn from x alone"),
    ((None, "x", "xy", "yz", "yz"), "p_a=yz: the model has no a, as q_a is None"),
    ((None, "x", "xy", "", "yz"), "p_a=: the model has no a, as q_a is None"),
    (("", "ax", "xy", "", "yz"), "q_a=: must name a parent; q(a|.) without one learns nothing of x"),
    (("x", "ax", "", "", "yz"), "q_z=: must name a parent; q(z|.) without one learns nothing of x"),
    (("x", "ax", "xy", "", ""), "p_x=: must name a parent; p(x|.) without one learns nothing of x"),
])
def test_a_row_that_is_no_model_is_one_line(parents, line):
    with pytest.raises(errors.UserError) as caught:
        Row(*parents)
    assert str(caught.value) == line


@pytest.mark.parametrize(("changed", "line"), [
    ({"q_z": None}, "q_z=None: must be letters, such as 'ax'"),
    ({"p_x": None}, "p_x=None: must be letters, such as 'ax'"),
    ({"q_y": ("a", "x")}, "q_y=('a', 'x'): must be letters, such as 'ax', or None")])
def test_what_is_no_letter_is_one_line(changed, line):
    """As a user has it, whose types nobody checks."""
    row = FAMILY["adgm"]
    for key, value in changed.items():
        object.__setattr__(row_copy := dataclasses.replace(row), key, value)
    with pytest.raises(errors.UserError) as caught:
        row_copy.__post_init__()
    assert str(caught.value) == line


@pytest.fixture
def registered():
    """Puts the family back as it was."""
    before = dict(FAMILY)
    yield family.register
    FAMILY.clear()
    FAMILY.update(before)


def test_a_row_of_ones_own_is_a_model_like_any_other(registered):
    row = Row("x", "x", "axy", "zy", "zya", "own")
    registered("own_row", row)
    registered("own_row", Row("x", "x", "axy", "yz", "ayz", "own"))
    assert systems.of("own_row").row == row
    assert "own_row" in systems.names()
    config = Config(model="own_row", hidden_units=(5,), auxiliary_dim=3, latent_dim=2)
    assert systems.check(config) == ()
    built = construction.build(config, building.Spec())
    assert {c.name for c in built.conditionals.values()} == {
        "q_a_given_x", "q_y_given_x", "q_z_given_axy", "p_a_given_yz", "p_x_given_ayz"}
    terms = building.per_example(built, *building.batch(built, 3, 4), building.objective(), building.seed(1))
    assert np.isfinite(terms["unlabelled/bound"]).all()


@pytest.mark.parametrize("name", ["sdgm", "own_row"])
def test_a_name_of_another_row_is_taken(registered, name):
    registered("own_row", FAMILY["m2"])
    with pytest.raises(errors.UserError, match=f"^model={name}: is taken by another row of the family$"):
        registered(name, FAMILY["adgm"])


@pytest.mark.parametrize("name", FAMILY)
def test_only_the_ablation_has_an_auxiliary_variable_without_a_density(name):
    assert FAMILY[name].deterministic is (name == "adgm_deterministic")


@pytest.mark.parametrize("name", ["adgm", "adgm_deterministic", "adgm_icml", "sdgm", "m2"])
def test_without_the_auxiliary_variable_every_model_with_classes_is_m2(name):
    m2, same = building.model("m2"), building.model(name, auxiliary_dim=0)
    given = building.batch(m2, 3, 4)
    for objective in (building.objective(num_samples=2, consistency="vat"), building.objective(class_sum="topk")):
        expected = building.per_example(m2, *given, objective, building.seed(3))
        terms = building.per_example(same, *given, objective, building.seed(3))
        assert set(terms) == set(expected)
        for term, value in terms.items():
            np.testing.assert_array_equal(value, expected[term])


def test_without_the_auxiliary_variable_the_unsupervised_model_is_m1():
    m1, same = building.model("m1"), building.model("avae", auxiliary_dim=0)
    x = building.examples(4)
    np.testing.assert_array_equal(estimates.unlabelled_bound_of(same, x, 3, building.seed(3)),
                                  estimates.unlabelled_bound_of(m1, x, 3, building.seed(3)))


def test_an_auxiliary_variable_that_nobody_listens_to_leaves_m2():
    m2, adgm = building.model("m2"), building.model("adgm")
    adgm.conditionals["q_a"].last.kernel.assign(0 * adgm.conditionals["q_a"].last.kernel)
    adgm.conditionals["q_a"].last.bias.assign(0 * adgm.conditionals["q_a"].last.bias)
    q_y = adgm.conditionals["q_y"].parts["a"].kernel
    q_y.assign(0 * q_y)
    for key in ("q_y", "q_z", "p_x"):
        copy_weights(m2.conditionals[key], adgm.conditionals[key])
    given, objective = building.batch(m2, 3, 4), building.objective(num_samples=2)
    expected = building.per_example(m2, *given, objective, building.seed(3))
    terms = building.per_example(adgm, *given, objective, building.seed(3))
    for term in ("labelled/bound", "classification", "unlabelled/bound"):
        np.testing.assert_allclose(terms[term], expected[term], rtol=1e-5)


def copy_weights(source, target):
    for letter, part in source.parts.items():
        target.parts[letter].set_weights(part.get_weights())
    target.first_bias.assign(source.first_bias)
    for mine, theirs in zip([*target.hidden, target.last], [*source.hidden, source.last], strict=True):
        mine.set_weights(theirs.get_weights())
