"""What is fitted on the columns of a table, as TensorFlow operations: from cells by column to what q sees and p
describes, and back.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from adgm_tf.data import cells, numeric, words
from adgm_tf.data.categorical import Categories
from adgm_tf.data.numeric import Numbers
from adgm_tf.data.tabular import Table
from adgm_tf.data.words import Words

# What str.strip() takes away, in the syntax of RE2.
_BLANK = (r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]")
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_BETWEEN_WORDS = r"[^\p{L}\p{N}]+"

Columns = Mapping[str, tf.Tensor]


def input_names(columns: Iterable[str]) -> dict[str, str]:
    """Returns a name for each column that TensorFlow and Python take as one: its own if it can be, and no two alike."""
    found: dict[str, str] = {}
    for column in columns:
        name = column if _is_name(column) else re.sub(r"[^A-Za-z0-9]+", "_", column).strip("_")
        name = name if _is_name(name) else f"column_{name}"
        alike, number = name, 2
        while name in found.values():
            name, number = f"{alike}_{number}", number + 1
        found[column] = name
    return found


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None and not keyword.iskeyword(text)


class ColumnsGraph:
    """The operations of a table, the same as NumPy's: `Table.prepared` and `Table.inverse`.

    Numbers come as float64 [N], NaN where missing. Categories and text come as strings [N], missing where they are
    empty or one of `cells.MISSING`.

    Args:
      table: what was fitted.

    Attributes:
      names: the name of the input of each column, by the name of the column; columns left out have none.
      specs: what each input is.
      cell_specs: the inputs where all of them are strings.
      tables: the look-up tables, which a SavedModel has to keep.
    """

    def __init__(self, table: Table):
        self._table = table
        kept = [*(table.numbers.names if table.numbers else ()), *(part.name for part in table.categories),
                *(part.name for part in table.texts)]
        self.names = input_names(column.name for column in table.columns if column.name in kept)
        numbers = set(table.numbers.names) if table.numbers else set()
        self.specs = {name: tf.TensorSpec([None], tf.float64 if column in numbers else tf.string, name)
                      for column, name in self.names.items()}
        self.cell_specs = {name: tf.TensorSpec([None], tf.string, name) for name in self.names.values()}
        self._lookups = {part.name: _lookup(cells.spellings(part.values), len(part.values))
                         for part in table.categories}
        self._lookups |= {part.name: _lookup({word: i for i, word in enumerate(part.vocabulary)}, len(part.vocabulary))
                          for part in table.texts}
        self.tables = list(self._lookups.values())

    def parsed(self, given: Columns) -> dict[str, tf.Tensor]:
        """Returns what `prepared` takes of cells that are all strings: numbers are read as in a CSV file."""
        numbers = [] if self._table.numbers is None else self._table.numbers.names
        return dict(given) | {self.names[column]: _numbers(given[self.names[column]], column) for column in numbers}

    def prepared(self, given: Columns) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns what q sees [N,S], what p describes [N,D], and 1 where it does [N,D]; all float32."""
        parts = [] if self._table.numbers is None else [self._of_numbers(self._table.numbers, given)]
        parts += [self._of_categories(part, given[self.names[part.name]]) for part in self._table.categories]
        parts += [self._of_words(part, given[self.names[part.name]]) for part in self._table.texts]
        seen, described, observed = (tf.concat([tf.cast(v, tf.float32) for v in of], 1)
                                     for of in zip(*parts, strict=True))
        return seen, described, observed

    def inverse(self, described: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns rows by the names of the inputs [N]: numbers in their units, the likeliest category, telling words.

        Args:
          described: means of p, [N,D].
        """
        table, found, start = self._table, {}, 0
        if table.numbers:
            start = len(table.numbers.names)
            values = tf.unstack(_numbers_of(table.numbers, described[:, :start]), axis=1)
            found |= dict(zip(table.numbers.names, values, strict=True))
        for part in (*table.categories, *table.texts):
            stop = start + len(part.described_names)
            back = _category_of if isinstance(part, Categories) else _words_of
            found[part.name] = back(part, described[:, start:stop])
            start = stop
        return {name: found[column] for column, name in self.names.items()}

    def typical(self) -> dict[str, np.ndarray]:
        """Returns a row [1] by the names of the inputs: numbers at their median, some category, a known word."""
        table = self._table
        found = {} if table.numbers is None else dict(zip(table.numbers.names, table.numbers.median, strict=True))
        found |= {part.name: part.values[0] for part in table.categories}
        found |= {part.name: part.vocabulary[0] for part in table.texts}
        return {name: np.array([found[column]], self.specs[name].dtype.as_numpy_dtype)
                for column, name in self.names.items()}

    def _of_numbers(self, of: Numbers, given: Columns) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        columns = []
        for column in of.names:
            x = given[self.names[column]]
            fits = tf.reduce_all(tf.math.is_nan(x) | (tf.abs(x) <= cells.LARGEST))
            rule = f"column {column}: must be a finite number of at most {cells.LARGEST:g}, or NaN where missing"
            with tf.control_dependencies([tf.debugging.Assert(fits, [rule])]):
                columns.append(tf.identity(x))
        x = tf.stack(columns, 1)
        missing = tf.math.is_nan(x)
        filled = _standardised(of, tf.where(missing, tf.constant(of.median, tf.float64), x))
        described = tf.where(missing, tf.zeros([], tf.float64), filled)
        indicated = tf.gather(missing, np.flatnonzero(of.indicated), axis=1)
        return tf.concat([filled, tf.cast(indicated, tf.float64)], 1), described, ~missing

    def _of_categories(self, of: Categories, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        words_, missing = _words(given)
        count = len(of.values)
        places = tf.where(missing, tf.constant(count + 1, tf.int64), self._lookups[of.name].lookup(words_))
        seen = tf.one_hot(places, count + 2)
        return seen, seen[:, :count], tf.repeat((places < count)[:, None], count, 1)

    def _of_words(self, of: Words, given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        text, missing = _words(given)
        rows, count = tf.shape(given, tf.int64)[0], len(of.vocabulary)
        split = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(text, "utf-8"), _BETWEEN_WORDS, " "))
        places = self._lookups[of.name].lookup(split.values)
        known = (places < count) & ~tf.gather(missing, split.value_rowids())
        flat = tf.boolean_mask(split.value_rowids() * count + places, known)
        counts = tf.reshape(tf.math.unsorted_segment_sum(tf.ones_like(flat, tf.float64), flat, rows * count),
                            [rows, count])
        has = counts > 0
        weights = tf.where(has, (1 + tf.math.log(tf.maximum(counts, 1))) * of.idf, tf.zeros([], tf.float64))
        length = tf.sqrt(tf.reduce_sum(weights**2, 1, keepdims=True))
        return tf.math.divide_no_nan(weights, length), has, tf.repeat(~missing[:, None], count, 1)


def _lookup(places: Mapping[str, int], other: int) -> tf.lookup.StaticHashTable:
    """The place of each word, `other` of any other."""
    known = tf.lookup.KeyValueTensorInitializer(tf.constant(list(places)), tf.constant(list(places.values()), tf.int64))
    return tf.lookup.StaticHashTable(known, other)


def _words(given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Strings without blanks around them, empty where missing; and where they are missing."""
    text = tf.strings.unicode_transcode(given, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.regex_replace(text, f"^{_BLANK}+|{_BLANK}+$", "")
    missing = tf.reduce_any(text[:, None] == tf.constant(sorted(cells.MISSING)), 1)
    return tf.where(missing, "", text), missing


def _numbers(given: tf.Tensor, column: str) -> tf.Tensor:
    text, missing = _words(given)
    right = missing | tf.strings.regex_full_match(text, _NUMBER)
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [f"column {column}: must be a number",
                                                                               tf.boolean_mask(text, ~right)])]):
        return tf.where(missing, tf.constant(np.nan, tf.float64),
                        tf.strings.to_number(tf.where(right & ~missing, text, "0"), tf.float64))


def _standardised(of: Numbers, x: tf.Tensor) -> tf.Tensor:
    columns = tf.unstack(x, axis=1)
    for j in np.flatnonzero(of.curved):
        u = of.sign[j] * (columns[j] - of.shift[j]) / of.unit[j]
        log = tf.math.log1p(tf.maximum(u, 0))
        bent = log if of.power[j] == 0 else tf.math.expm1(of.power[j] * log) / of.power[j]
        columns[j] = of.sign[j] * tf.where(u < 0, u, bent)
    t = (tf.stack(columns, 1) - of.centre) * of.scale
    return tf.clip_by_value(t, -numeric.LIMIT, numeric.LIMIT)


def _numbers_of(of: Numbers, described: tf.Tensor) -> tf.Tensor:
    columns = tf.unstack(tf.cast(described, tf.float64) / of.scale + of.centre, axis=1)
    for j in np.flatnonzero(of.curved):
        t = of.sign[j] * columns[j]
        log = t if of.power[j] == 0 else tf.math.log1p(tf.maximum(of.power[j] * t, -1)) / of.power[j]
        columns[j] = of.sign[j] * tf.where(t < 0, t, tf.math.expm1(log)) * of.unit[j] + of.shift[j]
    x = tf.clip_by_value(tf.stack(columns, 1), tf.constant(of.lowest), tf.constant(of.highest))
    return tf.where(of.whole, tf.round(x), x)


def _category_of(of: Categories, described: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.constant(of.values), tf.argmax(described, 1))


def _words_of(of: Words, described: tf.Tensor) -> tf.Tensor:
    more = tf.cast(described, tf.float64) - of.share
    places = tf.math.top_k(more, min(words.TYPICAL, len(of.vocabulary))).indices
    return tf.strings.reduce_join(tf.gather(tf.constant(of.vocabulary), places), 1, separator=" ")
