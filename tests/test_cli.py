"""What the entry points share."""

import subprocess
import sys

import process
import pytest

SCRIPT = """
import ctypes, psutil
from adgm_tf import cli
cli.keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
before = psutil.Process().memory_info().rss
for _ in range(2):
    blocks = [ctypes.c_void_p(c.malloc(20 << 20)) for _ in range(3)]
    for block in blocks:
        ctypes.memset(block, 1, 20 << 20)
    for block in blocks:
        c.free(block)
print((psutil.Process().memory_info().rss - before) >> 20)
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is glibc's")
@pytest.mark.parametrize(("variables", "kept"), [({}, True), ({"MALLOC_ARENA_MAX": "4"}, False)])
def test_freed_memory_stays_unless_the_environment_says_how_to_allocate(variables, kept):
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=process.environment(variables), capture_output=True,
                          text=True, timeout=process.TIMEOUT)
    assert done.returncode == 0, done.stderr
    mib = int(done.stdout)
    assert mib >= 50 if kept else mib <= 25
