"""Every signature of an export in ONNX Runtime and in LiteRT, against the SavedModel; needs the extra `export`."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from adgm_tf import runs, saved_model
from adgm_tf.training import job

convert = pytest.importorskip("tf2onnx.convert", reason="needs the extra export")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra export")

pytestmark = pytest.mark.process

SMALL = dict(hidden_units=(12, 10), auxiliary_dim=3, latent_dim=3, num_steps=5, num_eval_samples=3, eval_every=100,
             consistency="none", class_sum="exact", normalization="batch")
MODELS = {"images": dict(model="sdgm", dataset="digits"), "vectors": dict(model="adgm", dataset="moons"),
          "unsupervised": dict(model="avae", dataset="digits", num_labels="0")}
ROWS = 5


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory):
    """The folder of an export, what is asked of its signatures, and what they answer."""
    run_dir = tmp_path_factory.mktemp(request.param) / "run"
    job.run(SMALL | MODELS[request.param] | {"run_dir": str(run_dir)})
    run = runs.load(str(run_dir))
    folder = saved_model.write(run)
    asked = {"images" if run.splits.is_image else "vectors": run.splits.test.x[:ROWS],
             "z": np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32),
             "label": np.arange(ROWS, dtype=np.int32) % run.splits.num_classes}
    loaded = tf.saved_model.load(str(folder))
    answers = {}
    for name, function in loaded.signatures.items():
        given = {k: asked[k] for k in function.structured_input_signature[1]}
        answers[name] = given, {k: v.numpy() for k, v in function(**given).items()}
    return folder, answers


def assert_answers(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)


def test_onnx_runtime_answers_as_the_saved_model(exported, tmp_path, monkeypatch):
    folder, answers = exported
    for name, (given, expected) in answers.items():
        path = tmp_path / f"{name}.onnx"
        monkeypatch.setattr(sys, "argv", ["convert", "--saved-model", str(folder), "--output", str(path),
                                          "--signature_def", name, "--opset", "17"])
        convert.main()
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        assert {i.name for i in session.get_inputs()} == set(given)
        assert_answers(dict(zip(names, session.run(None, given), strict=True)), expected)


def test_litert_answers_as_the_saved_model(exported):
    folder, answers = exported
    converted = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(answers)).convert()
    lite = interpreter.Interpreter(model_content=converted)
    for name, (given, expected) in answers.items():
        assert_answers(lite.get_signature_runner(name)(**given), expected)
