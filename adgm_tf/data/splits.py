"""Splits: which training examples are labelled, unlabelled and held out, chosen by a seed of their own."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np

from adgm_tf.config import Config
from adgm_tf.data import preprocess as preprocess_lib
from adgm_tf.data import source as source_lib
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import errors, files

FILE = "split.npz"
CHOSEN = ("labelled", "unlabelled", "valid")
# num_labels: labels as they are given; the same for own data and where some are unknown, else BUNDLED of them.
GIVEN, AUTO, BUNDLED = "given", "auto", "100"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples as the source gives them: x [N, ...], class indices y [N], rows of the source's training set [N].

    x is an array, or a DataFrame of the rows of a table. A label that is not known is UNKNOWN.
    """

    x: Any
    y: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @property
    def known(self) -> Examples:
        """Those whose labels are known: the others take part in no error."""
        return self if np.all(self.y != UNKNOWN) else self.take(self.y != UNKNOWN)

    def take(self, rows: np.ndarray | slice) -> Examples:
        """Returns the examples at the positions, the mask or the slice `rows`."""
        return Examples(rows_of(self.x, rows), self.y[rows], self.index[rows])

    def drawn(self, count: int) -> Examples:
        """Returns `count` of the examples, or all if they are fewer: the same ones every time."""
        return self.take(np.sort(np.random.default_rng(0).permutation(len(self))[:count]))


def rows_of(x: Any, rows: np.ndarray | slice) -> Any:
    """Returns the rows of an array or a DataFrame at the positions, the mask or the slice `rows`."""
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


@dataclasses.dataclass(frozen=True)
class Splits:
    """The data of one run.

    Attributes:
      labelled: examples whose labels the model sees.
      unlabelled: examples whose labels it never sees; their y, where known, serves the transductive error alone.
      valid: held out of training, for selection.
      test: for the final figure; may be empty.
      spec: shapes, classes, and what was fitted on the labelled and unlabelled examples.
      labels_given: whether the labels are used as they were given, any number a class.
      own: whether they are the user's own, and no bundled set.
      remarks: what the source has to say aloud.
    """

    labelled: Examples
    unlabelled: Examples
    valid: Examples
    test: Examples
    spec: DataSpec
    labels_given: bool = False
    own: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class."""
        return self.spec.class_names

    @property
    def num_classes(self) -> int:
        """C."""
        return self.spec.num_classes

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example as the source gives it."""
        return self.spec.x_shape

    @property
    def is_image(self) -> bool:
        """Whether x are images."""
        return self.spec.is_image

    @property
    def x_dim(self) -> int:
        """D, units that p(x|.) describes."""
        return self.spec.x_dim

    @property
    def seen_dim(self) -> int:
        """S, units that q sees."""
        return self.spec.seen_dim

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """Density and units of each block of x, where p(x|.) is mixed."""
        return self.spec.blocks

    def prepared(self, x: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Returns what q sees of examples [N,S]; what p describes [N,D] and where [N,D], if that is another thing."""
        return self.spec.prepared(x)

    @property
    def hidden(self) -> Examples:
        """The unlabelled examples whose labels the model never sees."""
        return self.unlabelled.take(~np.isin(self.unlabelled.index, self.labelled.index))

    @property
    def num_train(self) -> int:
        """N, the number of different training examples."""
        return len(np.union1d(self.labelled.index, self.unlabelled.index))


def split(source: source_lib.Source, config: Config) -> Splits:
    """Chooses validation and labelled examples by `config.split_seed`; both are spread evenly over the classes.

    Only examples whose labels are known are chosen for either, unless there are none at all. Labels that are used as
    given are all labelled but for the validation examples, which are then any of those of each class but one.

    Raises:
      UserError: there are fewer examples than asked for, or a class would have no label.
    """
    rng = np.random.default_rng(config.split_seed)
    num_labels = _num_labels(source, config)
    valid = _valid(source, config, num_labels, rng)
    pool = np.setdiff1d(np.arange(len(source.train_y)), valid)
    if not len(pool):
        raise errors.UserError(f"num_valid={config.num_valid}: leaves nothing of the {len(valid)} training examples")
    labelled = _labelled(source, pool, num_labels, rng)
    supervised = num_labels in ("all", GIVEN) and len(labelled) == len(pool)
    keep = config.labelled_in_unlabelled and not supervised
    unlabelled = _unlabelled(source, pool if keep else np.setdiff1d(pool, labelled), config, rng)

    def take(index: np.ndarray) -> Examples:
        return Examples(rows_of(source.train_x, index), source.train_y[index], index)

    fitted = preprocess_lib.fit(rows_of(source.train_x, np.union1d(labelled, unlabelled)), source.columns, config)
    spec = DataSpec(source.class_names, fitted, tuple(source.train_x.shape[1:]),
                    np.dtype(object) if source.is_table else source.train_x.dtype, source.is_image, len(labelled) > 0)
    return Splits(take(labelled), take(unlabelled), take(valid),
                  Examples(source.test_x, source.test_y, np.arange(len(source.test_y))), spec, num_labels == GIVEN,
                  source.own, tuple(source.remarks))


def _num_labels(source: source_lib.Source, config: Config) -> str:
    if config.num_labels == AUTO:
        return GIVEN if source.own or np.any(source.train_y == UNKNOWN) else BUNDLED
    return config.num_labels


def _valid(source: source_lib.Source, config: Config, num_labels: str, rng: np.random.Generator) -> np.ndarray:
    if num_labels == GIVEN and len(source.class_names):
        return _valid_of_given(source, config.num_valid, rng)
    if len(source.class_names):
        return choose(source.train_y, config.num_valid, len(source.class_names), rng,
                      given=f"num_valid={config.num_valid}", dataset=source.name)
    if config.num_valid > len(source.train_y):
        raise errors.UserError(f"num_valid={config.num_valid}: {source.name} has only {len(source.train_y)} examples "
                               "to choose from")
    return np.sort(rng.permutation(len(source.train_y))[: config.num_valid])


def _valid_of_given(source: source_lib.Source, count: int, rng: np.random.Generator) -> np.ndarray:
    """Any of the labelled examples, in the shares that the classes have, but for one of each class."""
    order = rng.permutation(np.flatnonzero(source.train_y != UNKNOWN))
    _, first = np.unique(source.train_y[order], return_index=True)
    free = np.delete(order, first)
    if count > len(free):
        raise errors.UserError(f"num_valid={count}: {source.name} has {len(order)} labelled examples, and each of its "
                               f"{len(first)} labelled classes keeps one; at most {len(free)} are free")
    return np.sort(free[:count])


def choose(y: np.ndarray, count: int, num_classes: int, rng: np.random.Generator, *, given: str,
           dataset: str) -> np.ndarray:
    """Returns the sorted rows of `count` labelled examples, as evenly spread over the classes as the count allows.

    Raises:
      UserError: a class has fewer examples than its share.
    """
    known = int(np.sum(y != UNKNOWN))
    if count > known:
        labelled = "" if known == len(y) else " whose labels are known"
        raise errors.UserError(f"{given}: {dataset} has only {known} examples{labelled} to choose from")
    share = np.full(num_classes, count // num_classes)
    share[rng.permutation(num_classes)[: count % num_classes]] += 1
    chosen = []
    for c in range(num_classes):
        rows = rng.permutation(np.flatnonzero(y == c))
        if len(rows) < share[c]:
            raise errors.UserError(f"{given}: needs {share[c]} examples of class {c}, {dataset} has {len(rows)}")
        chosen.append(rows[: share[c]])
    return np.sort(np.concatenate(chosen))


def _labelled(source: source_lib.Source, pool: np.ndarray, num_labels: str, rng: np.random.Generator) -> np.ndarray:
    if num_labels == GIVEN:
        _check_given(source)
    if num_labels in ("all", GIVEN):
        return pool[source.train_y[pool] != UNKNOWN]
    count, num_classes = int(num_labels), len(source.class_names)
    if 0 < count < num_classes:
        raise errors.UserError(f"num_labels={count}: {source.name} has {num_classes} classes, and a class without a "
                               f"single label cannot be learnt; ask for at least {num_classes}")
    if count and not num_classes:
        raise errors.UserError(f"num_labels={count}: {source.name} has no labels; use --num_labels=0")
    return pool[choose(source.train_y[pool], count, num_classes, rng, given=f"num_labels={count}",
                       dataset=source.name)] if count \
        else pool[:0]


def _check_given(source: source_lib.Source) -> None:
    known = np.unique(source.train_y[source.train_y != UNKNOWN])
    if not len(known):
        raise errors.UserError(f"num_labels={GIVEN}: {source.name} has no label in its training part; use "
                               "--num_labels=0 and a model without classes")
    if len(known) == 1:
        raise errors.UserError(f"num_labels={GIVEN}: {source.name} has labels of one class only "
                               f"({source.class_names[known[0]]}), and a classifier needs two; an empty label and -1 "
                               "are unknown ones")


def _unlabelled(source: source_lib.Source, pool: np.ndarray, config: Config, rng: np.random.Generator) -> np.ndarray:
    count = config.unlabelled_count(len(pool))
    if count > len(pool):
        raise errors.UserError(f"num_unlabelled={count}: {source.name} has only {len(pool)} examples to choose from")
    chosen = pool if count == len(pool) else np.sort(rng.choice(pool, count, replace=False))
    if config.unlabelled_order == "class_sorted":
        return chosen[np.argsort(source.train_y[chosen], kind="stable")]
    return chosen


def describe(splits: Splits) -> str:
    """Returns one line that says what the model will see, and how labels that do not divide were spread."""
    line = (f"{len(splits.labelled):,} labelled, {len(splits.unlabelled):,} unlabelled, {len(splits.valid):,} "
            f"validation and {len(splits.test):,} test examples of {splits.num_classes} classes")
    if unknown := len(splits.hidden) - len(splits.hidden.known):
        line += f"; {unknown:,} of the unlabelled have labels that nobody knows"
    counts = np.bincount(splits.labelled.y, minlength=splits.num_classes)
    if splits.labels_given:
        return line + _describe_given(splits.class_names, counts)
    if len(splits.unlabelled) and len(splits.labelled) and counts.max() > counts.min():
        line += f"; labels a class, as even as they divide: {', '.join(map(str, counts))}"
    return line


def _describe_given(class_names: tuple[str, ...], counts: np.ndarray) -> str:
    """The labels given to each class, and which classes have none or one."""
    labels = dict(zip(class_names, counts, strict=True))
    line = "; labels as given: " + ", ".join(f"{name} {count:,}" for name, count in labels.items())
    for count, words in ((0, "without a label"), (1, "with one label")):
        if found := [name for name, given in labels.items() if given == count]:
            line += f"; {'classes' if len(found) > 1 else 'a class'} {words}: {', '.join(found)}"
    return line


def write(splits: Splits, run_dir: os.PathLike | str) -> None:
    """Writes to `split.npz` which rows of the source's training set serve as what."""
    with files.replacing(pathlib.Path(run_dir) / FILE) as path:
        np.savez_compressed(path, **{name: getattr(splits, name).index for name in CHOSEN})


def check(splits: Splits, run_dir: os.PathLike | str) -> None:
    """Makes sure that the data are those of the run: the same rows serve as what its `split.npz` says.

    Raises:
      UserError: they are not, or the file cannot be read.
    """
    try:
        with np.load(pathlib.Path(run_dir) / FILE) as stored:
            same = all(np.array_equal(stored[name], getattr(splits, name).index) for name in CHOSEN)
    except FileNotFoundError:
        raise errors.UserError(f"run_dir={run_dir}: holds no {FILE}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.UserError(f"run_dir={run_dir}: {FILE} cannot be read ({error})") from None
    if not same:
        raise errors.UserError(f"run_dir={run_dir}: its {FILE} names other examples than its configuration and data "
                               "give; the data set has changed")
