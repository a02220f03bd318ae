"""The cluster of a step of Slurm."""

import json

import pytest

from adgm_tf.host import errors
from adgm_tf.training import slurm, strategy

STEP = {"SLURM_STEP_NODELIST": "n[2,10-11],m", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1,3", "SLURM_PROCID": "4",
        "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(("nodes", "expected"), [
    ("a", ["a"]), ("a,b", ["a", "b"]), ("n[08-11]", ["n08", "n09", "n10", "n11"]),
    ("n[2,10-11],m", ["n2", "n10", "n11", "m"])])
def test_hosts_come_in_the_order_of_slurm(nodes, expected):
    assert slurm.hosts(nodes) == expected


def test_a_task_has_the_address_of_its_node():
    found = json.loads(slurm.cluster(STEP))
    assert [a.partition(":")[0] for a in found["cluster"]["worker"]] == ["n2", "n2", "n10", "n10", "n11", "m", "m", "m"]
    assert len(set(found["cluster"]["worker"])) == 8
    assert found["task"] == {"type": "worker", "index": 4}


@pytest.mark.parametrize("changed", [{"SLURM_STEP_NODELIST": "n[2"}, {"SLURM_STEP_TASKS_PER_NODE": "x"},
                                     {"SLURM_PROCID": "8"}, {"SLURM_STEP_TASKS_PER_NODE": "2"}])
def test_what_cannot_be_read_is_one_error(changed):
    with pytest.raises(errors.UserError, match="cannot be read as the nodes and tasks of a step of Slurm"):
        slurm.cluster(STEP | changed)


def test_slurm_is_asked_for_by_name(monkeypatch):
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert not strategy.has_several_workers("auto")
    # What is set stays set: restored when the test ends.
    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.delenv("TF_CONFIG")
    assert strategy.has_several_workers("multi_worker")
