"""Files of pictures as operations against `data/folders.py`, which has Pillow read them."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from adgm_tf.data import folders
from adgm_tf.runs import pictures_graph

RNG = np.random.default_rng(0)


def smooth(height, width, channels, top=255.0):
    """A picture without noise: waves of different length in each channel."""
    y, x = np.mgrid[:height, :width] / 11
    waves = [np.sin(x * (1 + c)) * np.cos(y * (2 + c)) for c in range(channels)]
    return np.round((np.stack(waves, -1) + 1) / 2 * top)


def image(mode, size):
    height, width = size
    if mode == "I;16":
        return Image.fromarray(smooth(height, width, 1, 65_535)[..., 0].astype(np.uint16))
    if mode == "P":
        return Image.fromarray(smooth(height, width, 3).astype(np.uint8)).convert("P", palette=Image.Palette.ADAPTIVE)
    channels = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    pixels = smooth(height, width, channels).astype(np.uint8)
    made = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, "L" if channels == 1 else mode)
    return made.convert("1") if mode == "1" else made


def decoded(files, shape):
    function = tf.function(lambda f: pictures_graph.decoded(f, shape), [tf.TensorSpec([None], tf.string)],
                           autograph=False)
    return function(tf.constant(files, tf.string))


def both(pictures, ending, shape, folder, **options):
    """What the operations make of pictures and what Pillow does."""
    files = []
    for i, picture in enumerate(pictures):
        files.append(folder / f"{i}{ending}")
        picture.save(files[-1], **options)
    expected = folders.read(files, shape[:2], shape[2], "pictures")
    found = decoded([file.read_bytes() for file in files], shape)
    assert found.dtype == tf.uint8
    return found.numpy().astype(int), expected.astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_of_the_same_size_is_the_same_to_one(mode, channels, tmp_path):
    found, expected = both([image(mode, (20, 30))] * 2, ".png", (20, 30, channels), tmp_path)
    assert np.abs(found - expected).max() <= (0 if mode in ("1", "L", "RGB", "P", "I;16") else 1)
    assert np.ptp(found) > 100


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_of_the_same_size_is_the_same_to_one(mode, channels, tmp_path):
    found, expected = both([image(mode, (20, 30))], ".jpeg", (20, 30, channels), tmp_path, quality=90)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("size", [(40, 61), (10, 7), (20, 200), (400, 300)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_other_sizes_are_resized_as_pillow_does(mode, size, tmp_path):
    found, expected = both([image(mode, size)], ".png", (20, 30, 1 if mode == "L" else 3), tmp_path)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - expected).mean() < 0.5


def test_pictures_of_different_kinds_are_read_together(tmp_path):
    found, expected = both([image(mode, size) for mode, size in (("L", (20, 30)), ("RGBA", (50, 40)), ("P", (20, 30)))],
                           ".png", (20, 30, 3), tmp_path)
    assert found.shape == expected.shape == (3, 20, 30, 3)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_colours_with_one_transparent(bits, tmp_path):
    picture = image("P", (20, 30)).convert("RGB").quantize(2**min(bits, 3))
    for i, options in enumerate(({}, {"transparency": 1})):
        folder = tmp_path / str(i)
        folder.mkdir()
        found, expected = both([picture], ".png", (20, 30, 3), folder, bits=bits, **options)
        np.testing.assert_array_equal(found, expected)
        assert ((found == 255).all(-1).any()) == bool(options)


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[2:, :, 3] = 255
    found, _ = both([Image.fromarray(pixels)], ".png", (4, 5, 3), tmp_path)
    assert (found[0, :2] == 255).all()
    assert (found[0, 2:] == 0).all()


@pytest.mark.parametrize("file", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 half of a jpeg"])
def test_what_is_no_picture_is_refused(file):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded([file], (8, 8, 1))


def test_no_file_is_no_picture():
    assert decoded([], (8, 8, 1)).shape == (0, 8, 8, 1)


def test_a_turned_picture_is_not_turned_back(tmp_path):
    """The one difference that shows: it is in the documentation."""
    picture, exif = image("L", (20, 30)), Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    picture.save(buffer, "png", exif=exif)
    (tmp_path / "0.png").write_bytes(buffer.getvalue())
    expected = folders.read([tmp_path / "0.png"], (20, 30), 1, "pictures")
    found = decoded([buffer.getvalue()], (20, 30, 1))
    np.testing.assert_array_equal(found[:, ::-1, ::-1], expected)
