import building
import numpy as np
import pytest
import tensorflow as tf
from tf_keras import initializers

from adgm_tf.model import precision
from adgm_tf.model.trunks import Trunk


def dense(units=4, bias=True, dtype="mixed_bfloat16"):
    kernel, offset = (initializers.RandomNormal(seed=i) for i in (1, 2))
    made = precision.Dense(units, kernel, offset if bias else None, dtype=dtype)
    made(tf.zeros([1, 7]))
    return made


@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 1, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_dense_is_its_definition(shape, bias):
    layer, h = dense(bias=bias, dtype="float32"), building.normal(shape, 3)
    expected = np.asarray(h, np.float64) @ np.asarray(layer.kernel, np.float64)
    expected += np.asarray(layer.bias) if bias else 0
    np.testing.assert_allclose(layer(h), expected, rtol=1e-5, atol=1e-6)


def test_weights_are_float32_and_products_bfloat16():
    layer = dense()
    assert {v.dtype for v in layer.trainable_variables} == {tf.float32}
    assert layer(building.normal((3, 7), 3)).dtype == tf.bfloat16


def test_within_the_scope_a_weight_is_cast_once():
    kernel = dense().kernel
    with precision.weights_cast_once():
        assert precision.cast(kernel, tf.bfloat16) is precision.cast(kernel, tf.bfloat16)
        assert precision.cast(kernel, tf.bfloat16) is not precision.cast(dense().kernel, tf.bfloat16)
    assert precision.cast(kernel, tf.bfloat16) is not precision.cast(kernel, tf.bfloat16)


def test_nothing_outlives_the_scope_even_if_it_fails():
    kernel = dense().kernel
    with pytest.raises(KeyError), precision.weights_cast_once():
        before = precision.cast(kernel, tf.bfloat16)
        raise KeyError
    kernel.assign_add(tf.ones_like(kernel))
    assert not np.allclose(tf.cast(precision.cast(kernel, tf.bfloat16), tf.float32), tf.cast(before, tf.float32))


def gradients(built, scoped):
    objective = building.objective(class_sum="topk", consistency="vat")
    with tf.GradientTape() as tape:
        terms = per_example(built, objective, scoped)
        loss = tf.add_n([tf.reduce_mean(v) for v in terms.values()])
    return tape.gradient(loss, built.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def per_example(built, objective, scoped=True):
    given = (*building.batch(built, 3, 4), objective, building.seed(5))
    if not scoped:
        return building.per_example(built, *given)
    with precision.weights_cast_once():
        return building.per_example(built, *given)


@pytest.mark.parametrize("name", ["adgm", "sdgm", "m2"])
def test_gradients_are_those_of_casts_at_every_use(name):
    built = building.model(name, trunk=Trunk((9, 8), compute_dtype="bfloat16"))
    for once, always in zip(gradients(built, True), gradients(built, False), strict=True):
        once, always = (np.asarray(tf.convert_to_tensor(g)) for g in (once, always))
        np.testing.assert_allclose(once, always, rtol=0.05, atol=0.02 * np.abs(always).max() + 1e-6)


@pytest.mark.parametrize("scoped", [True, False])
def test_a_step_has_one_cast_for_each_matrix(scoped):
    built = building.model("sdgm", trunk=Trunk((9, 8), compute_dtype="bfloat16"))
    objective = building.objective(class_sum="topk", consistency="vat")
    graph = tf.function(lambda: per_example(built, objective, scoped), autograph=False).get_concrete_function().graph
    matrices = [v for v in built.trainable_variables if v.shape.rank == 2 and "embeddings" not in v.name]
    casts = [op for op in graph.get_operations() if op.type == "Cast" and op.inputs[0].op.type == "ReadVariableOp"
             and op.inputs[0].shape.rank == 2]
    assert (len(casts) == len(matrices)) is scoped
