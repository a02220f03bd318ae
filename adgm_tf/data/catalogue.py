"""The table of data sources."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

from adgm_tf.data import bundled, folders, npy, npz, source, tables, tfds
from adgm_tf.data import rows as rows_lib
from adgm_tf.data.preprocess import Preprocess
from adgm_tf.host import errors, files
from adgm_tf.options import ReadOptions

SOURCES = {"mnist5k": bundled.mnist5k, "digits": bundled.digits, "moons": bundled.moons}
BUILT_IN = frozenset(SOURCES)
ALIASES = {"mnist": "tfds:mnist"}
OWN = {"csv": tables.load, "parquet": tables.load, "npz": npz.load, "npy": npy.load, "folder": folders.load}


def register(name: str, load: Callable[[str, str], source.Source]) -> None:
    """Adds a data set of one's own: a function from its name and the folder of data to a source.

    Raises:
      UserError: the name is that of a bundled data set.
    """
    if name in BUILT_IN or name in ALIASES:
        raise errors.UserError(f"dataset={name}: is taken")
    SOURCES[name] = load


def load(name: str, data_dir: str = "", options: ReadOptions | None = None) -> source.Source:
    """Loads the data set `name`: a bundled one, `tfds:NAME`, or own data as `csv:FILE`, `parquet:FILE`, `npz:FILE`,
    `npy:DIR` or `folder:DIR`.

    Args:
      name: the data set.
      data_dir: folder of prepared TFDS sets, and of files of own data that are not found here.
      options: how own data are read; their defaults if not given.

    Raises:
      UserError: there is no such data set, or it cannot be understood.
    """
    full_name = ALIASES.get(name, name)
    kind, colon, path = full_name.partition(":")
    if colon and kind in OWN:
        files.check_local(path, "dataset")
        # A relative path that is not here may be one in the folder of data.
        beside = pathlib.Path(data_dir, path)
        found = path if pathlib.Path(path).exists() or not data_dir or not beside.exists() else str(beside)
        return OWN[kind](f"{kind}:{found}", options or ReadOptions())
    if full_name.startswith("tfds:"):
        return tfds.load(full_name, data_dir)
    if full_name not in SOURCES:
        raise errors.unknown("dataset", name, [*SOURCES, *ALIASES, "tfds:<name>", *(
            f"{kind}:<{'folder' if kind in ('folder', 'npy') else 'file'}>" for kind in OWN)])
    return SOURCES[full_name](full_name, data_dir)


def rows(path: str, like: Preprocess, options: ReadOptions | None = None, argument: str = "input") -> rows_lib.Rows:
    """Returns new rows of a file or a folder for a model whose examples are `like` those of training.

    Raises:
      UserError: the file cannot be read, or its rows are not like those of training.
    """
    files.check_local(path.partition(":")[2] or path, argument)
    return rows_lib.read(path, like, options or ReadOptions(), argument)


def blocks_of_rows(path: str, like: Preprocess, options: ReadOptions, count: int, *,
                   with_labels: bool = True) -> Iterator[rows_lib.Rows]:
    """Yields what `rows` returns in blocks of `count` rows; of all but npz files no more is held at once.

    Without labels nothing is asked of them: a column that is called like one may hold anything.

    Raises:
      UserError: as `rows`; of a row when its turn comes.
    """
    files.check_local(path.partition(":")[2] or path, "input")
    yield from rows_lib.blocks(path, like, options, "input", count, with_labels=with_labels)
