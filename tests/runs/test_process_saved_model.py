"""The SavedModel against the live model, in a process where the package and its libraries cannot be imported; in Keras'
TFSMLayer; and with the requests and messages of TensorFlow Serving.
"""

import io
import json
import os
import pathlib
import subprocess
import sys

import exporting
import numpy as np
import process
import pytest
import tensorflow as tf
from PIL import Image

from adgm_tf.analysis import calibration, uncertainty
from adgm_tf.model import seeds
from adgm_tf.objectives import estimates
from adgm_tf.objectives.estimates import Described
from adgm_tf.runs import other_runtimes, saved_model, warmup

pytestmark = [pytest.mark.process, pytest.mark.slow]

SAVED = ("sdgm", "m2", "m1", "bound", "moons", "unlabelled", "table")
ROWS = 7
# Runs what is asked of every signature and writes the answers; imports nothing but TensorFlow and NumPy.
STRANGER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("adgm_tf", "tensorflow_probability", "tf_keras", "jaxtyping", "pandas", "PIL"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import numpy as np, tensorflow as tf
answers, asked = {}, np.load(sys.argv[1], allow_pickle=True)
for name, path in (a.split("=") for a in sys.argv[3:]):
    loaded = tf.saved_model.load(path)
    for signature, function in loaded.signatures.items():
        wanted = function.structured_input_signature[1]
        for rows in (7, 1):
            given = {k: tf.constant(asked[f"{name}/{signature}/{k}"][:rows]) for k in wanted}
            for k, v in function(**given).items():
                answers[f"{name}/{signature}/{rows}/{k}"] = v.numpy()
np.savez(sys.argv[2], **answers)
"""


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()


def asked_of(name):
    """What is asked of each signature of a SavedModel, by the names of its inputs."""
    given, _ = exporting.exportable(name)
    plain = exporting.asked(name, ROWS)
    of_generator = {k: plain[k] for k in ("z", "label")}
    if given.spec.is_table:
        cells = exporting.cells(name, ROWS)
        others = dict.fromkeys(("serving_default", "encode", "reconstruct", "bound"), cells) | {
            "classify_cells": exporting.as_words(cells)}
    else:
        others = dict.fromkeys(("serving_default", "encode", "reconstruct", "bound"), plain)
        if given.spec.is_image:
            others["classify_bytes"] = {"image_bytes": np.array([png(x) for x in plain["images"]], object)}
    return others | {"generate": of_generator}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns the folders of exports by name, and what they answered in a process of their own."""
    folder = tmp_path_factory.mktemp("exports")
    paths = {name: saved_model.write_version(folder / name, exporting.exportable(name)[0]) for name in SAVED}
    np.savez(folder / "asked.npz", **{f"{name}/{signature}/{key}": value for name in SAVED
                                      for signature, values in asked_of(name).items()
                                      for key, value in values.items()})
    subprocess.run([sys.executable, "-c", STRANGER, folder / "asked.npz", folder / "answers.npz",
                    *(f"{name}={path}" for name, path in paths.items())],
                   check=True, cwd=folder, timeout=process.TIMEOUT,
                   env={k: v for k, v in process.environment().items() if k != "PYTHONPATH"}, capture_output=True)
    with np.load(folder / "answers.npz", allow_pickle=True) as answers:
        return paths, dict(answers)


@pytest.fixture(params=SAVED)
def one(request, exported):
    """Returns a model with its name, what it sees and describes of the rows, and what its export answered."""
    answers, name = exported[1], request.param
    given, data = exporting.exportable(name)
    seen, *described = (tf.constant(v) for v in data.prepared(data.test.x[:ROWS]) if v is not None)
    return name, given, (seen, Described(*described)), {
        k.split("/", 1)[1]: v for k, v in answers.items() if k.startswith(f"{name}/")}


def assert_close(left, right):
    np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-5)


def names_classes(given):
    return given.model.has_classes and given.spec.has_labels


def seed_of(given):
    return seeds.fold(seeds.of_run(given.config.seed), seeds.Draw.EVALUATION)


def assert_given(given, answers, signature, x):
    """What the model draws comes in the units of the data source: images, vectors, or rows by column."""
    found = {k.split("/")[2]: v for k, v in answers.items() if k.startswith(f"{signature}/{ROWS}/")}
    rows = given.spec.preprocess.inverse(x.numpy())
    if not given.spec.is_table:
        (value,) = found.values()
        assert_close(value, rows)
        return
    names = given.signatures().columns.names
    assert set(found) == set(names.values())
    for column in rows.columns:
        value = found[names[column]]
        if value.dtype == object:
            assert [v.decode() for v in value] == rows[column].tolist()
        else:
            assert_close(value, rows[column])


def test_encodes(one):
    _, given, (seen, _), answers = one
    code = given.model.encode(seen)
    assert_close(answers["encode/7/z"], code.z)
    assert ("encode/7/a" in answers) == (given.model.row.q_a is not None)
    if given.model.row.q_a:
        assert_close(answers["encode/7/a"], code.a)
    assert ("encode/7/label" in answers) == ("encode/7/class" in answers) == names_classes(given)
    if names_classes(given):
        np.testing.assert_array_equal(answers["encode/7/label"], code.y)


def test_classifies_with_calibrated_probabilities_and_names(one, exported):
    name, given, (seen, described), answers = one
    classes = exported[0][name] / "classes.txt"
    if not names_classes(given):
        assert_close(answers["serving_default/7/z"], answers["encode/7/z"])
        assert "serving_default/7/probs" not in answers
        assert not classes.exists()
        return
    live = estimates.CLASSIFY_BY[given.config.classifier](given.model, seen, 3, seed_of(given), described=described)
    probs = calibration.apply(live.numpy(), given.answers.temperature)
    assert np.abs(probs - live).max() > 1e-3
    for signature in ("serving_default", *(["classify_bytes"] if given.spec.is_image else []),
                      *(["classify_cells"] if given.spec.is_table else [])):
        assert_close(answers[f"{signature}/7/probs"], probs)
        np.testing.assert_array_equal(answers[f"{signature}/7/label"], probs.argmax(-1))
        assert answers[f"{signature}/7/label"].dtype == np.int32
        names = [given.spec.class_names[i] for i in probs.argmax(-1)]
        assert [v.decode() for v in answers[f"{signature}/7/class"]] == names
    assert classes.read_text(encoding="utf-8").splitlines() == list(given.spec.class_names)


def test_generates(one):
    name, given, _, answers = one
    asked = asked_of(name)["generate"]
    y = tf.constant(asked["label"]) if given.model.has_classes else None
    assert_given(given, answers, "generate", given.model.generate(y, tf.constant(asked["z"])))


def test_reconstructs(one):
    _, given, (seen, _), answers = one
    assert_given(given, answers, "reconstruct", given.model.reconstruct(seen))


def test_bounds_and_novelty(one):
    _, given, (seen, described), answers = one
    expected = estimates.unlabelled_bound_of(given.model, seen, 1, seed_of(given), described=described,
                                             shared_noise=True).numpy()
    of = ["bound", *(["serving_default"] if given.spec.is_table else [])]
    for signature in of:
        assert_close(answers[f"{signature}/7/bound_nats"], expected)
        assert_close(answers[f"{signature}/7/novelty"], uncertainty.novelty(expected, given.answers.reference_bounds))


def test_answer_to_one_does_not_depend_on_the_others(one):
    *_, answers = one
    for name, value in answers.items():
        if "/7/" in name and value.dtype != object:
            assert_close(value[:1], answers[name.replace("/7/", "/1/")])
    assert answers["bound/1/bound_nats"].shape == (1,)


@pytest.mark.parametrize("name", ["sdgm", "table"])
def test_keras_takes_every_signature_as_a_layer(name, exported):
    import keras
    paths, answers = exported
    loaded, asked = tf.saved_model.load(str(paths[name])), asked_of(name)
    assert set(asked) == set(loaded.signatures)
    for signature, function in loaded.signatures.items():
        given = {key: tf.constant(asked[signature][key]) for key in function.structured_input_signature[1]}
        wide = any(value.dtype == tf.float64 for value in given.values())
        layer = keras.layers.TFSMLayer(str(paths[name]), signature, dtype="float64" if wide else None)
        found = layer(given if len(given) > 1 else next(iter(given.values())))
        for key, value in found.items():
            expected = answers[f"{name}/{signature}/7/{key}"]
            if expected.dtype == object:
                np.testing.assert_array_equal(value.numpy(), expected)
            else:
                assert_close(value, expected)


@pytest.mark.parametrize("shape", [(5, 8, 8, 3), (5, 8, 8), (5, 64), (5, 8, 4, 2), (5, 4, 16, 1), (8, 8, 1)])
def test_another_shape_is_refused(exported, shape):
    loaded = tf.saved_model.load(str(exported[0]["sdgm"]))
    x = np.full(shape, 9, np.uint8)
    for name in ("serving_default", "encode", "reconstruct", "bound"):
        for given in (x, tf.constant(x)):
            with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
                loaded.signatures[name](images=given)
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        loaded.signatures["generate"](label=tf.constant([1]), z=tf.zeros([1, 9]))


def test_real_numbers_in_the_place_of_bytes_are_refused_in_words(exported):
    loaded = tf.saved_model.load(str(exported[0]["sdgm"]))
    x = np.random.default_rng(0).uniform(size=(5, 8, 8, 1))
    for name in ("serving_default", "encode", "reconstruct", "bound"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="images come as uint8 from 0 to 255, not as real"):
            loaded.signatures[name](images=x)
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a uint8 tensor but is a double"):
            loaded.signatures[name](images=tf.constant(x))


def test_a_black_picture_in_a_file_is_one(exported):
    loaded = tf.saved_model.load(str(exported[0]["sdgm"]))
    found = loaded.signatures["classify_bytes"](image_bytes=tf.constant([png(np.zeros((20, 30, 3), np.uint8))]))
    assert found["probs"].shape == (1, 10)


def test_nothing_is_drawn_and_names_differ_but_for_columns(exported):
    for name, path in exported[0].items():
        for function in tf.saved_model.load(str(path)).signatures.values():
            if name != "table":
                assert not set(function.structured_input_signature[1]) & set(function.structured_outputs)
            graphs = [function.graph, *(f.graph for f in function._inference_function.graph._functions.values()
                                        if hasattr(f, "graph"))]
            assert not [op.type for graph in graphs for op in graph.get_operations() if "Random" in op.type]


def test_signatures_are_readable(exported):
    tool = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")  # noqa: PTH118, PTH120
    shown = subprocess.run([sys.executable, tool, "show", "--all", "--dir", exported[0]["sdgm"]],
                           check=True, capture_output=True, text=True, env=process.environment()).stdout
    for name in ("serving_default", "classify_bytes", "encode", "generate", "reconstruct", "bound"):
        assert f"signature_def['{name}']" in shown
    for name in ("inputs['images']", "inputs['image_bytes']", "inputs['label']", "inputs['z']", "outputs['probs']",
                 "outputs['label']", "outputs['class']", "outputs['z']", "outputs['a']", "outputs['generated']",
                 "outputs['reconstructed']", "outputs['bound_nats']", "outputs['novelty']"):
        assert name in shown
    assert "shape: (-1, 8, 8, 1)" in shown
    assert "dtype: DT_UINT8" in shown


def test_the_columns_of_a_table_are_named(exported):
    found = json.loads((exported[0]["table"] / "assets.extra" / "columns.json").read_text())
    assert [c["column"] for c in found["columns"]] == list(exporting.table()[0].columns)
    loaded = tf.saved_model.load(str(exported[0]["table"]))
    wanted = loaded.signatures["serving_default"].structured_input_signature[1]
    assert {c["input"]: c["dtype"] for c in found["columns"]} == {k: v.dtype.name for k, v in wanted.items()}
    assert [c["kind"] for c in found["columns"]] == ["number", "category", "number", "number", "text"]


def test_a_column_left_out_is_not_asked_for(tmp_path):
    from adgm_tf.data import columns, preprocess
    from adgm_tf.options import ReadOptions
    from adgm_tf.runs.columns_graph import ColumnsGraph
    options = ReadOptions(text_columns=("text",), ignore_columns=("colour",))
    rows = exporting.table()[0].assign(constant=1)
    graph = ColumnsGraph(preprocess.fit(rows, columns.infer(rows, options), options))
    assert set(graph.names) == {"size (m)", "skewed", "z", "text"}


def test_model_card(exported):
    text = (exported[0]["table"] / "MODEL_CARD.md").read_text(encoding="utf-8")
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["Data", "Split", "Classes", "Errors", "Calibration", "Training", "Versions", "Intended use",
                      "Limits"]
    assert "- size (m): number (real numbers)" in text
    assert "good, schön, bad" in text
    assert f"- tensorflow {tf.__version__}" in text


def test_versions_increase_and_none_is_half(tmp_path, monkeypatch):
    given, _ = exporting.exportable("moons")

    def interrupted(model, path, *_):
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model.tf.saved_model, "save", lambda module, path, _: pathlib.Path(path, "a").touch())
    assert saved_model.write_version(tmp_path, given).name == "1"
    with monkeypatch.context() as patch:
        patch.setattr(saved_model.tf.saved_model, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            saved_model.write_version(tmp_path, given)
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert saved_model.write_version(tmp_path, given).name == "2"
    assert (tmp_path / "2" / "classes.txt").read_text() == "upper\nlower\n"
    assert 'versions: 2 }' in (tmp_path / "2" / "model.config").read_text()


def requests_of(path):
    """The warm-up requests of an export, as tensorflow-serving-api reads them."""
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")
    for record in tf.data.TFRecordDataset(str(path / warmup.PLACE)):
        log = logs.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        yield log.predict_log.request


@pytest.mark.parametrize("name", ["sdgm", "m1", "table"])
def test_warm_up_requests_are_those_of_tensorflow_serving_and_are_answered(name, exported):
    loaded, found = tf.saved_model.load(str(exported[0][name])), {}
    for request in requests_of(exported[0][name]):
        function = loaded.signatures[request.model_spec.signature_name]
        found[request.model_spec.signature_name] = function(**{
            k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()})
        assert request.model_spec.name == saved_model.MODEL_NAME
    assert set(found) == set(loaded.signatures)
    assert all(len(value) == 1 for answer in found.values() for value in answer.values())


def test_a_predict_request_is_what_the_signature_takes(exported):
    api = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason="needs tensorflow-serving-api")
    request = api.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "adgm", "serving_default"
    for key, value in exporting.cells("table", ROWS).items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    signatures = tf.saved_model.load(str(exported[0]["table"])).signatures
    found = signatures["serving_default"](**{k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()})
    assert_close(found["probs"], exported[1]["table/serving_default/7/probs"])


def test_long_names_and_values_are_whole_messages(tmp_path):
    long = {"x" * 300: np.array([b"y" * 70_000], object), "empty": np.zeros([0, 3], np.float32)}
    warmup.write(tmp_path, "m" * 200, {"s": long})
    (request,) = requests_of(tmp_path)
    assert request.model_spec.name == "m" * 200
    assert {k: tf.make_ndarray(v).tolist() for k, v in request.inputs.items()} == {
        k: v.tolist() for k, v in long.items()}


RUNTIMES = ("sdgm", "moons", "m1", "table_bound")


def expected_of(name):
    """The live answers of every signature without strings, and what they were asked."""
    given, _ = exporting.exportable(name)
    signatures, plain = given.signatures(portable=True), exporting.asked(name, ROWS)
    asked = {s: {k: plain[k] for k in of.specs} for s, of in signatures.inputs.items()}
    return asked, {s: {k: v.numpy() for k, v in other_runtimes._live(signatures, s, asked[s]).items()} for s in asked}


def assert_answers(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["sdgm", "moons", "m1", "table"])
def test_signatures_without_strings_answer_as_those_with(name, exported):
    _, expected = expected_of(name)
    for signature, values in expected.items():
        for key, value in values.items():
            if key not in ("generated", "reconstructed"):
                assert_close(value, exported[1][f"{name}/{signature}/7/{key}"])


@pytest.mark.parametrize("name", RUNTIMES)
def test_onnx_runtime_answers_as_the_live_model(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    pytest.importorskip("tf2onnx", reason="needs the extra export")
    path = other_runtimes.write(tmp_path, exporting.exportable(name)[0], "onnx")
    asked, expected = expected_of(name)
    assert {p.stem for p in path.glob("*.onnx")} == set(expected)
    for signature in expected:
        session = onnxruntime.InferenceSession(str(path / f"{signature}.onnx"), providers=["CPUExecutionProvider"])
        assert {i.name for i in session.get_inputs()} == set(asked[signature])
        names = [output.name for output in session.get_outputs()]
        assert_answers(dict(zip(names, session.run(None, asked[signature]), strict=True)), expected[signature])
    assert "ONNX" in (path / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("name", RUNTIMES)
def test_litert_answers_as_the_live_model(name, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra export")
    path = other_runtimes.write(tmp_path, exporting.exportable(name)[0], "tflite")
    asked, expected = expected_of(name)
    lite = interpreter.Interpreter(str(path / "model.tflite"))
    assert set(lite.get_signature_list()) == set(expected)
    for signature in expected:
        assert_answers(lite.get_signature_runner(signature)(**asked[signature]), expected[signature])


@pytest.mark.parametrize("name", ["table", "table_bound"])
def test_what_was_fitted_on_a_table_travels_as_json(name, tmp_path, monkeypatch):
    monkeypatch.setattr(other_runtimes, "_write_onnx", lambda *_: "nothing")
    given, data = exporting.exportable(name)
    path = other_runtimes.write(tmp_path, given, "onnx")
    found = other_runtimes.read_preprocess(path / "preprocess.json")
    for one, other in zip(found.prepared(data.test.x), data.prepared(data.test.x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_eight_bits_come_with_how_far_they_are(tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra export")
    given, data = exporting.exportable("sdgm")
    int8 = other_runtimes.Int8Data(data.unlabelled.drawn(50), data.test.drawn(60), "test")
    path = other_runtimes.write(tmp_path, given, "tflite", int8=int8)
    found = json.loads((path / "int8.json").read_text())
    lite = interpreter.Interpreter(str(path / "model.tflite"))
    probs = lite.get_signature_runner("serving_default")(images=int8.measured.x)["probs"]
    live = given.signatures(portable=True).functions["serving_default"](tf.constant(int8.measured.x))["probs"]
    measured = found["differences"]["serving_default"]
    np.testing.assert_allclose(measured["probs"]["largest"], np.abs(probs - live).max(), rtol=1e-5)
    assert 0 < measured["probs"]["largest"] < 0.2
    error = 100 * np.mean(probs.argmax(-1) != int8.measured.y)
    assert measured["label"]["error_percent"] == pytest.approx(error)
    assert (found["set"], found["examples"]) == ("test", 60)
    wanted = {"serving_default", "encode", "reconstruct", "generate"}
    assert set(found["differences"]) == set(lite.get_signature_list()) == wanted
    assert f"their error is {error:.2f} %" in (path / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(("flags", "line"), [
    (("--format=pickle",), "error: format=pickle: known: saved_model, onnx, tflite"),
    (("--int8",), "error: int8=true: goes with format=tflite, not saved_model")])
def test_wrong_formats_are_one_line(tmp_path, flags, line):
    done = process.forked("export", "--run_dir=nowhere", *flags, cwd=tmp_path)
    assert process.is_one_error(done)
    assert done.err.startswith(line)
