"""The benchmark on a GPU: what it measures, what it says of what is missing, and the port in PyTorch beside it."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from unittest import mock

import building
import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.experiments import outputs
from adgm_tf.experiments.speed import accelerator, against, figures
from adgm_tf.experiments.speed.accelerator import Figure
from adgm_tf.model import engine, seeds
from adgm_tf.model.family import FAMILY
from adgm_tf.model.trunks import Trunk

SMALL = dict(hidden_units=(12, 9), auxiliary_dim=3, latent_dim=4)
ALPHA, LABELLED, UNLABELLED = 1.5, 4, 6
# No matrix is square, so that a transposed one shows.
UNITS = (9, 7)
MEASURED = {"steps_per_second": 812.0, "device": "A GPU", "tf32": True}


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(figures, "STEPS_A_CALL", 2)
    monkeypatch.setattr(figures, "WARM_UP", 1)
    monkeypatch.setattr(figures, "PROBE", 1)


@pytest.fixture
def no_process(monkeypatch):
    monkeypatch.setattr(against, "worker", None)


@pytest.fixture
def answered(monkeypatch):
    """Processes that answer every request with the same, and the requests."""
    requests = []

    def ask(running, request, seconds):
        requests.append((running, request))
        return dict(MEASURED) if request["batch"] == 100 else {"missing": "failed: OutOfMemory: too large"}

    def worker(script, **_):
        running = mock.Mock(spec=subprocess.Popen, args=[script])
        running.poll.return_value = None
        return contextlib.nullcontext(running)

    monkeypatch.setattr(against, "worker", worker)
    monkeypatch.setattr(figures, "ask", ask)
    return requests


def test_every_figure_is_planned_once_and_the_first_compare_with_the_port():
    found = accelerator.planned()
    assert len(set(found)) == len(found)
    own, ported = 3 * len(accelerator.MODELS), 4 * len(accelerator.PORTED)
    assert len(found) == len(accelerator.BATCHES) * (own + ported)
    assert {one.variant for one in found[:5]} >= {"float32", "xla", "torch_eager", "torch_compiled"}
    assert {(one.model, one.batch) for one in found[:5]} == {("adgm", 100)}


def test_the_best_recipe_is_that_of_its_flags(parse):
    flags = parse(f"--flagfile={process.ROOT / 'launch/best_deep/flags.txt'}")
    of_the_run = {"dataset", "num_labels", "num_valid", "track_test", "unlabelled_batch_size", "compute_dtype",
                  "num_steps", "eval_every", "checkpoint_every", "strategy"}
    assert {name: value for name, value in flags.items() if name not in of_the_run} == accelerator.BEST_DEEP


def test_without_time_nothing_is_measured_and_the_table_says_so(no_process, monkeypatch):
    monkeypatch.setattr(accelerator, "_has_torch", lambda: False)
    found = json.loads(json.dumps(accelerator.run(0)))
    assert len(found["figures"]) == len(accelerator.planned())
    assert {one["missing"] for one in found["figures"]} == {"not measured", "not installed"}
    table = accelerator.markdown(found)
    assert ("| adgm, 100+100 | not measured | not measured | not measured | not installed | not installed | "
            "not installed | not installed |") in table
    assert "| best_deep, 4000+4000 | not measured | not measured | not measured | no port |" in table
    assert "Not measured: 48 of 80 figures, for which --minutes=0 did not suffice." in table
    assert "PyTorch not installed." in table


def test_a_table_has_figures_and_why_others_are_missing(answered, monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "_has_torch", lambda: True)
    monkeypatch.setattr(accelerator.importlib.metadata, "version", lambda name: "1.2")
    monkeypatch.setattr(accelerator, "BATCHES", (100, 500))
    found = accelerator.run(1)
    table = accelerator.markdown(json.loads(json.dumps(found)))
    cell = "812.0 (162,400)"
    assert f"| adgm, 100+100 | {' | '.join([cell] * 7)} |" in table
    assert f"| sdgm, 100+100 | {' | '.join([cell] * 3 + ['no port'] * 4)} |" in table
    assert f"| adgm, 500+500 | {' | '.join(['failed'] * 7)} |" in table
    assert "adgm, 500+500, XLA: failed: OutOfMemory: too large." in table
    assert "PyTorch 1.2 on A GPU, TensorFloat-32 on." in table
    assert f"adgm, batch 100, xla: {cell}" in capsys.readouterr().out
    asked = [request["model"] for running, request in answered if running.args[0].endswith("torch_port.py")]
    assert set(asked) == {"adgm", "sdgm"}


def test_an_experiment_shows_the_table(no_process, tmp_path):
    found = accelerator.run(0)
    (tmp_path / "accelerator.json").write_text(json.dumps(found))
    output = outputs.Benchmark("accelerator.json", table="accelerator")
    assert output.redraw(outputs.Places(tmp_path, tmp_path)) == [accelerator.markdown(found)]


def test_steps_of_a_call_follow_their_time(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(figures.time, "perf_counter", lambda: next(clock))
    asked = []
    found = figures.timed(asked.append)
    # Every call takes a second.
    assert asked == [1, figures.WARM_UP, figures.PROBE, *[10] * figures.CALLS]
    assert found["steps_per_second"] == pytest.approx(10)
    monkeypatch.setattr(figures.time, "perf_counter", lambda: 1e-6 * next(clock))
    asked.clear()
    assert figures.timed(asked.append)["steps_per_call"] == asked[-1] == figures.STEPS_A_CALL


@pytest.mark.process
def test_a_process_answers_says_why_not_and_is_ended_when_it_takes_long():
    code = ("import time\nfrom adgm_tf.experiments.speed import figures\n"
            "def measure(seconds):\n    print('noise')\n    time.sleep(seconds)\n    return {'slept': 1 / seconds}\n"
            "figures.answer(measure)")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, env=process.environment()) as one:
        assert figures.ask(one, {"seconds": 0.5}, 60) == {"slept": 2}
        assert figures.ask(one, {"seconds": 0}, 60)["missing"].startswith("failed: ZeroDivisionError: ")
        start = time.monotonic()
        assert figures.ask(one, {"seconds": 50}, 0.5) is None
        assert time.monotonic() - start < 20
        assert one.poll() is not None
        assert figures.ask(one, {"seconds": 0.1}, 60) is None


@pytest.mark.parametrize(("model", "variant"), [
    ("adgm", "float32"), pytest.param("adgm", "xla", marks=pytest.mark.slow),
    pytest.param("best_deep", "xla_bfloat16", marks=pytest.mark.slow)])
def test_a_figure_of_the_package_is_that_of_its_trainer(few_steps, monkeypatch, model, variant):
    units = (8, 6) if model == "best_deep" else ()
    small = dataclasses.replace(accelerator.MODELS[model], classifier_units=units, **SMALL)
    monkeypatch.setitem(accelerator.MODELS, model, small)
    found = accelerator._answer(model, 8, variant)
    assert len(found["seconds_per_step"]) == figures.CALLS
    assert found["steps_per_second"] == pytest.approx(1 / np.median(found["seconds_per_step"]))
    assert found["device"]


@pytest.mark.slow
@pytest.mark.process
def test_figures_are_measured_in_processes_of_their_own(monkeypatch):
    wanted = [Figure("adgm", 100, "xla"), Figure("adgm", 100, "torch_eager")]
    monkeypatch.setattr(accelerator, "planned", lambda: wanted)
    own, torch = accelerator.run(3)["figures"]
    assert own["examples_per_second"] == 200 * own["steps_per_second"] > 0
    assert "steps_per_second" in torch or torch["missing"] == "not installed"


# The port


@pytest.fixture
def torch_port():
    pytest.importorskip("torch", reason="needs the extra torch")
    from adgm_tf.experiments.speed import torch_port
    return torch_port


def copied(torch_port, model, row):
    """The port of a model of the package, with its weights."""
    import torch
    sizes = torch_port.PortSizes(building.A, building.D, building.Z, building.C, UNITS)
    port = torch_port.Port(FAMILY[row], sizes, ALPHA)
    with torch.no_grad():
        for key, conditional in model.conditionals.items():
            for weight, variable in pairs(port.conditionals[key], conditional):
                value = variable.numpy()
                weight.copy_(torch.from_numpy(value.T if weight.shape != value.shape else value))
    return port


def pairs(mine, theirs):
    """Weights of a conditional of the port, each with its variable."""
    for letter, part in theirs.parts.items():
        yield mine.parts[letter].weight, part.weights[0]
    yield mine.first_bias, theirs.first_bias
    for linear, dense in zip(mine.rest, [*theirs.hidden, theirs.last], strict=True):
        yield linear.weight, dense.kernel
        yield linear.bias, dense.bias


def noise():
    """Of a, and of z of the labelled and the unlabelled examples, as the package has them."""
    shapes = ([1, LABELLED + UNLABELLED, 1, building.A], [1, LABELLED, 1, building.Z],
              [1, UNLABELLED, building.C, building.Z])
    return [building.normal(shape, 5, i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("row", ["adgm", "sdgm"])
def test_the_port_has_the_loss_and_the_gradients_of_the_package(torch_port, monkeypatch, row):
    import torch
    model = building.model(row, likelihood="bernoulli", trunk=Trunk(UNITS))
    x_labelled, y, x_unlabelled = building.batch(model, LABELLED, UNLABELLED)
    of_shape = {tuple(draw.shape): draw for draw in noise()}
    monkeypatch.setattr(engine, "draw", lambda q, *_, **__: q.mean() + q.stddev() * of_shape[tuple(q.mean().shape)])
    options = building.objective(classification_weight=ALPHA)
    with tf.GradientTape() as tape:
        terms = building.terms(model, x_labelled, y, x_unlabelled, options, seeds.of_run(0))
        loss = building.total(terms, LABELLED, UNLABELLED)
    gradients = dict(zip([v.ref() for v in model.trainable_variables], tape.gradient(loss, model.trainable_variables),
                         strict=True))

    port = copied(torch_port, model, row)
    drawn = torch_port.PortNoise(*(torch.from_numpy(draw.numpy()[0]) for draw in noise()))
    x = torch.from_numpy(tf.concat([x_labelled, x_unlabelled], 0).numpy())
    ported = port(x, torch.from_numpy(y.numpy()).long(), drawn)
    assert ported.item() == pytest.approx(float(loss), rel=1e-5)
    ported.backward()
    compared = 0
    for key, conditional in model.conditionals.items():
        for weight, variable in pairs(port.conditionals[key], conditional):
            theirs = tf.convert_to_tensor(gradients[variable.ref()]).numpy()
            mine = weight.grad.numpy()
            np.testing.assert_allclose(mine.T if mine.shape != theirs.shape else mine, theirs, rtol=1e-4,
                                       atol=1e-5 * abs(theirs).max())
            compared += 1
    assert compared == len(model.trainable_variables)


@pytest.mark.parametrize("variant", ["torch_eager", pytest.param("torch_bfloat16", marks=pytest.mark.slow)])
def test_steps_of_the_port_make_the_loss_smaller(torch_port, variant):
    steps = torch_port.PortSteps("sdgm", 20, variant, Config(**SMALL))
    before = steps.train(5)
    steps.train(100)
    assert steps.train(5) < before


def test_the_port_has_the_weight_prior_in_its_gradient(torch_port):
    steps = torch_port.PortSteps("adgm", 2, "torch_eager", Config(**SMALL))
    steps.loss(steps.x, steps.y).backward()
    before = [w.grad.clone() for w in steps.weights]
    steps._add_weight_prior()
    for gradient, weight in zip(before, steps.weights, strict=True):
        np.testing.assert_allclose(weight.grad, gradient + weight.detach() / torch_port.EXAMPLES, atol=1e-7)
