"""What the entry points share: one line for an error, flags that name a run, quiet libraries."""

from __future__ import annotations

import contextlib
import errno
import logging as standard_logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, TypeVar

from absl import app, flags, logging

from adgm_tf.host import errors, interrupts

T = TypeVar("T")

USER_ERROR_STATUS = 2
# EX_TEMPFAIL of sysexits.h: what launchers of several workers may try again.
LOST_WORKER_STATUS = 75
HELP = {f"{dashes}{name}" for dashes in ("-", "--") for name in ("help", "helpshort", "helpfull", "helpxml", "?")}
# Numbers of malloc.h, and bytes.
_MALLOC_PARAMETERS = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28), "M_MMAP_THRESHOLD": (-3, 2**25)}

# The flags defined here are those of the entry point that asks for them, and stand in its --help.
flags.disclaim_key_flags()


def run(main: Callable[..., None], doc: str, arguments: int = 0) -> None:
    """Parses the flags and calls `main`; a UserError or a file that cannot be used ends it in one line and status 2.

    Args:
      main: called with what stands between the flags.
      doc: what --help shows.
      arguments: how many words may stand between the flags.
    """
    def guarded(argv: list[str]) -> None:
        if len(argv) > 1 + arguments:
            raise app.UsageError(f"unexpected argument {argv[1 + arguments]}: every option is a flag, --name=value")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        standard_logging.getLogger("tensorflow").setLevel(standard_logging.ERROR)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Else TensorFlow imports Keras 3 as well, a third of the time that it takes, and nothing here uses it.
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
        keep_freed_memory()
        came = _interruptible()
        try:
            main(*argv[1:])
            sys.stdout.flush()
        except errors.UserError as error:
            _leave(str(error))
        except errors.LostWorker as error:
            _leave(str(error), LOST_WORKER_STATUS)
        except KeyboardInterrupt as stop:
            _stopped(stop.args[0] if stop.args else signal.SIGINT)
        except Exception as error:
            if came:
                # C code that an exception passes through turns it into one of its own.
                _stopped(came[0])
            name = getattr(error, "filename", None)
            if _is_out_of_memory(error):
                _leave(f"out of memory ({_first_line(error)}); smaller batches, layers or numbers of samples need less")
            if _is_lost_worker(error):
                _leave(f"another worker was lost ({_first_line(error)}); start all again with the same flags, and "
                       "the run resumes from its last checkpoint", LOST_WORKER_STATUS)
            if _is_full_disk(error):
                _leave(f"no space left on the device{f' to write {name}' if name else ''}; nothing more was written, "
                       "and the files written before are whole")
            if not isinstance(error, OSError) or name is None:
                raise
            _leave(f"{name}: {error.strerror}")

    sys.modules["__main__"].__doc__ = doc
    flags.FLAGS.set_gnu_getopt(bool(arguments))
    sys.stdout = _Outliving(sys.stdout)
    try:
        _check_text(sys.argv)
        if HELP & set(sys.argv[1:]):
            _show_help(guarded)
        app.run(guarded)
    except errors.UserError as error:
        _leave(str(error))
    except UnicodeDecodeError as error:
        _leave(f"flagfile: must be text in UTF-8, and has the byte 0x{error.object[error.start]:02x}")


def _show_help(main: Callable[[list[str]], None]) -> None:
    """Shows the help that absl shows, and leaves with 0, where absl leaves with 1."""
    try:
        app.run(main)
    except SystemExit:
        sys.stdout.flush()
        sys.exit(0)


class _Outliving:
    """Standard output that may be closed by its reader, as `head` does: the program goes on, and says so once."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, or drops what nobody reads."""
        return self._tried(lambda: self._stream.write(text), len(text))

    def flush(self) -> None:
        """Writes what is held back."""
        self._tried(self._stream.flush, None)

    def _tried(self, act: Callable[[], T], otherwise: T) -> T:
        try:
            return act()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            print("standard output was closed; the program continues without printing", file=sys.stderr)
            return otherwise


def _check_text(arguments: Sequence[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="backslashreplace").decode()
            raise errors.UserError(f"argument {shown}: must be text in UTF-8") from None


def _interruptible() -> list[int]:
    """Makes SIGTERM end the program as Ctrl-C does, through every block that takes back what is half done.

    Returns:
      a list that gets the number of each signal that comes.
    """
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt(number)

    for number in interrupts.SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)
    return came


def _stopped(number: int) -> None:
    print(f"stopped by {signal.Signals(number).name}; nothing was left half-written", file=sys.stderr)
    sys.exit(128 + number)


def keep_freed_memory() -> None:
    """Lets glibc keep freed blocks of up to 32 MiB for the next step, which would fault in every page of new ones.

    A MALLOC_... variable in the environment leaves the allocator as that says.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    import ctypes
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in _MALLOC_PARAMETERS.values():
            mallopt(parameter, value)


def one_core_an_operation() -> None:
    """On a machine of two cores, lets branches of a step run side by side on a core each, before TensorFlow starts.

    Else TensorFlow parts each product between both, which takes longer: launch/benchmark/README.md has the figures.
    TF_NUM_INTRAOP_THREADS in the environment decides otherwise.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drops what C libraries write to standard error inside the block: TensorFlow's remarks at import."""
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory is what lacks, in Python, NumPy or TensorFlow."""
    if isinstance(error, MemoryError):
        return True
    return type(error).__name__ == "ResourceExhaustedError" and not _is_full_disk(error)


def _is_full_disk(error: Exception) -> bool:
    """Whether this is ENOSPC or EDQUOT, from Python or from TensorFlow's file system."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return type(error).__module__.startswith("tensorflow") and "No space left on device" in str(error)


def _is_lost_worker(error: Exception) -> bool:
    """Whether an operation of TensorFlow failed where several workers have to take part in it."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "OpError" in kinds and "ResourceExhaustedError" not in kinds and "TF_CONFIG" in os.environ


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _leave(line: str, status: int = USER_ERROR_STATUS) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)


def define_run_flags() -> None:
    """Defines the flags of an entry point that reads a finished run."""
    flags.DEFINE_string("run_dir", None, "Run directory.")
    flags.DEFINE_string("weights", "last", "last, or best: those with the lowest validation error.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS data sets; that of the run if not given.")


def required(name: str) -> str:
    """Returns the value of a flag that must be given.

    Raises:
      UserError: it is not.
    """
    value = getattr(flags.FLAGS, name)
    if not value:
        raise errors.UserError(f"{name}: must be given, as --{name}=...")
    return value
