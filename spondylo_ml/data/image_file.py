"""Image files: their size and soundness without decoding them, and their pixels.

PNG, JPEG, TIFF and BMP, recognised by their first bytes whatever the file is called; 8 or 16 bit (TIFF also floating
point), grey or colour. EXIF orientation is obeyed. Colour becomes grey by the usual weights of red, green and blue.
A TIFF of several pages, and a film that lies in the transparency of a picture alone, are refused: what else would be
shown?
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

UNREADABLE = "not an image that can be read (broken, empty, or another format)"
IN_ALPHA = "its film lies in the transparency alone, all colours are one: save it without transparency"

_FORMATS: dict[bytes, Callable[[BytesIO], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImagePlugin.TiffImageFile),
    b"BM": BmpImagePlugin.BmpImageFile,
}
"""First bytes of the formats that are read, and what reads their headers."""

_OTHERS = (
    (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (4, b"jP  ", "JPEG 2000"), (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"), (4, b"JXL ", "JPEG XL"), (4, b"ftypavif", "AVIF"), (4, b"ftyp", "HEIF"),
    (0, b"%PDF", "PDF"), (0, b"PK\3\4", "ZIP"), (0, b"\x1f\x8b", "gzip"), (0, b"NRRD", "NRRD"), (344, b"n+1", "NIfTI"),
    (0, b"P5", "PGM"), (0, b"P6", "PPM"), (0, b"\x93NUMPY", "NumPy"),
)  # fmt: skip
"""Where and how other formats name themselves."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ORIENTATION, _FIRST_TRANSPOSED = 0x0112, 5  # EXIF orientations 5 to 8 exchange width and height
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF tag: how levels are meant
_WIDTH, _HEIGHT = 256, 257
_STRIPS, _TILES = (273, 279), (324, 325)  # TIFF tags: offsets and byte counts of the pixel data
_MOST_PAGES_SHOWN = 4


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says of itself.

    Attributes:
        size_hw: (H, W) of the film as it is shown.
        pages_hw: (H, W) of each page.
        has_alpha: whether pixels have a transparency.
    """

    size_hw: tuple[int, int]
    pages_hw: tuple[tuple[int, int], ...]
    has_alpha: bool

    def reason_against(self) -> str:
        """Why there is no single film in it; empty where there is."""
        if len(self.pages_hw) < 2:
            return ""
        sizes = ", ".join(f"{width} x {height}" for height, width in self.pages_hw[:_MOST_PAGES_SHOWN])
        more = ", ..." if len(self.pages_hw) > _MOST_PAGES_SHOWN else ""
        return f"a TIFF of {len(self.pages_hw)} pages ({sizes}{more} px): save the one that is the film as its own file"


def image_header(data: bytes) -> ImageHeader | None:
    """What the file says, before anything is decoded and whatever its size; None for no image, or one that is cut off.

    Whole means what can be seen without decoding: a JPEG has its end marker behind its last scan, a PNG all its chunks
    with right checksums, TIFF and BMP as many bytes as their headers promise. What is damaged within is found when
    the film is decoded.
    """
    if _cut_off(data) or (image := _opened(data)) is None:
        return None
    with image:
        try:
            size_hw = _shown_size_hw(image, len(data))
            alpha = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
            return None if size_hw is None else ImageHeader(size_hw, _pages(image, size_hw), alpha)
        except Exception:  # whatever Pillow raises on a damaged header
            return None


def unreadable(data: bytes) -> str:
    """Why the bytes are no image that is read: the format, where it is a known one."""
    for at, mark, name in _OTHERS:
        if data[at : at + len(mark)] == mark:
            return f"not an image that can be read: {name} is not, save it as PNG or keep the DICOM file"
    return UNREADABLE


def decoded(data: bytes) -> NDArray[Any] | None:
    """(H, W) grey levels as deep as they are stored; None where they cannot be decoded.

    The size must have been looked at before.
    """
    try:
        if data[:2] in (b"II", b"MM"):
            return _decoded_tiff(data)
        return _by_opencv(data)
    except Exception:  # whatever the decoders raise on damaged pixels
        return None


def lies_in_alpha(data: bytes, pixels: NDArray[Any]) -> bool:
    """Whether the picture's colours are one and the same while its transparency is not."""
    if pixels.min() != pixels.max() or (image := _opened(data)) is None:
        return False
    with image:
        low, high = image.convert("RGBA").getchannel("A").getextrema()
        return bool(low != high)


def _opened(data: bytes) -> Image.Image | None:
    """The image, its header read by the format's own class: `Image.open` gives no size for very large ones."""
    for start, opener in _FORMATS.items():
        if data.startswith(start):
            try:
                return opener(BytesIO(data))
            except Exception:  # whatever Pillow raises on a damaged header
                return None
    return None


def _by_opencv(data: bytes) -> NDArray[Any] | None:
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    return None if image is None else np.asarray(image)


def _decoded_tiff(data: bytes) -> NDArray[Any] | None:
    """OpenCV 5.0 fails on a TIFF whose orientation exchanges width and height; Pillow turns it right."""
    with Image.open(BytesIO(data)) as image:
        negative = image.getexif().get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        if image.getexif().get(_ORIENTATION, 1) < _FIRST_TRANSPOSED:
            grey = _by_opencv(data)
            return None if grey is None else _positive(grey, negative)
        size_hw = _shown_size_hw(image, len(data))
        pixels = np.asarray(image if image.mode in ("L", "F") or image.mode.startswith("I") else image.convert("L"))
    return _positive(pixels, negative) if pixels.shape == size_hw else None


def _positive(pixels: NDArray[Any], negative: bool) -> NDArray[Any]:
    """Levels of which the highest is white; the decoders see to it for 8 bits alone."""
    if not negative or pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else -pixels)


def _pages(image: Image.Image, size_hw: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """(H, W) of each page of a TIFF; other formats have one."""
    n_pages = getattr(image, "n_frames", 1) if isinstance(image, TiffImagePlugin.TiffImageFile) else 1
    if n_pages == 1:
        return (size_hw,)
    found = []
    for page in range(n_pages):
        image.seek(page)
        found.append((image.height, image.width))
    return tuple(found)


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
