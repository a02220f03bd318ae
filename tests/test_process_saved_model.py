"""The SavedModel against the live model, in a process where the package and its libraries cannot be imported; and every
signature in ONNX Runtime and in LiteRT against the SavedModel, where the extra `export` is installed.
"""

import os
import subprocess
import sys

import numpy as np
import process
import pytest
import tensorflow as tf

from adgm_tf.objectives import estimates
from adgm_tf.runs import job, saved_model, stored

pytestmark = pytest.mark.process

SMALL = dict(dataset="digits", hidden_units=(12,), auxiliary_dim=3, latent_dim=3, num_steps=5, num_eval_samples=3,
             consistency="none", class_sum="exact", eval_every=100)
MODELS = {
    "sdgm": dict(model="sdgm", normalization="batch", ema_decay=0.5),
    "m2": dict(model="m2", trunk="convolutional", filters=(4, 6), normalization="layer"),
    "m1": dict(model="m1", num_labels="0"),
    "bound": dict(model="sdgm", classifier="bound"),
    "moons": dict(model="adgm", dataset="moons"),
    "unlabelled": dict(model="m2", num_labels="0"),
}
# Runs what is asked of every signature and writes the answers; imports nothing but TensorFlow and NumPy.
STRANGER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("adgm_tf", "tensorflow_probability", "tf_keras", "jaxtyping"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import numpy as np, tensorflow as tf
answers = {}
for name, path in (a.split("=") for a in sys.argv[3:]):
    asked = {k.split("/", 1)[1]: v for k, v in np.load(sys.argv[1]).items() if k.startswith(name + "/")}
    loaded = tf.saved_model.load(path)
    for signature, function in loaded.signatures.items():
        wanted = function.structured_input_signature[1]
        for rows in (7, 1):
            given = {k: tf.constant(asked[k][:rows]) for k in wanted}
            for k, v in function(**given).items():
                answers[f"{name}/{signature}/{rows}/{k}"] = v.numpy()
np.savez(sys.argv[2], **answers)
"""


def x_name(run):
    return "images" if run.splits.is_image else "vectors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns runs by name, what was asked of them, and what their exports answered in a process of their own."""
    folder = tmp_path_factory.mktemp("exports")
    found, asked, paths = {}, {}, []
    for name, changes in MODELS.items():
        job.run(SMALL | changes | {"run_dir": str(folder / name)})
        found[name] = stored.load(str(folder / name))
        paths.append(f"{name}={saved_model.write(found[name])}")
        asked[f"{name}/{x_name(found[name])}"] = found[name].splits.test.x[:7]
        asked[f"{name}/z"] = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
        asked[f"{name}/label"] = np.arange(7, dtype=np.int32) % found[name].splits.num_classes
    np.savez(folder / "asked.npz", **asked)
    subprocess.run([sys.executable, "-c", STRANGER, folder / "asked.npz", folder / "answers.npz", *paths], check=True,
                   cwd=folder, env={k: v for k, v in process.environment().items() if k != "PYTHONPATH"},
                   timeout=process.TIMEOUT, capture_output=True)
    with np.load(folder / "answers.npz") as answers:
        return found, asked, dict(answers)


@pytest.fixture(params=MODELS)
def one(request, exported):
    found, asked, answers = exported
    name = request.param
    return found[name], *({k.split("/", 1)[1]: v for k, v in d.items() if k.startswith(f"{name}/")}
                          for d in (asked, answers))


def assert_close(left, right):
    np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-5)


def names_classes(run):
    return run.model.has_classes and len(run.splits.labelled) > 0


def given(run, x):
    """Returns what the model draws in the units of the data source."""
    x = x.numpy().reshape(-1, *run.splits.x_shape)
    return x if run.spec.is_image else run.spec.preprocess.inverse(x)


def test_encodes(one):
    run, asked, answers = one
    code = run.model.encode(tf.constant(run.splits.prepared(asked[x_name(run)])[0]))
    assert_close(answers["encode/7/z"], code.z)
    assert ("encode/7/a" in answers) == (run.model.row.q_a is not None)
    if run.model.row.q_a:
        assert_close(answers["encode/7/a"], code.a)
    assert ("encode/7/label" in answers) == names_classes(run)
    if names_classes(run):
        np.testing.assert_array_equal(answers["encode/7/label"], code.y)


def test_classifies(one):
    run, _, answers = one
    if not names_classes(run):
        assert_close(answers["serving_default/7/z"], answers["encode/7/z"])
        assert "serving_default/7/probs" not in answers
        assert not (run.path / "export" / "1" / "classes.txt").exists()
        return
    probs = run.evaluator().probs(run.splits.test)[:7]
    assert_close(answers["serving_default/7/probs"], probs)
    np.testing.assert_array_equal(answers["serving_default/7/label"], probs.argmax(-1))


def test_generates(one):
    run, asked, answers = one
    y = tf.constant(asked["label"]) if run.model.has_classes else None
    assert_close(answers["generate/7/generated"], given(run, run.model.generate(y, tf.constant(asked["z"]))))


def test_reconstructs(one):
    run, asked, answers = one
    x = tf.constant(run.splits.prepared(asked[x_name(run)])[0])
    assert_close(answers["reconstruct/7/reconstructed"], given(run, run.model.reconstruct(x)))


def test_bounds(one):
    run, asked, answers = one
    x = tf.constant(run.splits.prepared(asked[x_name(run)])[0])
    seed = run.evaluator().seed
    expected = estimates.unlabelled_bound_of(run.model, x, run.config.num_eval_samples, seed, shared_noise=True)
    assert_close(answers["bound/7/bound_nats"], expected)


def test_answer_to_one_does_not_depend_on_the_others(one):
    _, _, answers = one
    for name, value in answers.items():
        if "/7/" in name:
            assert_close(value[:1], answers[name.replace("/7/", "/1/")])
    assert answers["bound/1/bound_nats"].shape == (1,)


@pytest.mark.parametrize("shape", [(5, 8, 8, 3), (5, 8, 8), (5, 64), (5, 8, 4, 2), (5, 4, 16, 1), (8, 8, 1)])
def test_another_shape_is_refused(exported, shape):
    loaded = tf.saved_model.load(str(exported[0]["sdgm"].path / "export" / "1"))
    x = np.full(shape, 9, np.uint8)
    for name in ("serving_default", "encode", "reconstruct", "bound"):
        for given in (x, tf.constant(x)):
            with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
                loaded.signatures[name](images=given)
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        loaded.signatures["generate"](label=tf.constant([1]), z=tf.zeros([1, 9]))


def test_real_numbers_in_the_place_of_bytes_are_refused_in_words(exported):
    loaded = tf.saved_model.load(str(exported[0]["sdgm"].path / "export" / "1"))
    x = np.random.default_rng(0).uniform(size=(5, 8, 8, 1))
    for name in ("serving_default", "encode", "reconstruct", "bound"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="images come as uint8 from 0 to 255, not as real"):
            loaded.signatures[name](images=x)
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a uint8 tensor but is a double"):
            loaded.signatures[name](images=tf.constant(x))


def test_inputs_and_outputs_have_names_of_their_own_and_nothing_is_drawn(exported):
    for run in exported[0].values():
        loaded = tf.saved_model.load(str(run.path / "export" / "1"))
        for function in loaded.signatures.values():
            assert not set(function.structured_input_signature[1]) & set(function.structured_outputs)
            graphs = [function.graph, *(f.graph for f in function._inference_function.graph._functions.values()
                                        if hasattr(f, "graph"))]
            assert not [op.type for graph in graphs for op in graph.get_operations() if "Random" in op.type]


def test_signatures_are_readable(exported):
    found, *_ = exported
    tool = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")  # noqa: PTH118, PTH120
    shown = subprocess.run([sys.executable, tool, "show", "--all", "--dir", found["sdgm"].path / "export" / "1"],
                           check=True, capture_output=True, text=True, env=process.environment()).stdout
    for name in ("serving_default", "encode", "generate", "reconstruct", "bound"):
        assert f"signature_def['{name}']" in shown
    for name in ("inputs['images']", "inputs['label']", "inputs['z']", "outputs['probs']", "outputs['label']",
                 "outputs['z']", "outputs['a']", "outputs['generated']", "outputs['reconstructed']",
                 "outputs['bound_nats']"):
        assert name in shown
    assert "shape: (-1, 8, 8, 1)" in shown
    assert "dtype: DT_UINT8" in shown


def test_versions_increase_and_none_is_half(exported, monkeypatch):
    found, *_ = exported
    run = found["moons"]
    folder = run.path / "export"

    def interrupted(model, path, *_):
        (saved_model.pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saved_model.tf.saved_model, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            saved_model.write(run)
    assert [p.name for p in folder.iterdir()] == ["1"]
    assert saved_model.write(run).name == "2"
    assert (folder / "2" / "classes.txt").read_text() == "upper\nlower\n"


RUNTIMES = ("sdgm", "moons", "m1")


def assert_answers(found, answers, name):
    expected = {k.split("/")[2]: v for k, v in answers.items() if k.startswith(f"{name}/7/")}
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("one", RUNTIMES, indirect=True)
def test_onnx_runtime_answers_as_the_saved_model(one, tmp_path, monkeypatch):
    convert = pytest.importorskip("tf2onnx.convert", reason="needs the extra export")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    run, asked, answers = one
    for name in {k.split("/")[0] for k in answers}:
        path = tmp_path / f"{name}.onnx"
        monkeypatch.setattr(sys, "argv", ["convert", "--saved-model", str(run.path / "export" / "1"), "--output",
                                          str(path), "--signature_def", name, "--opset", "17"])
        convert.main()
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        given = {i.name: asked[i.name] for i in session.get_inputs()}
        assert_answers(dict(zip(names, session.run(None, given), strict=True)), answers, name)


@pytest.mark.parametrize("one", RUNTIMES, indirect=True)
def test_litert_answers_as_the_saved_model(one):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra export")
    run, asked, answers = one
    signatures = sorted({k.split("/")[0] for k in answers})
    folder = str(run.path / "export" / "1")
    converted = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=signatures).convert()
    lite = interpreter.Interpreter(model_content=converted)
    for name, parts in lite.get_signature_list().items():
        found = lite.get_signature_runner(name)(**{k: asked[k] for k in parts["inputs"]})
        assert_answers(found, answers, name)
