import building
import numpy as np
import pytest

from adgm_tf.model.family import FAMILY
from adgm_tf.objectives import estimates

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
