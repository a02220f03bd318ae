"""The one exception that a user sees: a line that names the argument, its value and the rule it broke."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """Wrong input; the entry points print it as one line and leave with status 2."""


class LostWorker(Exception):
    """Another worker is not there; the entry points print it as one line and leave with a status that means: again."""


def unknown(name: str, value: object, known: Iterable[str]) -> UserError:
    """Returns the error for a value outside a closed set, with its nearest members first."""
    known = list(known)
    near = difflib.get_close_matches(str(value), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UserError(f"{name}={value}: {hint}known: {', '.join(known)}")


def lookup(table: Mapping[str, T], name: str, value: str) -> T:
    """Returns `table[value]`.

    Raises:
      UserError: `value` is not a key; the message names `name` and the nearest keys.
    """
    if value not in table:
        raise unknown(name, value, table)
    return table[value]
