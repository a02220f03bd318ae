"""The files of TensorBoard's projector: where examples lie in z and in a, what they are, and how they look."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from adgm_tf.analysis import grids, plots
from adgm_tf.host import files

CONFIG, METADATA, SPRITE = "projector_config.pbtxt", "metadata.tsv", "sprite.png"
# Pixels of the longer side of an image, at most; the whole square of 1,000 is then small enough for any browser.
SIDE = 64


def write(folder: pathlib.Path, codes: Mapping[str, np.ndarray], columns: Mapping[str, Sequence[str]],
          images: np.ndarray | None = None) -> None:
    """Writes the files of the projector to a folder that has records of TensorBoard in it.

    Args:
      folder: the folder.
      codes: {letter: means of q [N, units]}.
      columns: what is said of each example, by name.
      images: [N, H, W, channels] in [0,1], if the examples are such.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import projector_config_pb2
    config = projector_config_pb2.ProjectorConfig()
    files.write_text(folder / METADATA, _table(columns))
    size = None
    if images is not None:
        picture, size = grids.sprite(images, SIDE)
        plots.write_png(folder / SPRITE, picture)
    for letter, values in codes.items():
        buffer = io.StringIO()
        np.savetxt(buffer, values, "%.5g", "\t")
        files.write_text(folder / f"{letter}.tsv", buffer.getvalue())
        embedding = config.embeddings.add(tensor_name=letter, tensor_path=f"{letter}.tsv", metadata_path=METADATA,
                                          tensor_shape=values.shape)
        if size is not None:
            embedding.sprite.image_path = SPRITE
            embedding.sprite.single_image_dim.extend(size)
    files.write_text(folder / CONFIG, text_format.MessageToString(config))


def _table(columns: Mapping[str, Sequence[str]]) -> str:
    """A line an example, a word a column; of one column alone the projector takes no header."""
    cells = [_words(name, values) for name, values in columns.items()]
    header = [list(columns)] if len(columns) > 1 else []
    return "".join("\t".join(row) + "\n" for row in [*header, *zip(*cells, strict=True)])


def _words(name: str, values: Sequence[str]) -> list[str]:
    """Values on a line each; a column of numbers, which would have shades and no colours, says what they are."""
    found = [" ".join(value.split()) for value in values]
    return [f"{name} {value}" for value in found] if any(map(_is_number, found)) else found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
