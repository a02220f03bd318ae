import itertools

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import construction, trunks
from adgm_tf.model.conditionals import Conditional
from adgm_tf.model.phase import Phase
from adgm_tf.model.trunks import NORMALIZATIONS, TRUNKS, Trunk

K, B, S = 2, 3, 4
SIZES = dict(a=3, x=6, y=5, z=4)
SHAPES = dict(a=(K, B, 1), x=(1, B, 1), y=(1, 1, S), z=(K, B, S))
TRUNK = Trunk((9, 8))
PARENTS = ["".join(c) for n in range(1, 5) for c in itertools.combinations("axyz", n)]
IMAGES = [(8, 8, 1), (28, 28, 1), (9, 7, 2)]


def conditional(parents, variable="z", dim=7, density="gaussian", trunk=TRUNK, sizes=SIZES, seed=0):
    built = Conditional(f"{variable}_given_{parents}", {p: sizes[p] for p in parents}, variable, dim, density,
                        trunk=trunk, seed=seed)
    of(built, values(parents, sizes))
    return built


def of(built, given, phase=Phase.EVALUATE):
    return built(given, phase=phase)


def values(parents, sizes=SIZES):
    drawn = {p: building.normal((*SHAPES[p], sizes[p]), i) for i, p in enumerate("axz")}
    drawn["y"] = tf.reshape(tf.range(S), SHAPES["y"])
    return {p: drawn[p] for p in parents}


def concatenated(built, given):
    """The parents beside one another, y as a one-hot row, times the undivided first layer."""
    rows = {p: np.asarray(v) if p != "y" else np.eye(SIZES["y"])[np.asarray(v)] for p, v in given.items()}
    batch = np.broadcast_shapes(*(r.shape[:-1] for r in rows.values()))
    inputs = np.concatenate([np.broadcast_to(r, (*batch, r.shape[-1])) for r in rows.values()], -1)
    weights = np.concatenate([built.parts[p].weights[0].numpy() for p in rows], 0)
    return inputs @ weights + built.first_bias.numpy()


def relu(h):
    return np.maximum(h, 0)


def dense(layer, h):
    return h @ layer.kernel.numpy() + layer.bias.numpy()


@pytest.mark.parametrize("parents", PARENTS)
def test_the_split_first_layer_is_one_dense_layer_of_the_concatenated_parents(parents):
    built = conditional(parents, dim=5, density="categorical")
    building.scatter_weights(built, 0.5)
    given = values(parents)
    h = relu(concatenated(built, given))
    expected = dense(built.last, relu(dense(built.hidden[0], h)))
    np.testing.assert_allclose(of(built, given).logits_parameter(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parents", PARENTS)
def test_the_batch_is_the_broadcast_of_the_natural_shapes_of_the_parents(parents):
    q = of(conditional(parents), values(parents))
    assert q.batch_shape == np.broadcast_shapes(*(SHAPES[p] for p in parents))
    assert q.event_shape == (7,)


def test_a_conditional_ends_in_a_distribution_layer_whose_tensor_is_the_mean():
    built = conditional("xy")
    q = of(built, values("xy"))
    np.testing.assert_array_equal(tf.convert_to_tensor(q), q.mean())


def test_a_gaussian_starts_close_to_the_standard_normal():
    q = of(conditional("axyz"), values("axyz"))
    np.testing.assert_allclose(q.mean(), np.zeros(q.mean().shape), atol=0.05)
    np.testing.assert_allclose(q.variance(), np.ones(q.mean().shape), atol=0.05)


def test_weights_depend_on_the_name_and_the_seed_alone():
    first, again = conditional("xy"), conditional("xy")
    other_seed, other_name = conditional("xy", seed=1), conditional("xy", variable="a")
    for w, same, seeded, named in zip(first.weights, again.weights, other_seed.weights, other_name.weights,
                                      strict=True):
        np.testing.assert_array_equal(w, same)
        assert not np.array_equal(w, seeded)
        assert not np.array_equal(w, named)


def test_no_two_weights_of_a_conditional_share_their_noise():
    built = conditional("az", sizes=dict(SIZES, a=4, z=4))
    a, z = (built.parts[p].weights[0].numpy() for p in "az")
    assert not np.allclose(a, z)


def test_parts_start_as_slices_of_one_glorot_layer():
    sizes = dict(a=40, x=300, y=60, z=50)
    built = conditional("axyz", trunk=Trunk((400,)), sizes=sizes)
    expected = np.sqrt(4 / (sum(sizes.values()) + 400))
    for part in built.parts.values():
        np.testing.assert_allclose(np.std(part.weights[0]), expected, rtol=0.05)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("kind", TRUNKS)
def test_every_normalisation_fits_every_trunk(normalization, kind, phase):
    shape = (9, 7, 2)
    trunk, sizes = Trunk((9, 8), kind, normalization, (2, 3), shape), dict(SIZES, x=int(np.prod(shape)))
    q = of(conditional("axy", trunk=trunk, sizes=sizes), values("axy", sizes), phase)
    p = of(conditional("yz", "x", sizes["x"], trunk=trunk, sizes=sizes), values("yz", sizes), phase)
    assert np.isfinite(q.mean()).all()
    assert np.isfinite(p.mean()).all()


def test_layer_normalisation_takes_away_what_all_units_share():
    built = conditional("x", trunk=Trunk((9,), normalization="layer"))
    building.scatter_weights(built, 0.5)
    before = of(built, values("x")).mean()
    built.first_bias.assign_add(tf.fill(built.first_bias.shape, 3.0))
    np.testing.assert_allclose(of(built, values("x")).mean(), before, rtol=1e-4, atol=1e-5)


def test_without_normalisation_a_shift_of_all_units_is_seen():
    built = conditional("x", trunk=Trunk((9,)))
    building.scatter_weights(built, 0.5)
    before = of(built, values("x")).mean()
    built.first_bias.assign_add(tf.fill(built.first_bias.shape, 3.0))
    assert not np.allclose(of(built, values("x")).mean(), before, atol=0.1)


def test_batch_normalisation_sees_its_batch_in_training_alone():
    built = conditional("x", trunk=Trunk((9,), normalization="batch"))
    building.scatter_weights(built, 0.5)
    x = values("x")["x"]
    for phase in (Phase.EVALUATE, Phase.PROBE):
        whole = of(built, {"x": x}, phase).mean()[:, :2]
        part = of(built, {"x": x[:, :2]}, phase).mean()
        assert np.allclose(whole, part, atol=1e-5) is not phase.training


@pytest.mark.parametrize("kind", TRUNKS)
def test_the_moving_averages_follow_in_training_alone(kind):
    shape = (9, 7, 2)
    sizes = dict(SIZES, x=126)
    built = conditional("x", trunk=Trunk((9,), kind, "batch", (2, 3), shape), sizes=sizes)
    given, averages = values("x", sizes), built.non_trainable_variables
    assert len(averages) == 2 * (1 + 2 * (kind == "convolutional"))
    before = [v.numpy() for v in averages]
    for phase in (Phase.EVALUATE, Phase.PROBE):
        of(built, given, phase)
        for variable, value in zip(averages, before, strict=True):
            np.testing.assert_array_equal(variable, value)
    silent = of(built, given, Phase.PROBE).mean()
    np.testing.assert_allclose(of(built, given, Phase.TRAIN).mean(), silent, rtol=1e-4, atol=1e-5)
    for variable, value in zip(averages, before, strict=True):
        assert not np.allclose(variable, value, atol=1e-7)


def test_a_moving_average_goes_a_twentieth_of_the_way():
    built = conditional("x", trunk=Trunk((9,), normalization="batch"))
    of(built, values("x"), Phase.TRAIN)
    h = concatenated(built, values("x"))
    np.testing.assert_allclose(built.norms[0].moving_mean, 0.05 * h.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)


def test_batch_normalisation_of_rows_is_its_formula_and_that_of_images():
    """Values, gradients and moving averages, in float64 NumPy, and by the fused kernel of images."""
    rows, up = 3 * building.normal([7, 4], 1) + 2, building.normal([7, 4], 2)
    found = {}
    for kind, h in {"rows": rows, "images": tf.reshape(rows, [7, 1, 1, 4])}.items():
        norm = NORMALIZATIONS["batch"]()
        norm.build(h.shape)
        norm.gamma.assign([0.5, 1.0, 2.0, -1.0])
        norm.beta.assign([0.1, 0.2, 0.3, 0.4])
        with tf.GradientTape() as tape:
            tape.watch(h)
            y = norm(h, phase=Phase.TRAIN)
        gradients = tape.gradient(y, [h, norm.gamma, norm.beta], tf.reshape(up, h.shape))
        found[kind] = [tf.reshape(y, [7, 4]), tf.reshape(gradients[0], [7, 4]), *gradients[1:], norm.moving_mean,
                       norm.moving_variance]
    h, up, gamma = (np.asarray(v, np.float64) for v in (rows, up, norm.gamma))
    deviation = np.sqrt(h.var(0) + norm.epsilon)
    standard = (h - h.mean(0)) / deviation
    of_h = gamma / deviation * (up - up.mean(0) - standard * (up * standard).mean(0))
    expected = [gamma * standard + norm.beta.numpy(), of_h, (up * standard).sum(0), up.sum(0), 0.05 * h.mean(0),
                0.95 + 0.05 * h.var(0, ddof=1)]
    for values in found.values():
        for value, right in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", IMAGES)
def test_images_of_any_size_go_in_and_come_out(shape):
    dim = int(np.prod(shape))
    sizes, trunk = dict(SIZES, x=dim), Trunk((9, 8), "convolutional", filters=(2, 3), image_shape=shape)
    assert of(conditional("axy", trunk=trunk, sizes=sizes), values("axy", sizes)).mean().shape == (K, B, S, 7)
    for density in ("bernoulli", "gaussian"):
        p = of(conditional("yz", "x", dim, density, trunk, sizes), values("yz", sizes))
        assert p.mean().shape == (K, B, S, dim)
        assert p.log_prob(values("x", sizes)["x"]).shape == (K, B, S)


@pytest.mark.parametrize("shape", IMAGES)
def test_the_convolutional_encoder_halves_the_image_at_every_layer(shape):
    trunk = Trunk((9,), "convolutional", filters=(2, 3), image_shape=shape)
    sizes = dict(SIZES, x=int(np.prod(shape)))
    built = conditional("x", trunk=trunk, sizes=sizes)
    building.scatter_weights(built, 0.3)
    rows = tf.reshape(values("x", sizes)["x"], (B, *shape))
    for layer in built.pixels.chain[:6:3]:
        rows = tf.nn.relu(tf.nn.conv2d(rows, layer.kernel, 2, "SAME") + layer.bias)
    h = relu(tf.reshape(rows, (1, B, 1, -1)).numpy() @ built.parts["x"].kernel.numpy() + built.first_bias.numpy())
    mean = dense(built.last, h)[..., :7]
    np.testing.assert_allclose(of(built, values("x", sizes)).mean(), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", IMAGES)
def test_the_convolutional_decoder_lays_out_means_and_variances_as_the_pixels_of_x(shape):
    trunk = Trunk((9,), "convolutional", filters=(2, 3), image_shape=shape)
    built = conditional("z", "x", int(np.prod(shape)), "gaussian", trunk)
    building.scatter_weights(built, 0.3)
    grid, _, reshape, first, _, _, second = built.last.chain
    h = relu(concatenated(built, values("z"))).reshape(-1, 9)
    rows = tf.nn.relu(first(reshape(relu(dense(grid, h)))))
    pixels = second(rows)[:, : shape[0], : shape[1]].numpy().reshape(-1, *shape[:2], 2, shape[2])
    mean, raw = (pixels[..., plane, :].reshape(K, B, S, -1) for plane in (0, 1))
    p = of(built, values("z"))
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.log(p.variance()), 10 * np.tanh(raw / 10), rtol=1e-3, atol=1e-4)


def test_the_convolutional_trunk_depends_on_every_pixel_and_parent():
    shape = (9, 7, 2)
    trunk, sizes = Trunk((9, 8), "convolutional", filters=(2, 3), image_shape=shape), dict(SIZES, x=126)
    built = conditional("axz", trunk=trunk, sizes=sizes)
    building.scatter_weights(built, 0.5)
    given = values("axz", sizes)
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = tf.reduce_sum(of(built, given).mean() ** 2)
    for gradient in tape.gradient(value, given).values():
        assert np.all(np.abs(gradient).sum((0, 1, 2)) > 0)


class Halves(trunks.layers.Layer):
    """[..., D] -> [..., D / 2]: the sums of neighbours."""

    def call(self, x, phase=Phase.EVALUATE):
        del phase
        return tf.reduce_sum(tf.reshape(x, tf.concat([tf.shape(x)[:-1], [x.shape[-1] // 2, 2]], 0)), -1)


def halving(make):
    """A trunk of one's own, on images of two columns."""
    dim = int(np.prod(make.trunk.image_shape))
    return trunks.Ends(Halves, dim // 2, lambda n: make.dense(n * dim, make.trunk.hidden_units[-1], "own"))


@pytest.fixture
def registered():
    """Puts the trunks back as they were."""
    before = dict(TRUNKS)
    yield trunks.register
    TRUNKS.clear()
    TRUNKS.update(before)


def test_a_trunk_of_ones_own_stands_where_x_is(registered):
    registered("halving", halving)
    registered("halving", halving)
    built = construction.build(Config(model="sdgm", trunk="halving", hidden_units=(5,), auxiliary_dim=3, latent_dim=2),
                         building.Spec((2, 2, 1)))
    assert {key for key, c in built.conditionals.items() if c.pixels} == {"q_a", "q_y", "q_z"}
    assert built.conditionals["q_a"].parts["x"].kernel.shape == (2, 5)
    x = building.normal([B, 4], 3)
    same = tf.reverse(tf.reshape(x, [B, 2, 2]), [-1])
    for phase in Phase:
        found, other = (of(built.conditionals["q_a"], {"x": tf.reshape(v, [1, B, 1, 4])}, phase).mean()
                        for v in (x, same))
        np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-7)
    terms = building.per_example(built, x[:2], building.classes(2), x[2:], building.objective(), building.seed(1))
    assert np.isfinite(terms["unlabelled/bound"]).all()


@pytest.mark.parametrize("name", ["perceptron", "convolutional"])
def test_the_name_of_a_trunk_that_is_there_is_taken(registered, name):
    with pytest.raises(errors.UserError, match=f"^trunk={name}: is taken$"):
        registered(name, halving)
    registered(name, TRUNKS[name])
