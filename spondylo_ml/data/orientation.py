"""Whether all programs turn an image in the same way: where its orientation is stated, and how often.

EXIF 2.32 has one entry of type SHORT for it. Pillow reads it from XMP too where EXIF has none, OpenCV does not; of two
entries each takes another one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

DOUBTFUL = "an image whose orientation programs read differently ({}): open it, turn it upright and save it again"
SEVERAL, ODD, XMP_ALONE = "stated several times", "not stated as EXIF prescribes", "stated in XMP alone"

_TAG, _UPRIGHT = 0x0112, 1
_KNOWN = range(1, 9)
_SHORT, _LENGTHS = 3, {1: 1, 3: 2, 4: 4}
_EXIF = b"Exif\0\0"
_XMP_ENTRY = re.compile(r"tiff:Orientation\s*(?:=\s*[\"']|>)\s*(\d)")
_PNG_SIGNATURE_BYTES = 8


@dataclass(frozen=True)
class _Entry:
    """An orientation as EXIF states it, and whether it does so as prescribed."""

    value: int
    sound: bool


def doubt_about_orientation(image: ImageFile, data: bytes) -> str:
    """Why it is unclear how to turn the image; empty where it is not."""
    entries = list(_entries(image, data))
    values = {entry.value for entry in entries}
    if len(values) > 1:
        return DOUBTFUL.format(SEVERAL)
    if any(not entry.sound and entry.value in _KNOWN and entry.value != _UPRIGHT for entry in entries):
        return DOUBTFUL.format(ODD)
    in_xmp = {int(text) for text in _XMP_ENTRY.findall(_xmp(image))}
    return DOUBTFUL.format(XMP_ALONE) if not entries and in_xmp & set(_KNOWN) - {_UPRIGHT} else ""


def _entries(image: ImageFile, data: bytes) -> Iterator[_Entry]:
    if isinstance(image, TiffImageFile):
        yield from _in_directory(data)
    elif isinstance(image, JpegImageFile):
        for name, content in image.applist:
            if name == "APP1" and content.startswith(_EXIF):
                yield from _in_directory(content.removeprefix(_EXIF))
    elif isinstance(image, PngImageFile):
        for before_pixels, block in _png_blocks(data):
            yield from (_Entry(one.value, one.sound and before_pixels) for one in _in_directory(block))


def _in_directory(tiff: bytes) -> Iterator[_Entry]:
    """The orientations in the first directory of a TIFF file or of an EXIF block, which has the form of one."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, n_values = struct.unpack_from(f"{order}HHI", tiff, at)
        if tag == _TAG:
            field = tiff[at + 8 : at + 8 + _LENGTHS.get(kind, 4)]
            byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
            yield _Entry(int.from_bytes(field, byte_order), kind == _SHORT and n_values == 1)


def _png_blocks(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """The EXIF blocks of a PNG, each with whether it comes before the pixels."""
    at, before_pixels = _PNG_SIGNATURE_BYTES, True
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        before_pixels &= name != b"IDAT"
        if name == b"eXIf":
            yield before_pixels, data[at + 8 : at + 8 + length].removeprefix(_EXIF)
        at += 12 + length


def _xmp(image: ImageFile) -> str:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or ""
    return packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
