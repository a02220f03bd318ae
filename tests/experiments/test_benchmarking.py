import json
import shutil

import building
import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.experiments.speed import (
    against,
    cases,
    counting,
    kinds,
    measure,
    naive,
    on_disk,
    processes,
    report,
    threads,
)
from adgm_tf.host import errors
from adgm_tf.model import construction, seeds

SMALL = dict(hidden_units=(12, 9), auxiliary_dim=3, latent_dim=4)
BY_HAND = {"exact": 15.1e6, "topk": 6.8e6, "naive": 18.7e6}


def forward_multiply_adds(mode):
    """Of one labelled and one unlabelled example of the poster's model."""
    case = cases.Case(mode=mode)
    build = naive.build if mode == "naive" else construction.build
    model = build(case.config(), building.Spec((28, 28, 1), 10))
    objective = building.objective(class_sum=case.config().class_sum)

    @tf.function
    def forward():
        x = tf.zeros([2, 784])
        terms = building.terms(model, x[:1], tf.zeros([1], tf.int32), x[1:], objective, seeds.of_run(0))
        return building.total(terms, 1, 1)

    return counting.multiply_adds(forward.get_concrete_function())


@pytest.mark.parametrize("mode", BY_HAND)
def test_counted_arithmetic_is_that_worked_out_by_hand(mode):
    assert forward_multiply_adds(mode) == pytest.approx(BY_HAND[mode], rel=0.005)


def test_a_count_knows_transposed_operands():
    product = tf.function(lambda a, b: tf.matmul(a, b, transpose_a=True, transpose_b=True))
    traced = product.get_concrete_function(tf.TensorSpec([5, 3]), tf.TensorSpec([7, 5]))
    assert counting.products(traced) == [counting.Product(3, 5, 7, True, True)]


def test_a_count_leaves_out_what_no_output_needs():
    def function(a):
        tf.matmul(a, a)
        return tf.matmul(a, a[:, :2])

    traced = tf.function(function).get_concrete_function(tf.TensorSpec([4, 4]))
    assert counting.multiply_adds(traced) == 4 * 4 * 2


@pytest.mark.parametrize("row", ["adgm", "adgm_icml"])
def test_naive_model_computes_the_same_weights(row):
    config = Config(model=row, class_sum="exact", **SMALL)
    split, repeated = (build(config, building.Spec((4, 4, 1), 3)) for build in (construction.build, naive.build))
    for key, conditional in split.conditionals.items():
        copy = repeated.conditionals[key]
        first = [conditional.parts[p].weights[0] for p in copy.sizes]
        copy.stack[0].set_weights([np.concatenate(first), conditional.first_bias.numpy()])
        copy.stack[1].set_weights(conditional.hidden[0].get_weights())
        copy.last.set_weights(conditional.last.get_weights())
    x, seed = tf.random.stateless_uniform([5, 16], [1, 2]), seeds.of_run(3)
    y = tf.range(3)[None, None, :]
    auxiliary = split.sample_auxiliary(x, 1, seed)
    np.testing.assert_allclose(repeated.sample_auxiliary(x, 1, seed).value, auxiliary.value, rtol=1e-5)
    np.testing.assert_allclose(repeated.q_y(x, auxiliary.value).logits, split.q_y(x, auxiliary.value).logits, rtol=1e-4)
    np.testing.assert_allclose(repeated.log_weight(x, y, auxiliary, seed), split.log_weight(x, y, auxiliary, seed),
                               rtol=1e-5)


@pytest.mark.slow
def test_a_measurement_has_the_figures_of_its_cases(monkeypatch):
    monkeypatch.setattr(measure, "SECONDS_A_TURN", 0.01)
    monkeypatch.setattr(measure, "PRODUCT", counting.Product(50, 20, 20, False, False))
    monkeypatch.setattr(cases.Case, "config", lambda self: Config(
        model=self.model, class_sum="topk" if self.mode == "topk" else "exact", consistency="none", **SMALL))
    found = measure.measure({"exact": cases.Case(), "topk": cases.Case(mode="topk")}, rounds=2)
    assert found["cases"]["exact"]["gigaflop_per_step"] > found["cases"]["topk"]["gigaflop_per_step"]
    counted = found["ratios"]["ratios"]["topk_over_exact_counted"]
    assert counted == pytest.approx(found["cases"]["exact"]["gigaflop_per_step"]
                                    / found["cases"]["topk"]["gigaflop_per_step"])
    json.dumps(found)


@pytest.mark.parametrize(("operation", "kind"), [
    ("while/body/_1/while/p_x_given_yz/hidden_1/MatMul:_MklNativeFusedMatMul", "products"),
    ("gradient_tape/while/q_y_given_ax/batch_normalization_3/batchnorm/mul:Mul", "normalisation"),
    ("while/stateless_random_uniform/StatelessRandomUniformV2:StatelessRandomUniformV2", "random numbers"),
    ("while/Adam/Adam/update_3/ResourceApplyAdam:ResourceApplyAdam", "optimiser"),
    ("while/bernoulli/log_prob/Softplus:Softplus", "log-densities"), ("while/concat:ConcatV2", "other")])
def test_an_operation_has_a_kind(operation, kind):
    assert kinds.kind_of(operation) == kind


def test_the_profiler_sees_a_product():
    product = tf.function(lambda a: tf.matmul(a, a))
    found = kinds.seconds(lambda: product(tf.ones([200, 200])).numpy())
    assert sum(spent for operation, spent in found.items() if kinds.kind_of(operation) == "products") > 0


def test_processes_are_measured_in_turn_and_their_medians_count(monkeypatch):
    given_back = []

    def finish(variables):
        given_back.append(variables is not None)
        return {"seconds_per_step": [1.0, 10.0, 9.0, 40.0, 2.0, 20.0][len(given_back) - 1]}

    monkeypatch.setattr(processes, "start", lambda name, replicas, steps, variables=None: variables)
    monkeypatch.setattr(processes, "finish", finish)
    found = processes.freed_memory("exact", 3, 1)
    assert given_back == [False, True] * 3
    assert found == {"memory_kept": {"seconds_per_step": 2.0}, "memory_given_back": {"seconds_per_step": 20.0}}


def test_check_names_each_ratio_that_got_worse():
    stored = {"topk_over_exact": 2.0, "non_matmul_share_float32": 0.2, "topk_over_exact_counted": 2.0}
    report.check({"ratios": {"topk_over_exact": 1.9, "non_matmul_share_float32": 0.21}}, stored, 0.1)
    line = "topk_over_exact is 1.500, was 2.000; non_matmul_share_float32 is 0.300"
    with pytest.raises(errors.UserError, match=line):
        report.check({"ratios": {"topk_over_exact": 1.5, "non_matmul_share_float32": 0.3,
                                 "topk_over_exact_counted": 1.0}}, stored, 0.1)


@pytest.mark.slow
def test_data_on_disk_are_measured_beside_resident_ones(monkeypatch, tmp_path):
    monkeypatch.setattr(on_disk, "GIBIBYTES", ())
    monkeypatch.setattr(on_disk, "WIDTHS", (8,))
    monkeypatch.setattr(on_disk, "SPEED_MEBIBYTES", 1)
    monkeypatch.setattr(on_disk, "TURNS", 1)
    monkeypatch.setattr(on_disk, "STEPS_A_TURN", 2)
    found = on_disk.run()
    assert found["speed"][0]["speed_in_blocks_over_resident"] == pytest.approx(
        found["speed"][0]["seconds_per_step_resident"] / found["speed"][0]["seconds_per_step_in_blocks"])
    monkeypatch.setattr(on_disk, "STEPS", 2)
    line = on_disk.memory(on_disk.make(tmp_path / "data", 2**19, 8))
    found["memory"] = [{"gibibytes": 1, **line}]
    assert line["rows"] == 2**19 // 32
    assert f"| 1 GiB | {line['rows']:,} |" in on_disk.markdown(found)


def test_a_quick_benchmark_measures_the_memory_of_every_case(monkeypatch):
    measured = {"cases": {"exact": {}, "topk": {}}, "ratios": {"ratios": {}}, "product_gflops": {}}
    monkeypatch.setattr(measure, "measure", lambda chosen, rounds: measured)
    monkeypatch.setattr(processes, "alone_elsewhere", lambda name: {"peak_memory_mib": len(name)})
    found = report.run(["exact", "topk"], 1, quick=True)
    assert [case["peak_memory_mib"] for case in found["cases"].values()] == [5, 4]


def test_shares_of_a_step_add_up(monkeypatch):
    monkeypatch.setattr(cases.Case, "config", lambda self: Config(model="m2", consistency="none", **SMALL))
    found = kinds.run(["exact"])
    assert sum(found["cases"]["exact"].values()) == pytest.approx(1)
    assert f"| exact | {100 * found['cases']['exact']['products']:.1f} |" in kinds.markdown(found)


def test_a_checkout_without_the_package_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=f"^against={tmp_path}: holds no adgm_tf$"):
        against.run(str(tmp_path))


@pytest.mark.slow
def test_a_version_is_measured_in_turn_with_another(monkeypatch, tmp_path):
    """Beside a copy of itself whose steps are never timed to less than a second."""
    shutil.copytree(process.ROOT / "adgm_tf", tmp_path / "adgm_tf")
    slow = tmp_path / "adgm_tf" / "training" / "step.py"
    slow.write_text(slow.read_text().replace("        start, end = self.step", "        import time; time.sleep(2)\n"
                                             "        start, end = self.step"))
    monkeypatch.setattr(against, "CASES", ("topk",))
    monkeypatch.setattr(against, "TURNS", 3)
    found = against.run(str(tmp_path))
    one = found["cases"]["topk"]
    assert one["that_ms"] > one["this_ms"]
    assert one["times_as_fast"] > 1
    assert f"{one['times_as_fast']:.2f}" in against.markdown(found)


@pytest.mark.slow
def test_pools_of_threads_are_measured_in_turn(monkeypatch):
    monkeypatch.setattr(threads, "CASES", ("topk",))
    monkeypatch.setattr(against, "TURNS", 3)
    found = threads.run()
    one = found["cases"]["topk"]
    assert one["ratios"].keys() == {"branches", "products"}
    assert all(len(ratios) == 3 for ratios in one["ratios"].values())
    assert f"| topk | {one['ms']['both']:.1f} | {one['times_as_fast']['branches']:.2f} (" in threads.markdown(found)
