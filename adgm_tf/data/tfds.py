"""Any image classification set of TensorFlow Datasets: `tfds:<name>`."""

from __future__ import annotations

import numpy as np

from adgm_tf.data import source
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors

UNLABELLED = ("unlabelled", "unlabeled", "unsupervised")
TEST = ("test", "validation")


def load(name: str, data_dir: str) -> source.Source:
    """Returns images [N, H, W, channels] from a prepared copy, or prepares one if there is a network.

    The test set is the split named test, or validation, if there is one; a split of unlabelled images of its own joins
    the training set.

    Raises:
      UserError: TFDS has no such set, it can neither be found nor downloaded, or it isn't image classification.
    """
    import tensorflow_datasets as tfds
    tfds.display_progress_bar(False)
    tfds_name = name.removeprefix("tfds:")
    builder = _builder(tfds, tfds_name, data_dir)
    image, label = _keys(tfds, builder, name)
    _prepare(builder, tfds_name, data_dir)
    if "train" not in builder.info.splits:
        raise errors.UserError(f"dataset={name}: has no split named train")
    train_x, train_y = _arrays(builder, name, "train", image, label)
    test_x, test_y = train_x[:0], train_y[:0]
    if test := next((s for s in TEST if s in builder.info.splits), None):
        test_x, test_y = _arrays(builder, name, test, image, label)
    if extra := next((s for s in UNLABELLED if s in builder.info.splits), None):
        extra_x, _ = _arrays(builder, name, extra, image, None)
        train_x = np.concatenate([train_x, extra_x])
        train_y = np.concatenate([train_y, np.full(len(extra_x), UNKNOWN)])
    names = getattr(builder.info.features[label], "names", None)
    return source.Source(name, train_x, train_y, test_x, test_y, None if names is None else tuple(names))


def _keys(tfds, builder, name: str) -> tuple[str, str]:
    """The features that are the image and its label: those of the set's own choice, or the only ones of their kind."""
    features, keys = builder.info.features, builder.info.supervised_keys
    if keys is None:
        of = {kind: [k for k, f in features.items() if isinstance(f, getattr(tfds.features, kind))]
              for kind in ("Image", "ClassLabel")}
        keys = tuple(found[0] if len(found) == 1 else None for found in of.values())
    if len(keys) != 2 or not all(isinstance(key, str) for key in keys) or not isinstance(
            features[keys[0]], tfds.features.Image) or features[keys[1]].shape != ():
        raise errors.UserError(f"dataset={name}: is not an image classification set")
    if None in features[keys[0]].shape[:2]:
        raise errors.UserError(f"dataset={name}: its images differ in size; only sets of one size can be used")
    return keys


def _builder(tfds, name: str, data_dir: str):
    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError:
        raise errors.unknown("dataset", f"tfds:{name}", [
            f"tfds:{n}" for n in tfds.list_builders(with_community_datasets=False)]) from None
    except Exception as error:  # noqa: BLE001  (a name may carry any version and any keyword)
        raise errors.UserError(f"dataset=tfds:{name}: cannot be opened ({_reason(error)})") from None


def _prepare(builder, name: str, data_dir: str) -> None:
    if builder.is_prepared():
        return
    place = data_dir or str(builder.data_dir)
    try:
        _check_network(builder)
        builder.download_and_prepare()
    except Exception as error:  # noqa: BLE001  (every network and parser failure ends in the same line)
        raise errors.UserError(f"dataset=tfds:{name}: no prepared copy in data_dir={place}, and it could not be "
                               f"downloaded ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _check_network(builder) -> None:
    """Asks for the first file, so that a missing network ends here and not after minutes of attempts."""
    import requests
    addresses = [a for a in builder.url_infos if a.startswith("http")]
    if addresses:
        requests.head(addresses[0], timeout=10)


def _arrays(builder, name: str, split: str, image: str, label: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The images and labels of a split; no labels without the name of theirs."""
    import tensorflow_datasets as tfds
    wanted = tfds.decode.PartialDecoding({key: True for key in (image, label) if key})
    try:
        found = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, decoders=wanted))
    except Exception as error:  # noqa: BLE001  (TensorFlow has an error of its own for every damage)
        raise errors.UserError(f"dataset={name}: its {split} split cannot be read ({_reason(error)})") from None
    return found[image], found.get(label)
