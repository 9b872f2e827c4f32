"""Image files: size without decoding, completeness, depth, colour and orientation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import png_with_damaged_pixels
from dicoms import to_8_bit
from numpy.typing import NDArray
from PIL import Image

from spondylo_ml.data.film_pixels import checked_size_hw, read_film
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import GreyImage

GREY = (np.arange(60 * 40).reshape(60, 40) % 251).astype(np.uint8)
UNREADABLE = "not an image that can be read"
SUFFIXES = ("png", "jpg", "tif", "bmp")


def read_grey(path: Path, alias: str = "a film") -> GreyImage:
    return read_film(path, alias).pixels


def written(path: Path, pixels: NDArray[np.generic]) -> Path:
    assert cv2.imwrite(str(path), np.asarray(pixels))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_size_is_that_of_the_pixels(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"a.{suffix}", GREY)
    assert checked_size_hw(path) == read_grey(path).shape == (60, 40)
    if suffix != "jpg":
        np.testing.assert_array_equal(read_grey(path), GREY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_by_size_and_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    pixels = np.zeros((64, 32), np.uint8)
    pixels[:8, :8] = 255  # the corner that shows where the film was turned to
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    read = read_grey(path)
    turned = orientation >= 5
    assert checked_size_hw(path) == read.shape == ((32, 64) if turned else (64, 32))
    top, remaining = {1: (1, 1), 2: (1, 0), 3: (0, 0), 4: (0, 1), 5: (1, 1), 6: (1, 0), 7: (0, 0), 8: (0, 1)}[
        orientation
    ]
    corner = read[2 if top else -3, 2 if remaining else -3]
    assert corner > 250
    assert (read > 128).sum() == 64


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_an_orientation_that_does_not_exist_is_ignored(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(GREY)
    exif = image.getexif()
    exif[0x0112] = 9
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    assert checked_size_hw(tmp_path / f"a.{suffix}") == read_grey(tmp_path / f"a.{suffix}").shape == (60, 40)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colour_becomes_grey_by_the_usual_weights(tmp_path: Path, suffix: str) -> None:
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    path = written(tmp_path / f"a.{suffix}", red)
    assert checked_size_hw(path) == (20, 20)
    assert set(np.unique(read_grey(path))) <= {59, 60}  # 0.299 * 200


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_12_bits_in_a_16_bit_file_fill_the_range(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(0, 4095, 10000).reshape(100, 100).astype(np.uint16)
    path = written(tmp_path / f"a.{suffix}", deep)
    read = read_grey(path)
    assert checked_size_hw(path) == (100, 100)
    assert (read.min(), read.max()) == (0, 255)
    assert abs(float(read[50, 0]) - 127.5) < 2, "the map is linear"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_colour_is_read(tmp_path: Path, suffix: str) -> None:
    deep = np.dstack([np.linspace(0, 65535, 10000).reshape(100, 100).astype(np.uint16)] * 3)
    path = written(tmp_path / f"a.{suffix}", deep)
    assert checked_size_hw(path) == (100, 100)
    assert (read_grey(path).min(), read_grey(path).max()) == (0, 255)


def test_a_turned_16_bit_tiff_is_read(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(800, dtype=np.uint16).reshape(40, 20) * 10)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.tif", exif=exif)
    read = read_grey(tmp_path / "a.tif")
    assert read.shape == checked_size_hw(tmp_path / "a.tif") == (20, 40)
    assert read[0, -1] == 0, "orientation 6: the first row is the right one"
    assert read[-1, 0] == 255


def test_a_burnt_in_marker_does_not_reduce_the_contrast() -> None:
    deep = np.tile(np.arange(1000, 1100, dtype=np.uint16), (100, 1))
    deep[0, :5] = 65535
    levels = to_8_bit(deep)
    assert levels[50, 0] == 0
    assert levels[50, -1] == 255
    assert levels[0, 0] == 255


def test_levels_of_8_bits_stay_and_a_uniform_deep_film_is_black() -> None:
    assert to_8_bit(GREY) is GREY or np.array_equal(to_8_bit(GREY), GREY)
    assert not to_8_bit(np.full((4, 4), 9000, np.uint16)).any()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tiff_whose_white_is_zero_is_read_as_it_is_meant(
    tmp_path: Path, depth: type[np.generic], orientation: int
) -> None:
    """The same levels stored as black is zero and as white is zero are each other's negative."""
    levels = np.linspace(0, np.iinfo(depth).max, 60 * 40).reshape(60, 40).astype(depth)  # type: ignore[type-var]
    path, negative = tmp_path / "a.tif", tmp_path / "n.tif"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(levels).save(path, exif=exif)
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    for entry in range(first + 2, first + 2 + 12 * int.from_bytes(data[first : first + 2], "little"), 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 262:  # photometric interpretation
            data[entry + 8 : entry + 10] = (0).to_bytes(2, "little")
    negative.write_bytes(data)
    np.testing.assert_allclose(read_grey(negative), 255.0 - read_grey(path), atol=1)


def test_a_floating_point_tiff_is_read_unless_it_holds_nan(tmp_path: Path) -> None:
    levels = np.linspace(-1, 1, 10000).reshape(100, 100).astype(np.float32)
    assert read_grey(written(tmp_path / "a.tif", levels)).max() == 255
    levels[0, 0] = np.nan
    with pytest.raises(FileError, match=r"b\.tif: holds grey levels that are no finite numbers"):
        read_grey(written(tmp_path / "b.tif", levels))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("expected", [0, 1, 8, 30, 0.5, 0.95, -1])
def test_a_file_that_is_cut_off_is_found_without_decoding(tmp_path: Path, suffix: str, expected: float) -> None:
    if suffix == "tif" and expected in (0.95, -1):
        pytest.skip("a TIFF ends with its directory: all pixels are there, and both libraries read them")
    original = written(tmp_path / f"whole.{suffix}", GREY).read_bytes()
    length = int(expected * len(original)) if isinstance(expected, float) else int(expected) % len(original)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(original[:length])
    for read in (checked_size_hw, read_grey):
        with pytest.raises(FileError, match=rf"cut\.{suffix}: {UNREADABLE}"):
            read(path)


def test_a_changed_byte_in_a_png_is_found_without_decoding(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", GREY)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FileError, match=UNREADABLE):
        checked_size_hw(path)


def test_trailing_bytes_are_ignored(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = written(tmp_path / f"a.{suffix}", GREY)
        path.write_bytes(path.read_bytes() + b"appended by some viewer")
        assert checked_size_hw(path) == read_grey(path).shape == (60, 40)


def test_an_error_shows_the_alias_in_runs_and_the_name_on_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"Jane\.png") as caught:
        read_grey(tmp_path / "Jane.png", "anon-1")
    assert caught.value.in_run() == "anon-1: cannot be opened (FileNotFoundError)"


def test_a_png_that_cannot_be_inflated_passes_the_check_and_fails_when_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", GREY)
    path.write_bytes(png_with_damaged_pixels(path.read_bytes()))
    assert checked_size_hw(path) == (60, 40)
    with pytest.raises(FileError, match=UNREADABLE):
        read_grey(path)
