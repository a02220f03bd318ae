"""Entry points as child processes: some side by side, each on a core, stopped together."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from adgm_tf.experiments.planning import Job, Step
from adgm_tf.host import errors, files, interrupts

SECONDS_BETWEEN_LOOKS = 0.1
_ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def program(command: Sequence[str]) -> list[str]:
    """Returns the program of an entry point with its flags."""
    return [sys.executable, "-m", f"adgm_tf.{command[0]}", *command[1:]]


def check_cores(cores: Sequence[int]) -> None:
    """Makes sure that processes can be kept to these cores.

    Raises:
      UserError: they cannot.
    """
    if not cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise errors.UserError(f"core={cores[0]}: this system keeps no process to a core")
    known = sorted(os.sched_getaffinity(0))
    for core in cores:
        if core not in known:
            raise errors.UserError(f"core={core}: must be one of {', '.join(map(str, known))}")


@contextlib.contextmanager
def _on(core: int | None) -> Iterator[None]:
    """Keeps what is started in the block to a core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclasses.dataclass
class _Child:
    """A process that was started here."""

    process: subprocess.Popen

    @property
    def stopped_by(self) -> int:
        """The signal that somebody stopped it with, 0 if nobody did."""
        code = self.process.returncode
        number = -code if code < 0 else code - 128
        return number if number in interrupts.SIGNALS else 0


def _start(command: Sequence[str], core: int | None, output: int | None = None) -> _Child:
    """Starts an entry point in a process group of its own: Ctrl-C comes to this process, which passes it on once."""
    environment = dict(os.environ) if core is None else os.environ | _ONE_THREAD
    with _on(core):
        return _Child(subprocess.Popen(
            program(command), stdin=subprocess.DEVNULL, stdout=output, env=environment, process_group=0, bufsize=0,
            stderr=output if output not in (None, subprocess.PIPE) else None))


def _stop(children: Sequence[_Child], number: int) -> None:
    """Passes a signal on, and every further one, and waits until all have saved and gone."""
    while True:
        try:
            for child in children:
                if child.process.poll() is None:
                    child.process.send_signal(number)
            for child in children:
                child.process.wait()
            return
        except KeyboardInterrupt as again:
            number = _number(again)


def _number(stop: KeyboardInterrupt) -> int:
    return stop.args[0] if stop.args else signal.SIGINT


@contextlib.contextmanager
def _hanging_up_stops() -> Iterator[None]:
    """Makes the end of the terminal stop what runs, as Ctrl-C does: a process group of its own would not hear of it."""
    before = signal.getsignal(signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.SIGTERM)

    signal.signal(signal.SIGHUP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def call(command: Sequence[str], core: int | None = None, *, capture: bool = False) -> tuple[bool, str]:
    """Runs an entry point to its end; returns whether it succeeded, and what it said if that is captured.

    Raises:
      KeyboardInterrupt: a signal came, here or to the process; it has been passed on.
    """
    with _hanging_up_stops():
        child = _start(command, core, subprocess.PIPE if capture else None)
        try:
            said, _ = child.process.communicate()
        except KeyboardInterrupt as stop:
            _stop([child], _number(stop))
            raise
    if child.stopped_by:
        raise KeyboardInterrupt(child.stopped_by)
    text = (said or b"").decode(errors="replace")
    if text:
        print(text, end="", flush=True)
    return child.process.returncode == 0, text


class _Running:
    """A job on one of the places side by side: the lock on it, the step that runs and those to come."""

    def __init__(self, job: Job, lock: contextlib.ExitStack, core: int | None, log: pathlib.Path | None):
        self.job, self.lock, self._core, self._log = job, lock, core, log
        self._steps: Iterator[Step] = iter(job.steps)
        self.child: _Child | None = None

    def advance(self) -> bool:
        """Starts the next step that is not done; returns whether there is one."""
        for step in self._steps:
            if not step.done():
                self.child = self._started(step)
                return True
        return False

    def _started(self, step: Step) -> _Child:
        if self._log is None:
            return _start(step.command, self._core)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as stream:
            return _start(step.command, self._core, stream.fileno())

    def problem(self) -> str:
        """Returns the last line of what a process said, where it went to a file."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log and self._log.is_file() else []
        return f": {lines[-1]}" if lines else ""


def run(jobs: Sequence[Job], cores: Sequence[int] = (), width: int = 1,
        after: Callable[[Job], None] = lambda job: None) -> list[str]:
    """Runs jobs, `width` side by side; returns the run directories of those that failed, after which the others go on.

    Of several processes that run the same jobs, each takes what no other has taken.

    Args:
      jobs: in their order.
      cores: the core of each place side by side; not kept to one if empty.
      width: how many at once; the output of each goes to a file beside its run if there are several.
      after: called when a job that was not done before is done.

    Raises:
      KeyboardInterrupt: a signal came, here or to one of the processes; all have been stopped.
    """
    waiting = collections.deque(jobs)
    with _hanging_up_stops(), contextlib.ExitStack() as locks:
        places = _Places(list(cores), after, locks, logged=width > 1)
        try:
            while waiting or places.running:
                for place in range(width):
                    while waiting and place not in places.running:
                        places.begin(place, waiting.popleft())
                ended = [place for place, one in places.running.items() if one.child.process.poll() is not None]
                for place in ended:
                    places.end(place)
                if places.running and not ended:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException as stop:
            number = _number(stop) if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM
            _stop([one.child for one in places.running.values() if one.child], number)
            raise
    return places.failed


class _Places:
    """What runs side by side, and what has failed."""

    def __init__(self, cores: list[int], after: Callable[[Job], None], locks: contextlib.ExitStack, *, logged: bool):
        self.running: dict[int, _Running] = {}
        self.failed: list[str] = []
        self._cores, self._logged, self._after, self._locks = cores, logged, after, locks

    def begin(self, place: int, job: Job) -> None:
        """Takes a job, unless another process has it or it is done."""
        lock = contextlib.ExitStack()
        self._locks.push(lock)
        try:
            lock.enter_context(files.locked(job.run_dir.with_name(f".{job.run_dir.name}"), wait=False))
        except BlockingIOError:
            print(f"{job.run_dir}: another process is at it", flush=True)
            return
        log = job.run_dir.with_name(f"{job.run_dir.name}.log") if self._logged else None
        one = _Running(job, lock, self._cores[place % len(self._cores)] if self._cores else None, log)
        # A signal must not come between the start of a process and the note of it.
        with interrupts.put_off():
            if one.advance():
                self.running[place] = one
        if place in self.running:
            print(f"{job.run_dir}" + (f": begun, {log} has what it says" if log else ""), flush=True)
        else:
            print(f"{job.run_dir}: finished before", flush=True)
            lock.close()

    def end(self, place: int) -> None:
        """Takes note of a process that has ended, and goes on to the next step of its job."""
        one = self.running[place]
        if one.child.stopped_by:
            raise KeyboardInterrupt(one.child.stopped_by)
        if one.child.process.returncode:
            self._fail(one.job, f"failed{one.problem()}")
        else:
            with interrupts.put_off():
                more = one.advance()
            if more:
                return
            print(f"{one.job.run_dir}: done", flush=True)
            try:
                self._after(one.job)
            except errors.UserError as error:
                self._fail(one.job, str(error))
        del self.running[place]
        one.lock.close()

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(str(job.run_dir))
        print(f"{job.run_dir}: {why}", flush=True)
