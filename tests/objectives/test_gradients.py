"""Every trainable variable of every row learns from every objective, save for those that it does not concern."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.model.family import FAMILY
from adgm_tf.model.trunks import Trunk

L, U = 3, 4
OBJECTIVES = {
    "exact": {},
    "exact, importance weighted": dict(num_importance_samples=3),
    "exact, consistent": dict(consistency="vat"),
    "topk": dict(class_sum="topk"),
    "topk of two": dict(class_sum="topk", top_k=2, num_samples=2),
    "exact, importance weighted, consistent": dict(num_importance_samples=2, consistency="vat"),
    "topk, consistent": dict(class_sum="topk", consistency="vat"),
}
LABELLED_OBJECTIVES = {k: v for k, v in OBJECTIVES.items() if "topk" not in k}
NOT_BY_LABELS_ALONE = {name: {"q_y"} | ({"q_a"} if name == "adgm_deterministic" else set()) for name in FAMILY}


@pytest.fixture(scope="module", params=FAMILY)
def model(request):
    built = building.model(request.param, likelihood="bernoulli")
    built.row_name = request.param
    return built


def gradients(model, labelled, unlabelled, given):
    """{conditional: largest gradient of each variable, None where there is none}."""
    objective = building.objective(**given)
    with tf.GradientTape() as tape:
        terms = building.terms(model, *building.batch(model, labelled, unlabelled), objective, building.seed(1))
        total = building.total(terms, labelled if model.has_classes else 0, unlabelled)
    variables = {key: c.trainable_variables for key, c in model.conditionals.items()}
    found = tape.gradient(total, variables)
    assert sum(map(len, variables.values())) == len(model.trainable_variables)
    return {key: [None if g is None else np.abs(tf.convert_to_tensor(g)).max() for g in of_one]
            for key, of_one in found.items()}


def assert_all_learn(found):
    for key, of_one in found.items():
        assert all(g is not None and np.isfinite(g) and g > 0 for g in of_one), f"{key}: {of_one}"


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_everything_learns_from_labelled_and_unlabelled_examples(model, kind):
    assert_all_learn(gradients(model, L, U, OBJECTIVES[kind]))


@pytest.mark.parametrize("class_sum", ["exact", "topk"])
def test_everything_learns_through_a_shared_latent(class_sum):
    for name in (name for name, row in FAMILY.items() if row.can_share_latent):
        given = dict(class_sum=class_sum, num_samples=3, share_latent=True)
        assert_all_learn(gradients(building.model(name, likelihood="bernoulli"), L, U, given))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_everything_learns_from_unlabelled_examples_alone(model, kind):
    assert_all_learn(gradients(model, 0, U, OBJECTIVES[kind]))


@pytest.mark.parametrize("kind", LABELLED_OBJECTIVES)
def test_everything_learns_from_labelled_examples_alone(model, kind):
    if model.has_classes:
        assert_all_learn(gradients(model, L, 0, LABELLED_OBJECTIVES[kind]))


def test_the_classifier_learns_nothing_from_the_labelled_bound_alone(model):
    if model.has_classes:
        found = gradients(model, L, 0, dict(classification_weight=0.0))
        idle = NOT_BY_LABELS_ALONE[model.row_name]
        assert_all_learn({key: of_one for key, of_one in found.items() if key not in idle})
        assert all(g is None or g == 0 for key in idle for g in found[key])


def test_everything_learns_through_layer_normalisation():
    assert_all_learn(gradients(building.model("sdgm", trunk=Trunk((9, 8), normalization="layer")), L, U, {}))


def test_everything_learns_through_batch_normalisation_but_the_biases_that_it_takes_away():
    sdgm = building.model("sdgm", trunk=Trunk((9, 8), normalization="batch"))
    for key, of_one in gradients(sdgm, L, U, {}).items():
        conditional = sdgm.conditionals[key]
        idle = [any(v is bias for bias in (conditional.first_bias, *(h.bias for h in conditional.hidden)))
                for v in conditional.trainable_variables]
        assert sum(idle) == 2
        for gradient, is_idle in zip(of_one, idle, strict=True):
            assert (gradient < 1e-4 * max(of_one)) if is_idle else (gradient > 1e-3 * max(of_one))


def test_everything_learns_through_convolutions():
    shape = (9, 7, 2)
    trunk = Trunk((9, 8), "convolutional", filters=(2, 3), image_shape=shape)
    sdgm = building.model("sdgm", x_dim=126, trunk=trunk, scatter=0.1)
    assert_all_learn(gradients(sdgm, L, U, {}))


def test_every_class_learns_its_row_of_the_first_layer():
    sdgm = building.model("sdgm")
    table = sdgm.conditionals["q_z"].parts["y"].embeddings
    with tf.GradientTape() as tape:
        bound = building.per_example(sdgm, *building.batch(sdgm, 0, U), building.objective(),
                                       building.seed(1))["unlabelled/bound"]
    gradient = tf.convert_to_tensor(tape.gradient(bound, table))
    assert np.all(np.abs(gradient).max(-1) > 0)
