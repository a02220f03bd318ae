import json

import pytest

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.runs import job
from adgm_tf.training import strategy

CLUSTER = json.dumps({"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}})


def test_several_workers_take_no_named_devices(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    with pytest.raises(errors.UserError, match=r"^devices=CPU:0: not with several workers"):
        strategy.make(Config(devices=("CPU:0",)))


def test_one_device_leaves_a_cluster_aside(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    assert not strategy.leads(Config().strategy)
    assert strategy.leads("one_device")
    assert str(job._run_dir({"strategy": "one_device"})).startswith("runs/")
    for several in ({}, {"strategy": "multi_worker"}):
        with pytest.raises(errors.UserError, match=r"^run_dir=: must be given to several workers"):
            job._run_dir(several)
