"""Arrays of own data: `npz:FILE` with x, y and perhaps names and test."""

from __future__ import annotations

import pathlib
import zipfile
from typing import Any

import numpy as np

from adgm_tf.data import arrays, labels, mapped, own, source
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

NAMES_OF = {"x": ("x", "x_train"), "y": ("y", "y_train"), "x_test": ("x_test",), "y_test": ("y_test",),
             "names": ("names",), "test": ("test",)}
EXAMPLES = ("x", "x_test")


def load(name: str, options: ReadOptions) -> source.Source:
    """Returns the source of `npz:FILE`, of arrays x [N, ...] or x_train, y [N] or y_train, and perhaps names of the
    classes, test (a mask [N]), or x_test and y_test.

    Raises:
      UserError: the file cannot be read, or what is in it cannot be understood.
    """
    return made(name, read(name.partition(":")[2], f"dataset={name}"), options)


def made(name: str, found: dict[str, Any], options: ReadOptions) -> source.Source:
    """Returns the source of arrays by their names here, in memory or not.

    Raises:
      UserError: they cannot be understood.
    """
    what = f"dataset={name}"
    x = arrays.understood(found["x"], f"{what}, its examples")
    if not len(x):
        raise errors.UserError(f"{what}: has no examples")
    class_names = None if "names" not in found else tuple(str(n) for n in found["names"].ravel())
    given = names(found.get("y"), len(x), class_names, options, f"{what}, its labels")
    test, said = _test(found, given, options, what)
    if "x_test" in found:
        other = arrays.understood(found["x_test"], f"{what}, its test examples")
        arrays.check_alike(x, other, what)
        given = np.concatenate([given, names(found.get("y_test"), len(other), class_names, options,
                                             f"{what}, its test labels")])
        x = mapped.joined(x, other) if isinstance(x, mapped.Mapped) else np.concatenate([x, other])
        test = np.arange(len(x)) >= len(x) - len(other)
    remarks = [*own.remarks_on(given, options.unlabelled_value), said]
    return own.made(name, x, given, test, class_names=class_names, remarks=remarks)


def read(path: str, what: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by their names here.

    Raises:
      UserError: there is no such file, it cannot be read, or it has no x.
    """
    if not pathlib.Path(path).is_file():
        raise errors.UserError(f"{what}: there is no such file")
    if not zipfile.is_zipfile(path):
        raise errors.UserError(f"{what}: is no npz file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys = stored.files
            taken = {key: next((n for n in known if n in keys), None) for key, known in NAMES_OF.items()}
            found = {key: stored[name] for key, name in taken.items() if name}
    except Exception as error:  # noqa: BLE001  (zip, header and pickled objects have errors of their own)
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = "; an array of objects must become one of numbers or text" if "pickle" in reason else ""
        raise errors.UserError(f"{what}: cannot be read ({reason[:200]}){hint}") from None
    if "x" not in found:
        raise errors.UserError(f"{what}: has no array x; its arrays are {', '.join(keys) or 'none'}")
    return found


def names(y: Any, count: int, class_names: tuple[str, ...] | None, options: ReadOptions, what: str) -> np.ndarray:
    """Returns the names of labels [N] that are indices of `class_names`, or names; None where unknown.

    Raises:
      UserError: they are not one an example, or of no class.
    """
    if y is None:
        return np.full(count, None, object)
    if y.shape[:1] != (count,):
        raise errors.UserError(f"{what}: are {len(y) if y.ndim else 1}, for {count} examples")
    found = own.label_names(y, options.unlabelled_value, what)
    if class_names is None:
        return found
    unknown = np.array([name is None for name in found], bool)
    index = labels.indexed(np.where(unknown, labels.UNKNOWN, y) if y.dtype.kind in "iuf" else found, class_names, what)
    return np.array([*class_names, None], object)[index]


def _test(found: dict[str, Any], given: np.ndarray, options: ReadOptions, what: str) -> tuple[np.ndarray, str]:
    if "x_test" in found:
        return np.zeros(len(given), bool), f"test set: x_test ({len(found['x_test']):,} examples)"
    if "test" not in found:
        test = own.held_out(given, options)
        return test, own.remark_on_held_out(test, given, options)
    test = found["test"]
    if test.shape != given.shape or not (test.dtype == bool or set(np.unique(test).tolist()) <= {0, 1}):
        raise errors.UserError(f"{what}: its array test is {arrays.shown(test.shape)} of type {test.dtype}, and must "
                               f"be true or false for each of the {len(given)} examples")
    if test.all():
        raise errors.UserError(f"{what}: its array test leaves no example for training")
    return test.astype(bool), f"test set: array test ({int(test.sum()):,} examples)"
