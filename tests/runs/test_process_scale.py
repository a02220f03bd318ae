"""Many devices and many machines: one device and two, clusters from the environment, a worker lost and brought back."""

import json
import subprocess
import sys

import process
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

SYNCED = dict(normalization="batch", balance_weight=2.0)


def apart(steps=5, **options):
    """How far the weights of one device and of two lie apart after some steps, and how far they moved."""
    done = subprocess.run([sys.executable, process.ROOT / "tests" / "two_devices.py", json.dumps(options), str(steps)],
                          capture_output=True, text=True, env=process.environment(), timeout=process.TIMEOUT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["apart"], found["moved"]


@pytest.mark.parametrize("options", [SYNCED, SYNCED | {"class_sum": "exact", "model": "adgm"},
                                     {"model": "vat", "balance_weight": 2.0}], ids=lambda o: o.get("model", "sdgm"))
def test_two_devices_learn_what_one_learns(options):
    found, moved = apart(**options)
    assert found < 3e-4
    assert moved > 0.01


def test_statistics_of_each_replica_alone_are_others():
    assert apart(**SYNCED, sync_statistics=False)[0] > 0.1
