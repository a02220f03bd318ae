"""How own data are to be read: which column is what, and what is held out."""

from __future__ import annotations

import dataclasses
from typing import Any

from adgm_tf.host import errors


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What a file of own data does not say of itself.

    Attributes:
      label_column: column of the labels; if empty `label`, or else the last one called class, target or y.
      unlabelled_value: a word in it that means an unknown label, as an empty cell does.
      split_column: column that says train or test; if empty, `split` where it says nothing else.
      test_fraction: share of the labelled rows of each class held out for test where no column and no file says which.
      ignore_columns: columns left out.
      numeric_columns: columns that are numbers, whatever they look like.
      categorical_columns: columns that are categories.
      text_columns: columns that are text.
      id_column: column that names the rows; left out, and carried along in predictions.
      image_size: height and width of the images of a folder; theirs if empty and all have one.
      split_seed: chooses the test rows.
      max_words: most words of a text column that have a place, the most frequent ones.
      max_categories: most categories of a column that have a place of their own, the most frequent ones.
    """

    label_column: str = ""
    unlabelled_value: str = ""
    split_column: str = ""
    test_fraction: float = 0.2
    ignore_columns: tuple[str, ...] = ()
    numeric_columns: tuple[str, ...] = ()
    categorical_columns: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    id_column: str = ""
    image_size: tuple[int, ...] = ()
    split_seed: int = 0
    max_words: int = 1000
    max_categories: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise errors.UserError(f"test_fraction={self.test_fraction:g}: must be at least 0 and below 1")
        if self.image_size and (len(self.image_size) != 2 or min(self.image_size) < 1):
            raise errors.UserError(f"image_size={','.join(map(str, self.image_size))}: must be a height and a width of "
                                   "at least 1 pixel")
        for name in ("max_words", "max_categories"):
            if getattr(self, name) < 1:
                raise errors.UserError(f"{name}={getattr(self, name)}: must be at least 1")

    @classmethod
    def of(cls, values: Any) -> ReadOptions:
        """Returns the options that are attributes of the same names of `values`, and the defaults for the rest."""
        return cls(**{f.name: getattr(values, f.name) for f in dataclasses.fields(cls) if hasattr(values, f.name)})
