"""Image files: their size and completeness without decoding, and their pixels.

PNG, JPEG, TIFF and BMP, recognised by content and not by suffix; 8 or 16 bit (TIFF also floating point), grey or
colour. EXIF orientation is applied. Colour becomes grey by the usual weights of red, green and blue. Refused because it
is unclear what to show: a TIFF of several pages, an image whose content lies in its transparency alone, and one whose
orientation programs read differently (see `orientation`).

Pillow reads the headers, OpenCV decodes: Pillow reduces 16-bit colour to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from spondylo_ml.data.orientation import doubt_about_orientation

UNREADABLE = "not an image that can be read (broken, empty, or another format)"
IN_ALPHA = "the image is only in the alpha channel (every pixel has the same colour): save it without transparency"

_FORMATS = (PngImageFile, JpegImageFile, TiffImageFile, BmpImageFile)

_OTHER_FORMATS = (
    (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (4, b"jP  ", "JPEG 2000"), (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"), (4, b"JXL ", "JPEG XL"), (4, b"ftypavif", "AVIF"), (4, b"ftyp", "HEIF"),
    (0, b"%PDF", "PDF"), (0, b"PK\3\4", "ZIP"), (0, b"\x1f\x8b", "gzip"), (0, b"NRRD", "NRRD"), (344, b"n+1", "NIfTI"),
    (0, b"P5", "PGM"), (0, b"P6", "PPM"), (0, b"\x93NUMPY", "NumPy"),
)  # fmt: skip
"""Offset and signature of formats that are not read, to name them in the error. Pillow does not know half of them."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk: length, name and checksum
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_TRANSPOSED = range(5, 9)  # EXIF orientations that exchange width and height
_WHITE_IS_ZERO = 0
_MOST_PAGES_SHOWN = 4


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file states.

    Attributes:
        size_hw: (H, W) of the film as it is shown.
        pages_hw: (H, W) of each page.
        has_alpha: whether pixels have a transparency.
        doubt: why it is unclear how to turn the film; empty where it is not.
    """

    size_hw: tuple[int, int]
    pages_hw: tuple[tuple[int, int], ...]
    has_alpha: bool
    doubt: str = ""

    def reason_against(self) -> str:
        """Why the file is not one film; empty where it is."""
        if len(self.pages_hw) < 2:
            return self.doubt
        sizes = ", ".join(f"{width} x {height}" for height, width in self.pages_hw[:_MOST_PAGES_SHOWN])
        more = ", ..." if len(self.pages_hw) > _MOST_PAGES_SHOWN else ""
        return f"a TIFF of {len(self.pages_hw)} pages ({sizes}{more} px): save the one that is the film as its own file"


def image_header(data: bytes) -> ImageHeader | None:
    """The header, read before anything is decoded and however large the image is; None if `data` is not a whole image.

    Whole as far as can be seen without decoding: a JPEG has its end marker after its last scan, a PNG all its chunks
    with correct checksums, TIFF and BMP as many bytes as their headers state. Damage within the pixels shows when the
    film is decoded.
    """
    image = _opened(data)
    if image is None:
        return None
    with image:
        try:
            doubt = doubt_about_orientation(image, data)
            header = ImageHeader(_shown_size_hw(image), _pages_hw(image), image.has_transparency_data, doubt)
            return header if _is_whole(image, data) else None
        except Exception:  # Pillow raises many types on a damaged header
            return None


def unreadable(data: bytes) -> str:
    """Why the bytes are not a supported image; names the format if it is a common one."""
    for offset, signature, name in _OTHER_FORMATS:
        if data[offset : offset + len(signature)] == signature:
            return f"not an image that can be read: {name} is not, save it as PNG or keep the DICOM file"
    return UNREADABLE


def decoded(data: bytes) -> NDArray[Any] | None:
    """(H, W) grey levels at their stored depth; None if they cannot be decoded.

    Check the size first: decoding allocates memory for the size that the header states.
    """
    image = _opened(data)
    if image is None:
        return None
    try:
        with image:
            return _decoded_tiff(data, image) if isinstance(image, TiffImageFile) else _decoded_by_opencv(data)
    except Exception:  # the decoders raise many types on damaged pixels
        return None


def lies_in_alpha(data: bytes, pixels: NDArray[Any]) -> bool:
    """Whether all colours of the image are the same while its transparency varies."""
    if pixels.min() != pixels.max() or (image := _opened(data)) is None:
        return False
    with image:
        low, high = image.convert("RGBA").getchannel("A").getextrema()
        return bool(low != high)


def _opened(data: bytes) -> ImageFile | None:
    """The image with its header read; not by `Image.open`, which refuses large images without telling their size."""
    for image_class in _FORMATS:
        try:
            return image_class(BytesIO(data))
        except Exception:  # SyntaxError for another format, many types for a damaged header
            continue
    return None


def _decoded_by_opencv(data: bytes) -> NDArray[Any] | None:
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    return None if image is None else np.asarray(image)


def _decoded_tiff(data: bytes, image: TiffImageFile) -> NDArray[Any] | None:
    """As OpenCV decodes it, or Pillow where width and height are exchanged: OpenCV 5.0 fails on those."""
    negative = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == _WHITE_IS_ZERO
    if not _is_transposed(image):
        grey = _decoded_by_opencv(data)
        return None if grey is None else _positive(grey, negative)
    size_hw = _shown_size_hw(image)
    pixels = np.asarray(image if image.mode in ("L", "F") or image.mode.startswith("I") else image.convert("L"))
    return _positive(pixels, negative) if pixels.shape == size_hw else None


def _positive(pixels: NDArray[Any], negative: bool) -> NDArray[Any]:
    """The levels with the highest as white. The decoders invert negatives of 8 bits only."""
    if not negative or pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.iinfo(pixels.dtype).max - pixels if pixels.dtype.kind == "u" else -pixels)


def _pages_hw(image: ImageFile) -> tuple[tuple[int, int], ...]:
    """(H, W) of each page of a TIFF; other formats have one."""
    if not isinstance(image, TiffImageFile) or image.n_frames == 1:
        return (_shown_size_hw(image),)
    sizes_hw = []
    for page in range(image.n_frames):
        image.seek(page)
        sizes_hw.append((image.height, image.width))
    image.seek(0)
    return tuple(sizes_hw)


def _shown_size_hw(image: ImageFile) -> tuple[int, int]:
    """(H, W) after EXIF orientation, which Pillow applies to the size of a TIFF but not to that of other formats."""
    turned = not isinstance(image, TiffImageFile) and _is_transposed(image)
    return (image.width, image.height) if turned else (image.height, image.width)


def _is_transposed(image: ImageFile) -> bool:
    # Asked for the EXIF data of a PNG that has none, Pillow decodes all of it to look behind the pixels.
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        return False
    return bool(image.getexif().get(ExifTags.Base.Orientation) in _TRANSPOSED)


def _is_whole(image: ImageFile, data: bytes) -> bool:
    """Whether the file is complete; `image` cannot be used afterwards.

    Pillow can check a PNG only. OpenCV fills missing parts of the other formats with grey and reports nothing.
    """
    if isinstance(image, PngImageFile):
        image.verify()
        return _PNG_END in data
    if isinstance(image, JpegImageFile):
        return data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
    if isinstance(image, TiffImageFile):
        tags, base = image.tag_v2, ExifTags.Base
        striped = base.StripOffsets in tags
        offsets = tags[base.StripOffsets if striped else base.TileOffsets]
        counts = tags[base.StripByteCounts if striped else base.TileByteCounts]
        return max(map(sum, zip(offsets, counts, strict=True))) <= len(data)
    return int.from_bytes(data[2:6], "little") <= len(data)  # a BMP begins with "BM" and the size of the file
