"""An orientation that image libraries read differently is refused, any other is applied."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spondylo_ml.data.film_pixels import film_in
from spondylo_ml.errors import FileError

SHORT, LONG, BYTE = 3, 4, 1
PIXELS = np.arange(40 * 20, dtype=np.uint16).reshape(40, 20).__floordiv__(4).astype(np.uint8)
XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'
XMP_ELEMENT = "<x:xmpmeta><tiff:Orientation>{}</tiff:Orientation></x:xmpmeta>"


def exif(*entries: tuple[int, int], big: bool = False) -> bytes:
    """An EXIF block with these (type, orientation)."""
    order = ">" if big else "<"
    fields = b"".join(
        struct.pack(f"{order}HHI", 0x0112, kind, 1)
        + struct.pack(f"{order}{ {SHORT: 'H', LONG: 'I', BYTE: 'B'}[kind] }", value).ljust(4, b"\0")
        for kind, value in entries
    )
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}IH", 8, len(entries))
    return head + fields + bytes(4)


def jpeg(block: bytes | None = None, xmp: str = "") -> bytes:
    stream = BytesIO()
    blocks = {} if block is None else {"exif": b"Exif\0\0" + block}
    Image.fromarray(PIXELS).save(stream, "JPEG", quality=95, **blocks, **({"xmp": xmp.encode()} if xmp else {}))
    return stream.getvalue()


def png(block: bytes | None = None, xmp: str = "", late: bool = False) -> bytes:
    stream, text = BytesIO(), PngInfo()
    if xmp:
        text.add_itxt("XML:com.adobe.xmp", xmp)
    Image.fromarray(PIXELS).save(stream, "PNG", pnginfo=text)
    data = stream.getvalue()
    if block is None:
        return data
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    at = data.index(b"IEND") - 4 if late else data.index(b"IDAT") - 4
    return data[:at] + chunk + data[at:]


def tiff(*entries: tuple[int, int]) -> bytes:
    """An uncompressed TIFF with these (type, orientation)."""
    height, width = PIXELS.shape
    tags = [(0x0100, SHORT, width), (0x0101, SHORT, height), (0x0102, SHORT, 8), (0x0103, SHORT, 1), (0x0106, SHORT, 1)]
    tags += [(0x0111, LONG, 0), *((0x0112, *entry) for entry in entries), (0x0115, SHORT, 1), (0x0116, SHORT, height)]
    tags += [(0x0117, LONG, height * width)]
    offset = 8 + 2 + 12 * len(tags) + 4
    fields = b"".join(
        struct.pack("<HHII", tag, kind, 1, offset if tag == 0x0111 else value) for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + bytes(4) + PIXELS.tobytes()


ACCEPTED = {
    "jpeg": (jpeg(), False),
    "jpeg, EXIF": (jpeg(exif((SHORT, 6))), True),
    "jpeg, EXIF, big endian": (jpeg(exif((SHORT, 6), big=True)), True),
    "jpeg, twice the same": (jpeg(exif((SHORT, 6), (SHORT, 6))), True),
    "jpeg, none": (jpeg(exif((SHORT, 0))), False),
    "jpeg, upright in XMP": (jpeg(xmp=XMP.format(1)), False),
    "jpeg, EXIF before XMP": (jpeg(exif((SHORT, 6)), XMP.format(6)), True),
    "png, EXIF": (png(exif((SHORT, 6))), True),
    "png, upright after the pixels": (png(exif((SHORT, 1)), late=True), False),
    "png, upright in XMP": (png(xmp=XMP.format(1)), False),
    "tiff": (tiff(), False),
    "tiff, turned": (tiff((SHORT, 6)), True),
}

REFUSED = {
    "jpeg, two": (jpeg(exif((SHORT, 1), (SHORT, 6))), "several times"),
    "jpeg, two of one size": (jpeg(exif((SHORT, 3), (SHORT, 1))), "several times"),
    "jpeg, a LONG": (jpeg(exif((LONG, 3))), "not stated as EXIF"),
    "jpeg, a LONG, big endian": (jpeg(exif((LONG, 6), big=True)), "not stated as EXIF"),
    "jpeg, a BYTE": (jpeg(exif((BYTE, 3))), "not stated as EXIF"),
    "jpeg, XMP": (jpeg(xmp=XMP.format(3)), "in XMP alone"),
    "jpeg, XMP in an element": (jpeg(xmp=XMP_ELEMENT.format(6)), "in XMP alone"),
    "png, XMP": (png(xmp=XMP.format(3)), "in XMP alone"),
    "png, after the pixels": (png(exif((SHORT, 3)), late=True), "not stated as EXIF"),
    "png, two": (png(exif((SHORT, 3), (SHORT, 2))), "several times"),
    "tiff, two": (tiff((SHORT, 1), (SHORT, 3)), "several times"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_sound_orientation_is_applied(case: str) -> None:
    data, turned = ACCEPTED[case]
    content = film_in(data, "film")
    expected = np.rot90(PIXELS, -1) if turned else PIXELS
    assert content.pixels.shape == expected.shape
    assert np.abs(content.pixels.astype(int) - expected).max() < 12, "but for what JPEG loses"


@pytest.mark.parametrize("case", REFUSED)
def test_an_orientation_that_programs_read_differently_is_refused(case: str) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(
        FileError, match=f"orientation programs read differently \\(.*{reason}.*\\): open it, turn it upri"
    ):
        film_in(data, "film")
