"""The server of an export: TensorFlow Serving's requests and answers, what is wrong in one line, and the command."""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request

import exporting
import numpy as np
import process
import pytest
import tensorflow as tf
from PIL import Image

from adgm_tf.host import errors
from adgm_tf.runs import rest, saved_model, serving

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROWS = 5
SERVED = ("colour", "table", "m1", "grain")
PATH = "/v1/models/adgm"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What is served of a model of pictures, of one of a table and of one without classes, and their folders."""
    folder = tmp_path_factory.mktemp("served")
    for name in SERVED:
        saved_model.write_version(folder / name, exporting.exportable(name)[0])
    return {name: serving.Served(str(folder / name)) for name in SERVED}, folder


@pytest.fixture(scope="module")
def client(served):
    """Returns a function: name of the model -> client of its server."""
    testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra serve")
    clients = {name: testclient.TestClient(serving.app(one, "adgm")) for name, one in served[0].items()}
    return clients.__getitem__


def answer_of(name, signature="serving_default", **given):
    """The answer of the function itself."""
    found = exporting.exportable(name)[0].signatures().functions[signature](
        {k: tf.constant(v) for k, v in given.items()} if len(given) > 1 else tf.constant(next(iter(given.values()))))
    return {k: v.numpy() for k, v in found.items()}


def assert_same(answers, expected):
    assert set(answers) == set(expected)
    for key, value in expected.items():
        if value.dtype == object:
            assert answers[key] == [v.decode() for v in value]
        else:
            np.testing.assert_allclose(answers[key], value, rtol=1e-5, atol=1e-6)


def table_rows():
    """Rows as JSON has them: null where a cell is missing."""
    cells = exporting.cells("table", ROWS)
    return [{k: (None if v in ("", None) or v != v else v) for k, v in zip(cells, row, strict=True)}
            for row in zip(*(values.tolist() for values in cells.values()), strict=True)]


def ask(client, body, path=f"{PATH}:predict"):
    found = client.post(path, content=body if isinstance(body, bytes) else json.dumps(body))
    assert found.status_code == 200, found.text
    return found.json()


def test_rows_of_a_table(client):
    rows = table_rows()
    assert any(v is None for row in rows for v in row.values())
    found = ask(client("table"), {"instances": rows})
    expected = answer_of("table", **exporting.cells("table", ROWS))
    assert_same({k: [row[k] for row in found["predictions"]] for k in expected}, expected)
    assert list(found) == ["predictions"]


def test_columns_of_a_table(client):
    rows = table_rows()
    found = ask(client("table"), {"inputs": {k: [row[k] for row in rows] for k in rows[0]}})
    assert_same(found["outputs"], answer_of("table", **exporting.cells("table", ROWS)))


def test_nan_stands_for_a_missing_number(client):
    row = table_rows()[0]
    bodies = [json.dumps({"instances": [row | {"skewed": value}]}) for value in (None, float("nan"))]
    assert "NaN" in bodies[1]
    assert ask(client("table"), bodies[0].encode()) == ask(client("table"), bodies[1].encode())


def test_every_signature_by_name_and_version(client):
    cells = exporting.cells("table", ROWS)
    for signature, given in {"encode": cells, "reconstruct": cells, "bound": cells,
                             "classify_cells": exporting.as_words(cells)}.items():
        body = {"signature_name": signature, "inputs": {
            k: [None if v != v else v for v in values.tolist()] for k, values in given.items()}}
        found = ask(client("table"), body, f"{PATH}/versions/1:predict")
        assert_same(found["outputs"], answer_of("table", signature, **given))
    found = ask(client("table"), {"signature_name": "generate", "instances": [{"label": 1, "z": [0, 0.5, 1]}]})
    expected = answer_of("table", "generate", label=np.array([1], np.int32), z=np.array([[0, 0.5, 1]], np.float32))
    assert_same({k: [v] for k, v in found["predictions"][0].items()}, expected)


def test_one_input_and_one_output_need_no_name(client):
    x = exporting.asked("colour", ROWS)["images"]
    expected = answer_of("colour", images=x)
    named = [{"images": image} for image in x.tolist()]
    for body in ({"instances": x.tolist()}, {"instances": named}):
        found = ask(client("colour"), body)["predictions"]
        assert_same({k: [row[k] for row in found] for k in expected}, expected)
    for body in ({"inputs": x.tolist()}, {"inputs": {"images": x.tolist()}}):
        assert_same(ask(client("colour"), body)["outputs"], expected)
    (value,) = answer_of("colour", "reconstruct", images=x).values()
    for key, place in (("instances", "predictions"), ("inputs", "outputs")):
        found = ask(client("colour"), {"signature_name": "reconstruct", key: x.tolist()})
        np.testing.assert_allclose(found[place], value, atol=1e-6)


def test_pictures_come_as_bytes(client):
    x = exporting.asked("colour", ROWS)["images"]
    files = []
    for pixels in x:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        files.append({"b64": base64.b64encode(buffer.getvalue()).decode()})
    expected = answer_of("colour", images=x)
    for rows in (files, [{"image_bytes": file} for file in files]):
        found = ask(client("colour"), {"signature_name": "classify_bytes", "instances": rows})["predictions"]
        assert_same({k: [row[k] for row in found] for k in expected}, expected)


def test_a_model_without_classes_encodes(client):
    x = exporting.asked("m1", ROWS)["images"]
    assert_same({"z": ask(client("m1"), {"inputs": x.tolist()})["outputs"]}, answer_of("m1", images=x))


@pytest.mark.parametrize(("name", "body", "line"), [
    ("table", b"{", "body: is no JSON"),
    ("table", b"\xff", "body: is no JSON"),
    ("table", b"[" * 100_000, "body: is no JSON"),
    ("table", [], "body: must be an object with instances or inputs"),
    ("table", {}, "body: must have either instances or inputs, and has neither"),
    ("table", {"instances": [], "inputs": []}, "body: must have either instances or inputs, and has both"),
    ("table", {"instance": []}, "key=instance: did you mean instances?"),
    ("table", {"instances": {}}, "instances: must be a list"),
    ("table", {"instances": []}, "instances: is empty"),
    ("table", {"instances": [3]}, "instances: row 0 must be an object with"),
    ("table", {"inputs": 3}, "inputs: must be an object with"),
    ("table", {"signature_name": "encod", "inputs": {}}, "signature_name=encod: did you mean encode"),
    ("table", "no colour", "instances, row 0: has no colour"),
    ("table", "colours", "instances, row 0, input=colours: did you mean colour?"),
    ("table", {"skewed": "1"}, 'input skewed: must be numbers, and is like "1"'),
    ("table", {"skewed": True}, "input skewed: must be numbers, and is like true"),
    ("table", {"skewed": [1]}, "input skewed: an example is 1, and must be a single value"),
    ("table", {"skewed": {"b64": "AA=="}}, "input skewed: must be numbers"),
    ("table", {"skewed": 1e200}, "serving_default: column skewed: must be a finite number of at most 1e"),
    ("table", {"colour": 3}, "input colour: row 0 is 3, and must be a string"),
    ("table", {"colour": ["red"]}, 'input colour: row 0 is ["red"], and must be a string'),
    ("table", {"colour": {"b64": "?"}}, "input colour: row 0: b64 is no base64"),
    ("colour", {"inputs": 3}, "input images: must be a list"),
    ("colour", {"instances": [[[[0.5] * 3] * 5] * 6]}, "input images: must be whole numbers from 0 to 255"),
    ("colour", {"instances": [[[[256] * 3] * 5] * 6]}, "input images: has 256 to 256, and must be from 0 to 255"),
    ("colour", {"instances": [[[[-1] * 3] * 5] * 6]}, "input images: has -1 to -1, and must be from 0 to 255"),
    ("colour", {"instances": [[[[1] * 3] * 5] * 6]}, "serving_default: images: no pixel is above 1"),
    ("colour", {"instances": [[[[9] * 3] * 5] * 7]}, "input images: an example is 7 x 5 x 3, and must be 6 x 5 x 3"),
    ("colour", {"instances": [[1, 2], [1]]}, "input images: its examples differ in shape"),
    ("colour", {"instances": [None]}, "input images: must be whole numbers from 0 to 255, and is like null"),
    ("colour", {"signature_name": "classify_bytes", "instances": ["no picture"]}, "classify_bytes: "),
    ("colour", {"signature_name": "generate", "inputs": {"label": [0, 1], "z": [[0, 0, 0]]}},
     "inputs: differ in their number of examples: label has 2, z has 1")])
def test_what_is_wrong_is_one_line(client, name, body, line):
    row = table_rows()[1]
    if body == "no colour":
        body = {"instances": [{k: v for k, v in row.items() if k != "colour"}]}
    elif body == "colours":
        body = {"instances": [row | {"colours": "red"}]}
    elif isinstance(body, dict) and set(body) <= set(row) and body:
        body = {"instances": [row | body]}
    found = client(name).post(f"{PATH}:predict", content=body if isinstance(body, bytes) else json.dumps(body))
    assert found.status_code == 400, found.text
    assert list(found.json()) == ["error"]
    assert found.json()["error"].startswith(line), found.text
    assert "\n" not in found.json()["error"]
    assert "{{" not in found.text


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/models/other", 404), ("GET", f"{PATH}/versions/2", 404), ("POST", "/v1/models/other:predict", 404),
    ("GET", "/nowhere", 404), ("DELETE", PATH, 405), ("GET", f"{PATH}:predict", 404)])
def test_other_addresses_and_methods(client, method, path, status):
    found = client("table").request(method, path)
    assert found.status_code == status
    assert list(found.json()) == ["error"]


def test_status_metadata_and_health(client, served):
    status = client("table").get(PATH).json()
    assert status["model_version_status"][0] == {"version": "1", "state": "AVAILABLE",
                                                 "status": {"error_code": "OK", "error_message": ""}}
    assert client("table").get("/health").json() == {"status": "ok"}
    found = client("table").get(f"{PATH}/metadata").json()
    described = found["metadata"]["signature_def"]["signature_def"]
    assert set(described) == set(served[0]["table"].specs)
    inputs = described["serving_default"]["inputs"]
    assert {k: v["dtype"] for k, v in inputs.items()} == {
        k: "DT_DOUBLE" if spec.dtype == tf.float64 else "DT_STRING"
        for k, spec in served[0]["table"].specs["serving_default"].items()}
    probs = described["serving_default"]["outputs"]["probs"]
    assert probs["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in probs["tensor_shape"]["dim"]] == ["-1", "3"]


def test_the_last_version_is_served_or_the_one_named(served, tmp_path):
    _, folder = served
    for version in ("2", "10", "notes"):
        (tmp_path / version).symlink_to(folder / "m1" / "1", target_is_directory=True)
    assert serving.Served(str(folder / "m1")).version == "1"
    assert serving.Served(str(folder / "m1" / "1")).version == "1"
    with contextlib.chdir(folder):
        assert serving.Served("m1").version == "1"
    with pytest.raises(errors.UserError, match=r"export_dir=.*: holds no saved_model\.pb, nor a version that does"):
        serving.Served(str(folder))


def test_the_requests_of_the_documentation_are_answered_as_it_says(client):
    text = (process.ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    pattern = r"curl http://127\.0\.0\.1:8501(\S+) -d '([^']+)'\n```\n\n```json\n(.+?)\n```"
    pairs = re.findall(pattern, text, re.DOTALL)
    assert len(pairs) == 3
    for path, body, answer in pairs:
        found, expected = ask(client("grain"), body.encode(), path), json.loads(answer)
        assert list(found) == list(expected)
        for value, other in zip(found.values(), expected.values(), strict=True):
            assert len(value) == len(other)
            pairs_of = zip(value, other, strict=True) if isinstance(value, list) else [(value, other)]
            assert all(list(one) == list(two) for one, two in pairs_of)


def test_load_is_measured_on_a_server_of_its_own(served):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    from adgm_tf.experiments.speed import serving as load_test
    found = load_test.run(str(served[1] / "grain"), 0.3, (1, 3))
    assert [(line["rows"], line["what"]) for line in found["lines"]] == [
        (rows, what) for rows in (1, 3) for what in ("model", "with JSON", "HTTP, 1 client", "HTTP, 4 clients")]
    for line in found["lines"]:
        assert line["requests"] > 0
        assert 0 < line["p50_ms"] <= line["p99_ms"]
    with pytest.raises(errors.UserError, match=r"export_dir=.*: holds no"):
        load_test.run(str(served[1]), 0.1, (1,))


def test_bytes_of_outputs_are_base64():
    values = {"word": np.array([b"\xc3\xbc"], object), "x_bytes": np.array([b"\xff"], object)}
    found = json.loads(rest.answer(values, "inputs"))
    assert found == {"outputs": {"word": ["ü"], "x_bytes": [{"b64": "/w=="}]}}


def test_the_command_serves_until_it_is_stopped(served, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    _, folder = served
    command = [sys.executable, "-m", "adgm_tf.serve", f"--export_dir={folder / 'm1'}", "--port=0", "--model_name=mine"]
    with subprocess.Popen(command, cwd=tmp_path, env=process.environment(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as started:
        line = started.stdout.readline()
        assert line.startswith("mine, version 1: http://127.0.0.1:")
        address = line.split(": ", 1)[1].strip()
        x = exporting.asked("m1", 1)["images"].tolist()
        request = urllib.request.Request(f"{address}:predict", json.dumps({"instances": x}).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert len(json.load(answer)["predictions"]) == 1
        port = address.rsplit(":", 1)[1].split("/")[0]
        taken = process.forked("serve", f"--export_dir={folder / 'm1'}", f"--port={port}", cwd=tmp_path)
        assert process.is_one_error(taken)
        assert f"port={port}: cannot be listened on" in taken.err
        os.kill(started.pid, signal.SIGTERM)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 128 + signal.SIGTERM
    assert err == "stopped by SIGTERM; nothing was left half-written\n"


@pytest.mark.parametrize(("flags", "line"), [
    ((), "error: export_dir: must be given, as --export_dir=..."),
    (("--export_dir=nowhere", "--port=0"), "error: export_dir=nowhere: holds no saved_model.pb")])
def test_wrong_flags_are_one_line(tmp_path, flags, line):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    done = process.forked("serve", *flags, cwd=tmp_path)
    assert process.is_one_error(done), done
    assert done.err.startswith(line)
    assert list(pathlib.Path(tmp_path).iterdir()) == []
