"""The scripts of launch/."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import process
import pytest
import yaml

from adgm_tf.host import cli

LAUNCH = process.ROOT / "launch"
SCRIPTS = sorted(LAUNCH.glob("**/*.sh"))


def launched(script, *arguments, cwd):
    """Runs a script of launch/ with this interpreter for an environment."""
    return subprocess.run(["bash", LAUNCH / script, *arguments], cwd=cwd, capture_output=True, text=True,
                          env=process.environment({"VENV": str(fake_venv(cwd))}), timeout=process.TIMEOUT,
                          stdin=subprocess.DEVNULL)


def fake_venv(folder):
    """An environment whose Python is this interpreter."""
    venv = pathlib.Path(folder, "venv")
    if not venv.exists():
        (venv / "bin").mkdir(parents=True)
        python = venv / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        (venv / ".installed-package").touch()
    return venv


def test_what_is_left_in_shell():
    assert [path.relative_to(LAUNCH).as_posix() for path in SCRIPTS] == [
        "again.sh", "environment.sh", "pod.sh", "quickstart.sh", "test.sh", "workers.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_bash(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    assert os.access(script, os.X_OK) or "Sourced" in script.read_text()


def test_workers_need_a_count(tmp_path):
    done = launched("workers.sh", "--run_dir=R", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: COUNT=--run_dir=R: must be a whole number of at least 1, before the flags\n"


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(("model", "ends"), [
    ("vat", "Full MNIST:"), ("self_training", "Result:       run/results.json")])
def test_the_quickstart_takes_the_models_that_draw_nothing(model, ends, tmp_path):
    done = launched("quickstart.sh", f"--model={model}", "--run_dir=run", "--num_steps=2", *process.TINY, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(ends)
    assert (tmp_path / "run" / "export").exists() == (model == "vat")


def documents(name):
    return list(yaml.safe_load_all((LAUNCH / name).read_text()))


@pytest.mark.parametrize(("name", "kind", "model"), [
    ("kubernetes.yaml", "Service", "IoK8sApiCoreV1Service"),
    ("kubernetes.yaml", "Job", "IoK8sApiBatchV1JobSpec"),
    ("kubernetes_trainjob.yaml", "TrainingRuntime", "TrainerV1alpha1TrainingRuntime"),
    ("kubernetes_trainjob.yaml", "TrainJob", "TrainerV1alpha1TrainJob")])
def test_manifests_keep_the_schemas(name, kind, model):
    models = pytest.importorskip("kubeflow_trainer_api.models")
    document, = (d for d in documents(name) if d["kind"] == kind)
    given = document["spec"] if model.endswith("JobSpec") and kind == "Job" else document
    # A field that the schema does not know is dropped on the way, and what is written back differs.
    assert json.loads(getattr(models, model).from_dict(given).to_json()) == given


def test_manifests_agree_with_themselves():
    service, job = documents("kubernetes.yaml")
    spec = job["spec"]
    container, = spec["template"]["spec"]["containers"]
    environment = {e["name"]: e["value"] for e in container["env"]}
    assert spec["completions"] == spec["parallelism"] == int(environment["NUM_WORKERS"])
    assert service["metadata"]["name"] == spec["template"]["spec"]["subdomain"]
    assert environment["WORKER_HOST"] % 1 == f"{job['metadata']['name']}-1.{service['metadata']['name']}"
    actions = {v: rule["action"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule
               for v in rule["onExitCodes"]["values"]}
    assert actions == {cli.USER_ERROR_STATUS: "FailJob", cli.LOST_WORKER_STATUS: "Ignore"}
    runtime, train_job = documents("kubernetes_trainjob.yaml")
    trainer, name = train_job["spec"]["trainer"], train_job["metadata"]["name"]
    replicated, = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    environment = {e["name"]: e["value"] for e in trainer["env"]}
    assert trainer["numNodes"] == runtime["spec"]["mlPolicy"]["numNodes"] == int(environment["NUM_WORKERS"])
    assert environment["WORKER_HOST"] % 1 == f"{name}-{replicated['name']}-0-1.{name}"
    for command in (container["command"], trainer["command"]):
        assert all(os.access(process.ROOT / path, os.X_OK) for path in command)


def test_a_pod_says_who_the_workers_are(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$TF_CONFIG"\necho "$@"\n')
    python.chmod(0o755)
    env = process.environment({"PYTHON": str(python), "NUM_WORKERS": "3", "WORKER_HOST": "a-%d.b",
                               "JOB_COMPLETION_INDEX": "2"})
    done = subprocess.run([LAUNCH / "pod.sh", "--run_dir=R"], env=env, capture_output=True, text=True, check=True)
    cluster, arguments = done.stdout.splitlines()
    assert json.loads(cluster) == {"cluster": {"worker": ["a-0.b:2222", "a-1.b:2222", "a-2.b:2222"]},
                                   "task": {"type": "worker", "index": 2}}
    assert arguments == "-m adgm_tf.train --strategy=multi_worker --run_dir=R"


@pytest.mark.parametrize(("statuses", "restarts", "expected", "starts"), [
    ((75, 137, 0), 10, 0, 3), ((2,), 10, 2, 1), ((75, 75, 75), 1, 75, 2), ((0,), 10, 0, 1)])
def test_again_is_for_lost_workers_alone(statuses, restarts, expected, starts, tmp_path):
    for number, status in enumerate(statuses):
        (tmp_path / str(number)).write_text(str(status))
    script = 'n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; exit "$(cat "$n")"'
    done = subprocess.run([LAUNCH / "again.sh", "bash", "-c", script], cwd=tmp_path,
                          env=process.environment({"RESTARTS": str(restarts)}))
    assert done.returncode == expected
    assert int((tmp_path / "n").read_text()) == starts


def test_again_passes_a_signal_on_and_is_not_started_again(tmp_path):
    script = "trap 'echo saved > saved; exit 143' TERM; echo > ready; while :; do sleep 0.05; done"
    started = subprocess.Popen([LAUNCH / "again.sh", "bash", "-c", script], cwd=tmp_path)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    started.send_signal(signal.SIGTERM)
    assert started.wait(20) == 143
    assert (tmp_path / "saved").exists()
