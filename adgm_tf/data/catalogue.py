"""The table of data sources."""

from __future__ import annotations

from adgm_tf.data import bundled, source, tfds
from adgm_tf.host import errors

SOURCES = {"mnist5k": bundled.mnist5k, "digits": bundled.digits, "moons": bundled.moons}
ALIASES = {"mnist": "tfds:mnist"}


def load(name: str, data_dir: str = "") -> source.Source:
    """Loads the data set `name`.

    Raises:
      UserError: there is no such data set.
    """
    full_name = ALIASES.get(name, name)
    if full_name.startswith("tfds:"):
        return tfds.load(full_name, data_dir)
    if full_name not in SOURCES:
        raise errors.unknown("dataset", name, [*SOURCES, *ALIASES, "tfds:<name>"])
    return SOURCES[full_name](full_name, data_dir)
