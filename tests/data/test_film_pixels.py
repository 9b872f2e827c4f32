"""Detection of film files by their content, alike for readers and prediction, and messages for other files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicoms import dicom, gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_decode import png_of_size

from spondylo_ml.data.decode import open_array, open_bytes, open_file
from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import FileError

GREY = (np.add.outer(np.arange(60), np.arange(40)) * 2).astype(np.uint8)


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    stream = BytesIO()
    (image or Image.fromarray(GREY)).save(stream, kind, **options)
    return stream.getvalue()


FILES = {kind: saved(kind) for kind in ("PNG", "JPEG", "TIFF", "BMP")} | {"DICOM": dicom(gradient((60, 40)))}


def reason_everywhere(path: Path) -> str:
    """Why a file is refused, which must be the same by a reader's check, for prediction and in a folder of films."""
    reasons = set()
    for read in (checked_size_hw, open_file):
        with pytest.raises(FileError) as refusal:
            read(path, "a film")  # type: ignore[operator]
        reasons.add(refusal.value.reason)
    reasons |= {finding.reason for finding in read_folder(path.parent).bad_files}
    assert len(reasons) == 1
    return reasons.pop()


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".dcm"])
def test_a_film_is_recognised_by_its_bytes_not_by_its_suffix(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(FILES[kind])
    assert checked_size_hw(path) == open_file(path, "a").size_hw == (60, 40)
    (film,) = read_folder(tmp_path).films
    np.testing.assert_array_equal(film.image.read(), open_file(path, "a").image.read())


@pytest.mark.parametrize(
    ("kind", "name"), [("WEBP", "WebP"), ("GIF", "GIF"), ("JPEG2000", "JPEG 2000"), ("PDF", "PDF")]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".dcm"])
def test_other_formats_are_rejected_by_name(tmp_path: Path, kind: str, name: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(saved(kind))
    assert reason_everywhere(path).startswith(f"not an image that can be read: {name} is not, save it as PNG")


@pytest.mark.parametrize(("width", "height"), [(14_000, 14_000), (100_000, 30_000), (7100, 7100)])
def test_a_film_that_is_too_large_is_reported_with_its_size(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of_size(width, height))
    messages = f"a film of {width} x {height} px: more than the 50 million px that are read; scale it down"
    assert reason_everywhere(path) == messages
    path.write_bytes(dicom(gradient((60, 40)), Rows=min(height, 65_535), Columns=min(width, 65_535)))
    assert reason_everywhere(path).startswith(f"a film of {min(width, 65_535)} x {min(height, 65_535)} px: more than")


@pytest.mark.parametrize("first", [(64, 48), (300, 200)])
def test_a_tiff_of_several_pages_is_refused_with_their_sizes(tmp_path: Path, first: tuple[int, int]) -> None:
    path = tmp_path / "a.tif"
    second = Image.fromarray(np.zeros((200, 300), np.uint8))
    path.write_bytes(saved("TIFF", Image.new("L", first), save_all=True, append_images=[second]))
    messages = (
        f"a TIFF of 2 pages ({first[0]} x {first[1]}, 300 x 200 px): save the one that is the film as its own file"
    )
    assert reason_everywhere(path) == messages


@pytest.mark.parametrize("colour", [0, 255])
def test_a_film_in_the_transparency_alone_is_refused(tmp_path: Path, colour: int) -> None:
    path = tmp_path / "a.png"
    flat = np.full_like(GREY, colour)
    path.write_bytes(saved("PNG", Image.fromarray(np.dstack([flat, flat, flat, GREY]))))
    assert "the image is only in the alpha channel" in reason_everywhere(path)
    path.write_bytes(saved("PNG", Image.fromarray(np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]))))
    np.testing.assert_array_equal(open_file(path, "a").image.read(), GREY)


def test_a_dicom_data_set_without_its_preamble_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(FILES["DICOM"][132:])
    assert "without its preamble" in reason_everywhere(path)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.uint16, np.uint8])
def test_whole_numbers_from_0_to_255_are_grey_levels_whatever_their_type(kind: type) -> None:
    np.testing.assert_array_equal(open_array(GREY.astype(kind), "a").image.read(), GREY)


def test_a_saturated_block_does_not_reduce_the_contrast_of_an_image() -> None:
    deep = (GREY.astype(np.uint16) * 4) + 20_000
    deep[:20] = 0
    _, data = cv2.imencode(".png", deep)
    film = open_bytes(data.tobytes(), "a")
    rest = film.image.read()[20:]
    assert (rest.min(), rest.max()) == (0, 255)
    assert film.notes == ("33 % of the pixels, in a block at the lowest levels, were left out of the grey range",)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_damaged_file_is_read_or_rejected_with_a_message(kind: str, data: st.DataObject) -> None:
    original = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(original)) | st.just(len(original)))
    try:
        film = open_bytes(bytes(original[:end]), "a")
    except FileError:
        return
    assert film.image.read().dtype == np.uint8


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"II*\0", b"MM\0*", b"BM", b"\xff\xd8\xff", bytes(128) + b"DICM"]), st.binary(max_size=300)
)
def test_any_bytes_are_refused_in_words(start: bytes, rest: bytes) -> None:
    with pytest.raises(FileError):
        open_bytes(start + rest, "a")
