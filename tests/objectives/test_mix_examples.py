"""The ablation mix_examples: the reshape of the authors' code of 2015, in NumPy, against ours."""

import building
import numpy as np
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.model import seeds
from adgm_tf.model.contract import Terms
from adgm_tf.model.phase import Phase
from adgm_tf.objectives import bounds
from adgm_tf.training import plan


def reshaped_as_in_2015(f):
    """Their unlabelled bound: [C x U, K, 1, 1], class by class, image, sample, read as [C, K, 1, U]; its mean."""
    num_samples, count, num_classes = f.shape
    theirs = f.transpose(2, 1, 0).reshape(num_classes * count, num_samples, 1, 1)
    return theirs.reshape(num_classes, num_samples, 1, count).mean(1)[:, 0].T


@pytest.mark.parametrize(("num_samples", "count"), [(1, 6), (2, 6), (3, 7), (10, 100)])
def test_the_mean_over_samples_is_that_of_their_reshape(num_samples, count):
    shape = [num_samples, count, building.C]
    terms = Terms(building.normal(shape, 1), building.normal([1, *shape[1:]], 2), building.normal([*shape[:2], 1], 3),
                  building.normal([1, 1, building.C], 4))
    mixed = bounds.mixed_over_examples(terms).log_weight().numpy()
    expected = reshaped_as_in_2015(terms.log_weight().numpy())
    np.testing.assert_allclose(mixed.mean(0), expected, rtol=1e-5, atol=1e-5)


def test_ten_samples_of_a_hundred_images_come_from_ten_other_images():
    image = np.broadcast_to(np.arange(100.0)[None, :, None], [10, 100, 1]).astype(np.float32)
    zero = tf.zeros([1, 1, 1])
    mixed = bounds.mixed_over_examples(Terms(tf.constant(image), zero, zero, zero)).log_weight().numpy()
    for j in (0, 7, 42, 99):
        np.testing.assert_array_equal(mixed[:, j, 0], 10 * np.arange(10) + j // 10)


def bound_of(model, objective, count):
    terms = building.per_example(model, *building.batch(model, 0, count), objective, building.seed(2),
                                 phase=Phase.EVALUATE)
    return terms["unlabelled/bound"].numpy()


@pytest.mark.parametrize("share_latent", [False, True])
def test_the_bound_weighs_the_mixed_evidence_by_the_mean_classifier(share_latent):
    model, count, num_samples = building.model("adgm"), 6, 3
    objective = building.objective(num_samples=num_samples, mix_examples=True, share_latent=share_latent)
    x, seed = building.batch(model, 0, count)[2], building.seed(2)
    auxiliary = model.sample_auxiliary(x, num_samples, seeds.fold(seed, seeds.Draw.AUXILIARY))
    probs = model.q_y(x, auxiliary.value).probs_parameter().numpy().mean(0)
    if share_latent:
        auxiliary = auxiliary._replace(num_samples=1)
    latent = seeds.fold(seed, seeds.Draw.LATENT, 1)
    f = np.broadcast_to(model.log_weight(x, tf.range(building.C)[None, None, :], auxiliary, latent),
                        [num_samples, count, building.C])
    expected = np.sum(probs * (reshaped_as_in_2015(f) - np.log(probs)), 1)
    np.testing.assert_allclose(bound_of(model, objective, count), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["adgm", "m2", "sdgm"])
def test_with_one_sample_nothing_is_mixed(name):
    model = building.model(name)
    plain, mixed = (bound_of(model, building.objective(mix_examples=mix), 6) for mix in (False, True))
    np.testing.assert_allclose(mixed, plain, rtol=1e-5)


@pytest.mark.parametrize("given", [dict(class_sum="topk"), dict(num_importance_samples=2), dict(num_labels="all"),
                                   dict(model="m1", num_labels="0")])
def test_where_there_is_nothing_to_mix_it_is_one_line(given):
    config = Config(**(dict(num_labels="6", class_sum="exact", mix_examples=True) | given))
    with pytest.raises(errors.UserError, match=r"^mix_examples=true: needs the sum over y"):
        plan.make(config, building.split(config))


@pytest.mark.parametrize(("order", "says"), [("shuffled", "an ablation"), ("class_sorted", "its own hidden class")])
def test_a_run_says_what_it_mixes(order, says):
    line = next(line for line in plan.remarks(Config(mix_examples=True, unlabelled_order=order)) if "mix_" in line)
    assert line.endswith(says)
