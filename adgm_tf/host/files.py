"""Files that are written whole: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from adgm_tf.host import errors

TEMPORARY = ".tmp-"
LOCK = ".lock"


def contents(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns what is in a folder, sorted, but for locks and what a killed process left half-written."""
    return sorted(p for p in folder.iterdir() if p.name != LOCK and not p.name.startswith(TEMPORARY))


def check_local(path: os.PathLike | str, argument: str) -> None:
    """Makes sure that a path is one of this machine.

    Raises:
      UserError: it is an address, of which a folder of that name would be made here.
    """
    if re.match(r"[A-Za-z][\w+.-]*:/", os.fspath(path)):
        raise errors.UserError(f"{argument}={path}: must be a path of this machine or of a mounted file system")


@contextlib.contextmanager
def replacing(path: os.PathLike | str) -> Iterator[pathlib.Path]:
    """Yields a temporary path that becomes `path`, or what it links to, if the block succeeds and vanishes if not.

    Raises:
      UserError: `path` is something else than a file.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and not path.is_file():
        raise errors.UserError(f"{path}: must be a file, or not be there yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_or_not_at_all(folder: pathlib.Path) -> Iterator[None]:
    """Takes back what a block that fails has put into a folder that held nothing or was not there."""
    fresh = not folder.exists() or not contents(folder)
    try:
        yield
    except BaseException:
        for path in contents(folder) if fresh and folder.exists() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def write_text(path: os.PathLike | str, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: os.PathLike | str, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, whole or not at all; numbers that JSON has no word for become null."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Returns a value with null in the place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: os.PathLike | str, argument: str) -> dict[str, Any]:
    """Returns what a file of a folder holds; `argument` is what the folder was given as.

    Raises:
      UserError: it cannot be read, or holds something else than an object.
    """
    path = pathlib.Path(path)
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
        reason = "no object"
    except ValueError as error:
        reason = str(error)
    raise errors.UserError(f"{argument}={path.parent}: {path.name} cannot be read ({reason})")


def read_json_lines(path: os.PathLike | str) -> list[dict[str, Any]]:
    """Returns the objects of a step in a file of JSON lines, none if it isn't there; other lines are left out."""
    path = pathlib.Path(path)
    if not path.is_file():
        return []
    lines = []
    for text in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(text))
    return [line for line in lines if isinstance(line, dict) and type(line.get("step")) is int
            and 0 <= line["step"] < 2**53]


@contextlib.contextmanager
def locked(folder: os.PathLike | str, *, wait: bool = True) -> Iterator[None]:
    """Keeps other processes that ask for the same folder out while the block runs; leaves no empty folder behind.

    The lock is on a file, as one on a folder keeps out no other machine where the folder is shared.

    Raises:
      BlockingIOError: another process has the folder, and this one is not to wait.
    """
    folder = pathlib.Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    handle = _lock(folder / LOCK, wait=wait)
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        if made and not contents(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for path in made[1:]:
                with contextlib.suppress(OSError):
                    path.rmdir()
        os.close(handle)


def _lock(path: pathlib.Path, *, wait: bool) -> int:
    """Opens and locks a file that goes when its lock does: one that went meanwhile is made anew."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@contextlib.contextmanager
def held(run_dir: os.PathLike | str) -> Iterator[None]:
    """Keeps a second process from training or fitting the same run; removes what a killed one left half-written.

    Raises:
      UserError: another process is at it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(run_dir, wait=False))
        except BlockingIOError:
            raise errors.UserError(f"run_dir={run_dir}: is locked by another process, which trains it") from None
        for left in pathlib.Path(run_dir).glob(f"{TEMPORARY}*"):
            left.unlink(missing_ok=True)
        yield
