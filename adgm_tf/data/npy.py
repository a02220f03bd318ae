"""Own data larger than memory: `npy:FOLDER` with x.npy and y.npy, or shards x-0.npy, x-1.npy, ... and y-0.npy, ..."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from adgm_tf.data import mapped, npz, source
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions


def load(name: str, options: ReadOptions) -> source.Source:
    """Returns the source of `npy:FOLDER`: the arrays of `npz:FILE`, a file or several shards each.

    The examples stay on disk. Labels, names and the mask of the test rows are read.

    Raises:
      UserError: the folder cannot be read, or what is in it cannot be understood.
    """
    what = f"dataset={name}"
    folder = pathlib.Path(name.partition(":")[2])
    if not folder.is_dir():
        raise errors.UserError(f"{what}: there is no such folder")
    found: dict[str, Any] = {}
    for key, known in npz.NAMES_OF.items():
        files = next((files for n in known if (files := mapped.find(folder, n, what))), None)
        if files and key in npz.EXAMPLES:
            found[key] = mapped.Mapped(files, f"{what}, its {'test ' if key == 'x_test' else ''}examples").checked()
        elif files:
            found[key] = np.concatenate([np.load(file.path, allow_pickle=False) for file in files])
    if "x" not in found:
        raise errors.UserError(f"{what}: has no x.npy, and no x-0.npy, x-1.npy and so on")
    return npz.made(name, found, options)
