"""What the entry points share: one line for an error, flags that name a run, quiet libraries."""

from __future__ import annotations

import contextlib
import errno
import logging as standard_logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

from absl import app, flags, logging

from adgm_tf import errors, interrupts

USER_ERROR_STATUS = 2
# Numbers of malloc.h, and bytes.
_MALLOC_PARAMETERS = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28), "M_MMAP_THRESHOLD": (-3, 2**25)}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The flags defined here are those of the entry point that asks for them, and stand in its --help.
flags.disclaim_key_flags()


def run(main: Callable[[], None], doc: str) -> None:
    """Parses the flags and calls `main`; a UserError or a file that cannot be used ends it in one line and status 2."""
    def guarded(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]}: every option is a flag, --name=value")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        standard_logging.getLogger("tensorflow").setLevel(standard_logging.ERROR)
        keep_freed_memory()
        came = _interruptible()
        try:
            main()
        except errors.UserError as error:
            _leave(str(error))
        except KeyboardInterrupt as stop:
            _stopped(stop.args[0] if stop.args else signal.SIGINT)
        except Exception as error:
            if came:
                # C code that an exception passes through turns it into one of its own.
                _stopped(came[0])
            name = getattr(error, "filename", None)
            if _is_full_disk(error):
                _leave(f"no space left on the device{f' to write {name}' if name else ''}; nothing more was written, "
                       "and the files written before are whole")
            if not isinstance(error, OSError) or name is None:
                raise
            _leave(f"{name}: {error.strerror}")

    sys.modules["__main__"].__doc__ = doc
    try:
        app.run(guarded)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


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


def _is_full_disk(error: Exception) -> bool:
    """Whether this is ENOSPC or EDQUOT, from Python or from TensorFlow's file system."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return type(error).__module__.startswith("tensorflow") and "No space left on device" in str(error)


def _leave(line: str) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(USER_ERROR_STATUS)


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
