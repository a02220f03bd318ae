"""What the entry points share."""

import signal
import subprocess
import sys
import threading

import process
import pytest

from adgm_tf.host import interrupts

SCRIPT = """
import ctypes, psutil
from adgm_tf.host import cli
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


THREADS = """
import os
from adgm_tf.host import cli
os.sched_getaffinity = lambda process: range({cores})
cli.one_core_an_operation()
print(os.environ.get("TF_NUM_INTRAOP_THREADS"))
"""


@pytest.mark.process
@pytest.mark.parametrize(("cores", "variables", "threads"), [
    (2, {}, "1"), (1, {}, "None"), (4, {}, "None"), (2, {"TF_NUM_INTRAOP_THREADS": "2"}, "2")])
def test_an_operation_has_one_core_of_two_unless_the_environment_says_how_many(cores, variables, threads):
    done = subprocess.run([sys.executable, "-c", THREADS.format(cores=cores)], env=process.environment(variables),
                          capture_output=True, text=True, timeout=process.TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == threads


STOPPED = """
import signal
from adgm_tf.host import cli
def main():
    try:
        signal.raise_signal(signal.{name})
    except KeyboardInterrupt:
        raise {error} from None
    print("went on")
cli.run(main, "doc")
"""


@pytest.mark.process
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt(signal.{name})", "SystemError('what C made of it')"])
def test_a_signal_ends_in_one_line_whatever_its_exception_has_become(name, error):
    script = STOPPED.format(name=name, error=error.format(name=name))
    done = subprocess.run([sys.executable, "-c", script], env=process.environment(), capture_output=True, text=True,
                          timeout=process.TIMEOUT)
    assert done.returncode == 128 + signal.Signals[name]
    assert done.stderr == f"stopped by {name}; nothing was left half-written\n"
    assert done.stdout == ""


@pytest.mark.process
def test_a_signal_that_is_ignored_stays_so():
    script = STOPPED.format(name="SIGINT", error="SystemError('not reached')")
    ignored = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN){script}"
    done = subprocess.run([sys.executable, "-c", ignored],
                          env=process.environment(), capture_output=True, text=True, timeout=process.TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_put_off_comes_at_the_end_of_the_block_and_the_second_at_once(number):
    before = [signal.getsignal(n) for n in interrupts.SIGNALS]
    reached = []
    with pytest.raises(KeyboardInterrupt) as stop, interrupts.put_off():
        signal.raise_signal(number)
        reached.append("end")
    assert stop.value.args == (number,)
    with pytest.raises(KeyboardInterrupt), interrupts.put_off():
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        reached.append("not here")
    assert reached == ["end"]
    assert [signal.getsignal(n) for n in interrupts.SIGNALS] == before


def test_no_signal_nothing_raised_and_an_error_of_the_block_goes_first():
    with interrupts.put_off():
        pass
    with pytest.raises(ZeroDivisionError), interrupts.put_off():
        signal.raise_signal(signal.SIGINT)
        1 / 0  # noqa: B018


def test_outside_of_the_main_thread_a_block_that_puts_off_runs():
    done = []

    def work():
        with interrupts.put_off():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.process
def test_an_interrupt_without_a_number_is_that_of_ctrl_c():
    script = "from adgm_tf.host import cli\ndef main():\n    raise KeyboardInterrupt\ncli.run(main, 'doc')"
    done = subprocess.run([sys.executable, "-c", script], env=process.environment(), capture_output=True, text=True,
                          timeout=process.TIMEOUT)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "stopped by SIGINT; nothing was left half-written\n"
