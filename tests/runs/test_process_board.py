"""TensorBoard itself over runs of an experiment: what it answers to its own page."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import process
import pytest

from adgm_tf.runs import board, record

pytestmark = [pytest.mark.process, pytest.mark.slow]
DIFFERENT = {"runs/a/0": {"num_steps": 20, "learning_rate": 0.001},
             "runs/b/0": {"num_steps": 30, "learning_rate": 0.002}}


class Server:
    """TensorBoard on a port of its own, without a network."""

    def __init__(self, logdir):
        self.port, = process.free_ports(1)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", str(self.port), "--host",
             "127.0.0.1", "--load_fast", "false"], env=process.environment(process.NO_NETWORK),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, path, body=None, **query):
        """What the server answers, as JSON where it is such."""
        url = f"http://127.0.0.1:{self.port}/data/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if answer.headers["Content-Type"].startswith("application/json") else text

    def wait(self, holds):
        """Waits until something is so, which is asked of the server again and again."""
        end = time.monotonic() + process.TIMEOUT
        while True:
            try:
                if holds():
                    return
            except (urllib.error.URLError, ConnectionError):
                assert self.child.poll() is None, "TensorBoard has gone"
            assert time.monotonic() < end, "TensorBoard does not get ready"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Two short runs of an experiment, of which one shows the test error."""
    cwd = tmp_path_factory.mktemp("experiment")
    for run_dir, options in DIFFERENT.items():
        flags = [f"--{name}={value}" for name, value in options.items()]
        tracks = "--track_test" if run_dir == "runs/b/0" else "--notrack_test"
        done = process.forked("train", *process.TINY, *process.PLAIN, "--num_valid=20", f"--run_dir={run_dir}",
                              "--eval_every=10", tracks, *flags, cwd=cwd)
        assert done.code == 0, done.err
        assert "cannot be drawn" not in done.out
    return cwd


@pytest.fixture(scope="module")
def server(experiment):
    started = Server(experiment / "runs")
    try:
        folders = {f"{run[5:]}/{name}" for run in DIFFERENT for name in ("train", "valid", "final")}
        started.wait(lambda: set(started.get("runs")) == folders)
        started.wait(lambda: started.get("plugins_listing")["projector"]["enabled"])
        yield started
    finally:
        started.child.kill()
        started.child.wait()


def test_every_page_has_something(server):
    listing = server.get("plugins_listing")
    for plugin in ("timeseries", "scalars", "custom_scalars", "images", "distributions", "histograms", "text",
                   "pr_curves", "hparams", "projector"):
        assert listing[plugin]["enabled"], plugin


def test_the_curves_are_those_of_the_record(server, experiment):
    tags = server.get("plugin/scalars/tags")
    for run_dir in DIFFERENT:
        lines = process.lines(experiment / run_dir)
        for part in ("train", "valid"):
            of_part = [line for line in lines if line["set"] == part]
            names = set().union(*of_part) - {"step", "set"}
            shown = {tag for tag in tags[f"{run_dir[5:]}/{part}"] if "active_units" not in tag}
            assert shown == set(map(board.tag, names))
        name = "error_percent"
        points = server.get("plugin/scalars/scalars", run=f"{run_dir[5:]}/valid", tag=board.tag(name))
        assert [(step, value) for _, step, value in points] == [
            (line["step"], pytest.approx(line[name], rel=1e-5)) for line in lines if name in line]


def test_the_layout_has_curves_in_every_chart(server):
    layout = server.get("plugin/custom_scalars/layout")
    assert layout["category"][0]["title"] == board.FIRST
    assert [chart["title"] for chart in layout["category"][0]["chart"]] == ["error, %", "loss J, nats"]
    runs = server.get("runs")
    for category in layout["category"]:
        for chart in category["chart"]:
            for pattern in chart["multiline"]["tag"]:
                found = [server.get("plugin/custom_scalars/scalars", tag=pattern, run=run) for run in runs]
                assert all(answer["regex_valid"] for answer in found)
                assert any(answer["tag_to_events"] for answer in found), (category["title"], chart["title"])


def test_a_trial_a_run_and_the_options_that_differ(server, experiment):
    options = server.get("plugin/hparams/experiment", {"experimentName": "", "includeMetrics": True})
    assert {info["name"] for info in options["hparamInfos"] if info.get("differs")} == {"num_steps", "learning_rate"}
    # TensorBoard ticks the first few.
    assert [info["name"] for info in options["hparamInfos"][:2]] == ["learning_rate", "num_steps"]
    metrics = {info["name"]["tag"] for info in options["metricInfos"]}
    assert metrics == set(record.FINAL)
    groups = server.get("plugin/hparams/session_groups", {
        "experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 10,
        "colParams": [{"metric": {"tag": "test_error_percent", "group": ""}}]})["sessionGroups"]
    assert len(groups) == len(DIFFERENT)
    for group in groups:
        run_dir = "runs/" + group["sessions"][0]["name"].removesuffix("/final")
        assert {name: group["hparams"][name] for name in DIFFERENT[run_dir]} == DIFFERENT[run_dir]
        results = json.loads((experiment / run_dir / "results.json").read_text())
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        for tag, name in record.FINAL.items():
            assert values[tag] == pytest.approx(results[name], rel=1e-5)


def test_labels_that_are_hidden_are_nowhere(server):
    tags = server.get("plugin/pr_curves/tags")
    assert {tag.partition("/")[0] for tag in tags["a/0/valid"]} == {"validation"}
    assert {tag.partition("/")[0] for tag in tags["b/0/valid"]} == {"validation", "test"}
    for run, known in (("a/0/final", False), ("b/0/final", True)):
        table = server.get("plugin/projector/metadata", run=run, name="z").decode().splitlines()
        hidden = [row.split("\t")[0] for row in table if row.endswith("unlabelled")]
        assert hidden
        assert (set(hidden) == {"class ?"}) is not known


def test_the_projector_shows_z_and_a_with_pictures(server):
    runs = server.get("plugin/projector/runs")
    assert sorted(runs) == ["a/0/final", "b/0/final"]
    info = server.get("plugin/projector/info", run="a/0/final")["embeddings"]
    assert {entry["tensorName"]: entry["tensorShape"][1] for entry in info} == {"z": 4, "a": 4}
    assert server.get("plugin/projector/sprite_image", run="a/0/final", name="z")[:8] == b"\x89PNG\r\n\x1a\n"


def test_pictures_stand_in_one_group(server):
    found = server.get("plugin/images/tags")
    tags = {tag for of_run in found.values() for tag in of_run}
    assert {tag.partition("/")[0] for tag in tags} == {board.PICTURES}
    assert {f"pictures/{name}" for name in (
        "samples by class", "reconstructions", "analogies", "KL of each unit", "confusion, validation",
        "reliability, validation", "confusion, test")} <= tags
