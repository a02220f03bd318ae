"""Any image classification set of TensorFlow Datasets: `tfds:<name>`."""

from __future__ import annotations

import numpy as np

from adgm_tf import errors
from adgm_tf.data import source


def load(name: str, data_dir: str) -> source.Source:
    """Returns the images as uint8 [N, H, W, channels] from a prepared copy, or prepares one if there is a network.

    Raises:
      UserError: TFDS has no such set, it can neither be found nor downloaded, or it isn't image classification.
    """
    import tensorflow_datasets as tfds
    tfds.display_progress_bar(False)
    tfds_name = name.removeprefix("tfds:")
    builder = _builder(tfds, tfds_name, data_dir)
    if builder.info.supervised_keys != ("image", "label"):
        raise errors.UserError(f"dataset={name}: is not an image classification set")
    if None in builder.info.features["image"].shape[:2]:
        raise errors.UserError(f"dataset={name}: its images differ in size; only sets of one size can be used")
    _prepare(builder, tfds_name, data_dir)
    if "train" not in builder.info.splits:
        raise errors.UserError(f"dataset={name}: has no split named train")
    test = next((s for s in ("test", "validation") if s in builder.info.splits), None)
    if test is None:
        raise errors.UserError(f"dataset={name}: has neither a split named test nor one named validation")
    (train_x, train_y), (test_x, test_y) = (_arrays(tfds, builder, name, split) for split in ("train", test))
    return source.Source(name, train_x, train_y, test_x, test_y, tuple(builder.info.features["label"].names))


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


def _arrays(tfds, builder, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, as_supervised=True))
    except Exception as error:  # noqa: BLE001  (TensorFlow has an error of its own for every damage)
        raise errors.UserError(f"dataset={name}: its {split} split cannot be read ({_reason(error)})") from None
    return x, y.astype(np.int32)
