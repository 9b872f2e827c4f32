"""Image files: their size and soundness without decoding them, and their pixels as 8-bit grey.

PNG, JPEG, TIFF and BMP; 8 or 16 bit (TIFF also floating point), grey or colour. EXIF orientation is obeyed. Colour
becomes grey by the usual weights of red, green and blue. How more than 8 bits become 8 is told in `grey_levels`.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from spondylo_ml.data.grey_levels import to_8_bit
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import GreyImage

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
LARGER_THAN_ANY_FILM = (2**31, 2**31)
"""Size told for a header of so many pixels that Pillow will not even look at it."""
UNREADABLE = "not an image that can be read (broken, empty, or another format)"

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ORIENTATION, _FIRST_TRANSPOSED = 0x0112, 5  # EXIF orientations 5 to 8 exchange width and height
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF tag: how levels are meant
_WIDTH, _HEIGHT = 256, 257
_STRIPS, _TILES = (273, 279), (324, 325)  # TIFF tags: offsets and byte counts of the pixel data


def checked_size_hw(path: Path, alias: str = "a film") -> tuple[int, int]:
    """(H, W) of the film as it is shown, from the header of a file that is whole.

    Whole is what can be told without decoding: a JPEG has its end marker behind its last scan, a PNG all its chunks
    with right checksums, TIFF and BMP as many bytes as their headers promise. What is damaged within is found when
    the film is read.

    Raises:
        FileError: missing, empty, cut off or no image.
    """
    data = _bytes(path, alias)
    if _cut_off(data):
        raise FileError(path.name, UNREADABLE, alias=alias)
    size = told_size_hw(data)
    if size is None:  # a format that Pillow does not know may still be one that OpenCV reads
        height, width = decode_grey(data, path.name, alias).shape
        return height, width
    return size


def read_grey(path: Path, alias: str = "a film") -> GreyImage:
    """(H, W) grey levels, 0 to 255.

    Raises:
        FileError: missing, empty, cut off, broken or no image.
    """
    return decode_grey(_bytes(path, alias), path.name, alias)


def decode_grey(data: bytes, file: str, alias: str = "a film") -> GreyImage:
    """As `read_grey`, from the bytes of an image file that is called `file`."""
    pixels = None if _cut_off(data) else _decoded(data)
    if pixels is None:
        raise FileError(file, UNREADABLE, alias=alias)
    if not np.isfinite(pixels).all():
        raise FileError(file, "holds grey levels that are no finite numbers", alias=alias)
    return to_8_bit(pixels)


def told_size_hw(data: bytes) -> tuple[int, int] | None:
    """(H, W) of the film as it is shown, as the header says and before anything is decoded; None where it says none."""
    try:
        with Image.open(BytesIO(data)) as image:
            return _shown_size_hw(image, len(data))
    except Image.DecompressionBombError:
        return LARGER_THAN_ANY_FILM
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def _bytes(path: Path, alias: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise FileError(path.name, UNREADABLE, alias=alias) from None


def _decoded(data: bytes) -> NDArray[Any] | None:
    if not data:
        return None
    if data[:2] in (b"II", b"MM"):
        return _decoded_tiff(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image)


def _decoded_tiff(data: bytes) -> NDArray[Any] | None:
    """OpenCV 5.0 fails on a TIFF whose orientation exchanges width and height; Pillow turns it right."""
    try:
        with Image.open(BytesIO(data)) as image:
            negative = image.getexif().get(_PHOTOMETRIC) == _WHITE_IS_ZERO
            if image.getexif().get(_ORIENTATION, 1) < _FIRST_TRANSPOSED:
                grey = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
                return None if grey is None else _positive(np.asarray(grey), negative)
            size_hw = _shown_size_hw(image, len(data))
            pixels = np.asarray(image if image.mode in ("L", "F") or image.mode.startswith("I") else image.convert("L"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, cv2.error):
        return None
    return _positive(pixels, negative) if pixels.shape == size_hw else None


def _positive(pixels: NDArray[Any], negative: bool) -> NDArray[Any]:
    """Levels of which the highest is white; the decoders see to it for 8 bits alone."""
    if not negative or pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else -pixels)


def _shown_size_hw(image: Image.Image, n_bytes: int) -> tuple[int, int] | None:
    """(H, W) after EXIF orientation; None where the file is too short for its pixels."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        offsets, counts = _STRIPS if _STRIPS[0] in tags else _TILES
        ends = [start + count for start, count in zip(tags[offsets], tags[counts], strict=True)]
        if max(ends) > n_bytes:
            return None
        width, height = tags[_WIDTH], tags[_HEIGHT]
    # Asked for the EXIF data of a PNG that has none, Pillow decodes all of it to look behind the pixels.
    silent = isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info
    turned = not silent and image.getexif().get(_ORIENTATION, 1) >= _FIRST_TRANSPOSED
    return (width, height) if turned else (height, width)


def _cut_off(data: bytes) -> bool:
    """Whether a JPEG, PNG or BMP ends before it should: decoders fill up a JPEG with grey and say nothing."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")  # markers: end of image, start of scan
    if data.startswith(_PNG_START):
        return not _whole_png(data)
    if data.startswith(b"BM"):
        return int.from_bytes(data[2:6], "little") > len(data)
    return not data


def _whole_png(data: bytes) -> bool:
    """Whether all chunks are there up to the end, each with the right checksum."""
    at = len(_PNG_START)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if name == b"IEND":
            return True
        at = end + 4
    return False
