"""Bytes, arrays and files as films: what they become, and the limits that are checked before decoding."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import png_with_damaged_pixels
from dicoms import dicom, gradient, to_8_bit

from spondylo_ml.data.decode import FilmDetails, open_array, open_bytes, open_file
from spondylo_ml.data.film_pixels import FilmLimits
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing

GREY = (np.arange(60 * 40).reshape(60, 40) % 251).astype(np.uint8)


def encoded(suffix: str, pixels: np.ndarray = GREY) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises so many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_an_image_becomes_a_film_of_its_pixels(suffix: str) -> None:
    film = open_bytes(encoded(suffix), "a")
    np.testing.assert_array_equal(film.image.read(), GREY)
    assert (film.film_id, film.size_hw, film.facing, film.spacing, film.pixel_aspect, film.vertebrae) == (
        "a",
        (60, 40),
        Facing.UNKNOWN,
        None,
        1.0,
        None,
    )


def test_a_jpeg_is_read_too_and_deep_levels_are_spread() -> None:
    assert open_bytes(encoded(".jpg"), "a").size_hw == (60, 40)
    deep = GREY.astype(np.uint16) * 16
    np.testing.assert_array_equal(open_bytes(encoded(".png", deep), "a").image.read(), to_8_bit(deep))


def test_stated_details_override_those_of_the_file() -> None:
    details = FilmDetails(Facing.RIGHT, Spacing(0.1, 0.2, "films.csv"))
    film = open_bytes(dicom(gradient(), PixelSpacing=[0.3, 0.3]), "a", details)
    assert (film.facing, film.spacing) == (Facing.RIGHT, details.spacing)
    assert film.pixel_aspect == 1.0, "as the file says: that the two disagree withholds measures"
    film = open_bytes(dicom(gradient()), "a", details)
    assert film.pixel_aspect == 0.5, "a file that says nothing of it"
    film = open_bytes(dicom(gradient(), PixelSpacing=[0.3, 0.6]), "a")
    assert film.spacing is not None
    assert (film.spacing.x_mm, film.pixel_aspect) == (0.6, 2.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise" * 99,
        encoded(".png")[:200],
        encoded(".jpg")[:300],
        encoded(".webp"),
        png_with_damaged_pixels(encoded(".png")),
    ],
    ids=["empty", "noise", "cut PNG", "cut JPEG", "another format", "damaged within"],
)
def test_bytes_that_are_no_film_are_reported(data: bytes) -> None:
    with pytest.raises(FileError, match="the film: not an image that can be read"):
        open_bytes(data, "a")


@pytest.mark.parametrize("side", [8_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(FileError, match="more than the 50 million px that are read; scale it down"):
        open_bytes(png_of_size(side, side), "a")


def test_the_limit_of_pixels_is_a_limit_not_one_less() -> None:
    limits = FilmLimits(max_pixels=60 * 40)
    assert open_bytes(encoded(".png"), "a", limits=limits).size_hw == (60, 40)
    for open_one in (open_bytes(encoded(".png"), "a"), open_array(GREY, "a")):
        assert open_one.size_hw == (60, 40)
    with pytest.raises(FileError, match="40 x 60 px: more than the"):
        open_array(GREY, "a", limits=FilmLimits(max_pixels=60 * 40 - 1))


def test_a_file_that_is_too_large_is_rejected_unread(tmp_path: Path) -> None:
    path = tmp_path / "heavy.png"
    path.write_bytes(bytes(3 << 20))
    with pytest.raises(FileError, match=r"heavy\.png: a file of 3\.0 MiB: more than the 2 MiB that are read"):
        open_file(path, "a", limits=FilmLimits(max_bytes=2 << 20))
    with pytest.raises(FileError, match=r"the film: a file of 3\.0 MiB"):
        open_bytes(path.read_bytes(), "a", limits=FilmLimits(max_bytes=2 << 20))
    with pytest.raises(FileError, match=r"gone\.png: cannot be opened \(FileNotFoundError\)"):
        open_file(tmp_path / "gone.png", "a")


@pytest.mark.parametrize("size_hw", [(8, 40), (16, 161), (2000, 199)])
def test_no_film_is_a_line(size_hw: tuple[int, int]) -> None:
    with pytest.raises(
        FileError, match="not the shape of a film: sides of at least 16 px, the longer at most 10 times"
    ):
        open_array(np.zeros(size_hw, np.uint8), "a")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((40, 40, 3), np.uint8), r"3 axes and type uint8: \(height, width\) grey levels are needed"),
        (np.zeros((40, 40), "U1"), r"2 axes and type <U1"),
        (np.full((40, 40), np.nan), "grey levels that are no finite numbers"),
    ],
)
def test_arrays_that_are_no_film_are_reported(array: np.ndarray, message: str) -> None:
    with pytest.raises(FileError, match=message):
        open_array(array, "a")
