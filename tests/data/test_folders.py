"""Folders of pictures."""

import numpy as np
import pytest
from PIL import Image

from adgm_tf.config import Config
from adgm_tf.data import catalogue, splits
from adgm_tf.data.labels import UNKNOWN
from adgm_tf.host import errors
from adgm_tf.options import ReadOptions

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)


def save(path, pixels, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **how)
    return path


def load(folder, **options):
    return catalogue.load(f"folder:{folder}", options=ReadOptions(**{"test_fraction": 0.0} | options))


def only(folder, picture, **how):
    """The pixels of a picture that is the only one of its folder."""
    save(folder / "one" / "a.png", picture, **how)
    return load(folder).train_x[0]


def test_a_folder_is_a_class(tmp_path):
    pictures = {"cat/1.png": 10, "cat/deep/2.PNG": 20, "dog/3.png": 30, "unlabelled/4.png": 40, "5.png": 50}
    for name, grey in pictures.items():
        save(tmp_path / name, np.full((4, 4), grey, np.uint8))
    source = load(tmp_path)
    assert source.class_names == ("cat", "dog")
    found = {int(x[0, 0, 0]): int(y) for x, y in zip(source.train_x, source.train_y, strict=True)}
    assert found == {10: 0, 20: 0, 30: 1, 40: UNKNOWN, 50: UNKNOWN}
    assert source.train_x.shape == (5, 4, 4, 1)
    assert source.train_x.dtype == np.uint8


def test_folders_train_and_test_are_two_parts(tmp_path):
    for part, grey in (("train", 10), ("test", 20)):
        for label in "ab":
            save(tmp_path / part / label / "1.png", np.full((4, 4), grey, np.uint8))
    source = load(tmp_path)
    assert source.class_names == ("a", "b")
    assert (source.train_x == 10).all()
    assert (source.test_x == 20).all()
    assert source.train_y.tolist() == source.test_y.tolist() == [0, 1]


def test_other_files_and_empty_folders_are_said(tmp_path):
    save(tmp_path / "a" / "1.png", GREY)
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "b").mkdir()
    source = load(tmp_path)
    assert source.class_names == ("a",)
    assert "folder b: holds no picture, and is no class" in source.remarks
    assert "1 files that are neither png nor jpeg were passed over" in source.remarks


@pytest.mark.parametrize("pixels", [GREY, COLOUR, GREY > 99])
def test_png_keeps_every_pixel(pixels, tmp_path):
    expected = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    np.testing.assert_array_equal(only(tmp_path, pixels), expected.reshape(6, 5, -1))


def test_jpeg_is_close(tmp_path):
    smooth = np.add.outer(np.arange(32) * 3, np.arange(32) * 2).astype(np.uint8)
    save(tmp_path / "a" / "1.jpeg", smooth, quality=95)
    save(tmp_path / "a" / "2.JPG", smooth, quality=95)
    x = load(tmp_path).train_x.astype(int)
    assert x.shape == (2, 32, 32, 1)
    assert np.abs(x[..., 0] - smooth).max() < 8


def test_sixteen_bits_become_eight(tmp_path):
    np.testing.assert_array_equal(only(tmp_path, GREY.astype(np.uint16) * 257)[..., 0], GREY)


def test_a_palette_is_its_colours(tmp_path):
    few = COLOUR // 64 * 64
    picture = Image.fromarray(few).quantize(64, dither=Image.Dither.NONE)
    np.testing.assert_array_equal(only(tmp_path, picture), np.asarray(picture.convert("RGB")))


def test_a_palette_of_greys_is_grey(tmp_path):
    picture = Image.fromarray(GREY).convert("P")
    np.testing.assert_array_equal(only(tmp_path, picture)[..., 0], GREY)


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_what_is_transparent_is_white(pixels, tmp_path):
    alpha = np.where(np.arange(30).reshape(6, 5) % 2, 255, 0).astype(np.uint8)
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    found = only(tmp_path, picture)
    np.testing.assert_array_equal(found, np.where(alpha[..., None] > 0, pixels.reshape(6, 5, -1), 255))


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    found = only(tmp_path, picture, transparency=0)
    np.testing.assert_array_equal(found, [[[255] * 3, [40, 50, 60]], [[40, 50, 60], [255] * 3]])


def test_one_picture_in_colour_makes_all_of_them_so(tmp_path):
    save(tmp_path / "a" / "1.png", GREY)
    save(tmp_path / "b" / "2.png", COLOUR)
    x = load(tmp_path).train_x
    np.testing.assert_array_equal(x[0], np.repeat(GREY[..., None], 3, -1))
    np.testing.assert_array_equal(x[1], COLOUR)


def test_a_picture_that_a_camera_turned_is_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "1.png", Image.fromarray(np.rot90(GREY)), exif=exif)
    np.testing.assert_array_equal(load(tmp_path).train_x[0, ..., 0], GREY)


def test_pictures_are_resized_to_height_and_width(tmp_path):
    save(tmp_path / "a" / "1.png", np.full((40, 20), 77, np.uint8))
    save(tmp_path / "a" / "2.png", np.full((10, 30), 77, np.uint8))
    x = load(tmp_path, image_size=(8, 12)).train_x
    assert x.shape == (2, 8, 12, 1)
    assert (x == 77).all()


def test_many_pictures_stay_in_their_order(tmp_path):
    for i in range(250):
        save(tmp_path / "ab"[i % 2] / f"{i:03}.png", np.full((2, 2), i, np.uint8))
    source = load(tmp_path)
    assert source.train_x[:, 0, 0, 0].tolist() == [*range(0, 250, 2), *range(1, 250, 2)]
    assert source.train_y.tolist() == [0] * 125 + [1] * 125


@pytest.mark.parametrize(("files", "options", "line"), [
    ({}, {}, "holds no picture"), ({"a/1.png": b"no png"}, {}, r"1\.png cannot be read as a picture"),
    ({"a/1.png": GREY, "a/2.png": GREY[:4]}, {}, r"1\.png has 6 x 5 pixels, \S+2\.png 4 x 5; give image_size"),
    ({"a/1.png": GREY}, dict(image_size=(0, 5)), "^image_size=0,5: must be at least 1"),
    ({"a/1.png": GREY}, dict(image_size=(5,)), "^image_size=5: must be a height and a width")])
def test_a_wrong_folder_is_one_line(files, options, line, tmp_path):
    for name, content in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        else:
            save(tmp_path / name, content)
    with pytest.raises(errors.UserError, match=line) as caught:
        load(tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_a_picture_cut_short_is_named(tmp_path):
    whole = save(tmp_path / "a" / "1.png", np.asarray(RNG.integers(0, 256, (64, 64)), np.uint8)).read_bytes()
    (tmp_path / "a" / "2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.UserError, match=r"2\.png cannot be read as a picture"):
        load(tmp_path)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=r"^dataset=folder:\S+: there is no such folder"):
        load(tmp_path / "none")


def test_new_pictures_come_in_the_size_and_colours_of_training(tmp_path):
    for label in "ab":
        for i in range(3):
            save(tmp_path / "train" / label / f"{i}.png", COLOUR)
    like = splits.split(load(tmp_path / "train"), Config(num_labels="all")).spec.preprocess
    save(tmp_path / "new" / "2.png", np.full((60, 50), 9, np.uint8))
    save(tmp_path / "new" / "1.png", COLOUR)
    rows = catalogue.rows(str(tmp_path / "new"), like)
    np.testing.assert_array_equal(rows.x, np.stack([COLOUR, np.full((6, 5, 3), 9)]))
    assert rows.frame["file"].tolist() == ["1.png", "2.png"]
    assert rows.names is None
    assert catalogue.rows(str(tmp_path / "train"), like).names.tolist() == ["a"] * 3 + ["b"] * 3
    np.testing.assert_array_equal(catalogue.rows(str(tmp_path / "new" / "1.png"), like).x, COLOUR[None])
    with pytest.raises(errors.UserError, match=r"^input=\S+: holds no picture"):
        (tmp_path / "empty").mkdir()
        catalogue.rows(str(tmp_path / "empty"), like)
