"""Files that are written whole: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from adgm_tf import errors


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
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
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
    """Takes back what a block that fails has put into a folder that was empty or not there."""
    existed = folder.exists()
    fresh = not existed or not any(folder.iterdir())
    try:
        yield
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        if fresh and existed:
            folder.mkdir()
        raise


def write_text(path: os.PathLike | str, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: os.PathLike | str, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


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
    return [line for line in lines if isinstance(line, dict) and isinstance(line.get("step"), int)]


@contextlib.contextmanager
def locked(folder: os.PathLike | str, wait: bool = True) -> Iterator[None]:
    """Keeps other processes that ask for the same folder out while the block runs; leaves no empty folder behind.

    Raises:
      BlockingIOError: another process has the folder, and this one is not to wait.
    """
    folder = pathlib.Path(folder)
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
        if not existed and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


@contextlib.contextmanager
def held(run_dir: os.PathLike | str) -> Iterator[None]:
    """Keeps a second process from training or fitting the same run.

    Raises:
      UserError: another process is at it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(run_dir, wait=False))
        except BlockingIOError:
            raise errors.UserError(f"run_dir={run_dir}: another process trains it") from None
        yield
