"""Pixels of a DICOM file out of the coding that its transfer syntax names, refused unread if too large.

Native and run-length coded pixels are read by pydicom, all others by imagecodecs: JPEG of 8 and 12 bits, lossless JPEG,
JPEG-LS, and JPEG 2000 with its high-throughput kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from spondylo_ml.data.dicom.header import Refusal

try:
    import imagecodecs
except ImportError:  # no wheel for this machine: pydicom's other plugins are tried
    imagecodecs = None  # type: ignore[assignment]

JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)

DISAGREE = "a DICOM file whose header and pixels disagree on the film's size"
_SPARE_BYTES = 8  # behind the pixels; more means that rows or columns are not as the header says
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # JPEG markers in the range of frame headers that are none
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Decoded:
    """Pixels as they were coded.

    Attributes:
        pixels: (H, W), unsigned, but signed where the coding itself says so.
        precision: bits of a pixel in a compressed coding; None for a native one, whose bits are where the header says.
        signed: whether the coding says that levels are signed; None where it does not say.
    """

    pixels: NDArray[Any]
    precision: int | None = None
    signed: bool | None = None


@dataclass(frozen=True)
class _Coded:
    size_hw: tuple[int, int]
    precision: int
    components: int
    signed: bool | None = None


def decode(dataset: Dataset, syntax: UID, size_hw: tuple[int, int], bits_allocated: int) -> Decoded:
    """The one frame of a file.

    Raises:
        Refusal: no pixels in this coding, a coding that is not read, or a size that the header denies.
    """
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return Decoded(_native(dataset, syntax, size_hw, bits_allocated))
    if syntax not in (*JPEG, *JPEG_LS, *JPEG_2000, RLELossless):
        raise Refusal(f"a DICOM file whose pixels are coded as {syntax.name}: nothing decodes that here")
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception:
        raise Refusal(f"a DICOM file whose pixels are not coded as it says ({syntax.name})") from None
    if syntax == RLELossless:
        return Decoded(_run_lengths(dataset, size_hw, bits_allocated))
    coded = _frame_header(frame, syntax)
    if coded is None:
        raise Refusal(f"a DICOM file whose pixels are not coded as it says ({syntax.name})")
    if coded.size_hw != size_hw:
        raise Refusal(DISAGREE)
    if coded.components != 1:
        raise Refusal("a DICOM file whose header and pixels disagree on its colours")
    if imagecodecs is None:
        if coded.precision == 8 and get_decoder(syntax).is_available:
            return Decoded(_by_pydicom(dataset, syntax, size_hw, 8), coded.precision)
        raise Refusal(
            f"a DICOM file whose pixels are coded as {syntax.name}: install a plugin for that (pip install imagecodecs)"
        )
    pixels = np.asarray(_codec(syntax)(frame))
    if pixels.shape != size_hw:
        raise Refusal(DISAGREE)
    return Decoded(pixels, coded.precision, coded.signed)


def _codec(syntax: UID) -> Any:
    if syntax in JPEG:
        return imagecodecs.jpeg8_decode
    return imagecodecs.jpegls_decode if syntax in JPEG_LS else imagecodecs.jpeg2k_decode


def _native(dataset: Dataset, syntax: UID, size_hw: tuple[int, int], bits_allocated: int) -> NDArray[Any]:
    needed, given = size_hw[0] * size_hw[1] * bits_allocated // 8, len(dataset.PixelData)
    if given < needed:
        raise Refusal(f"a DICOM file that is cut off, or without all pixels: {given} of {needed} bytes are there")
    if given > needed + _SPARE_BYTES:
        raise Refusal(f"{DISAGREE}: {given} bytes for {needed}")
    return _by_pydicom(dataset, syntax, size_hw, bits_allocated)


def _run_lengths(dataset: Dataset, size_hw: tuple[int, int], bits_allocated: int) -> NDArray[Any]:
    if len(dataset.PixelData) > 2 * size_hw[0] * size_hw[1] * bits_allocated // 8 + 4096:
        raise Refusal("a DICOM file with more run-length coded data than its film can need")
    return _by_pydicom(dataset, RLELossless, size_hw, bits_allocated)


def _by_pydicom(dataset: Dataset, syntax: UID, size_hw: tuple[int, int], bits_allocated: int) -> NDArray[Any]:
    """Containers of pixels with all their bits, whatever the header says of those."""
    plain = Dataset()
    plain.Rows, plain.Columns = size_hw
    plain.SamplesPerPixel, plain.PhotometricInterpretation, plain.PixelRepresentation = 1, "MONOCHROME2", 0
    plain.BitsAllocated = plain.BitsStored = bits_allocated
    plain.NumberOfFrames = 1
    plain.PixelData = dataset.PixelData
    plain["PixelData"].VR = dataset["PixelData"].VR
    plain["PixelData"].is_undefined_length = dataset["PixelData"].is_undefined_length
    plain.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    pixels, _ = get_decoder(syntax).as_array(plain, index=0, raw=True)
    return pixels


def _frame_header(frame: bytes, syntax: UID) -> _Coded | None:
    """What the coded pixels say of themselves; None where they are not of this coding."""
    try:
        return _jpeg_2000_header(frame) if syntax in JPEG_2000 else _jpeg_header(frame)
    except (IndexError, ValueError):
        return None


def _jpeg_header(frame: bytes) -> _Coded | None:
    """JPEG and JPEG-LS: marker, length, precision, height, width, components."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 10 <= len(frame):
        marker = frame[at + 1]
        if frame[at] != 0xFF:
            return None
        if marker == 0xFF:  # fill
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER) or marker == 0xF7:
            height, width = (int.from_bytes(frame[at + i : at + i + 2], "big") for i in (5, 7))
            return _Coded((height, width), frame[at + 4], frame[at + 9])
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _jpeg_2000_header(frame: bytes) -> _Coded | None:
    """The SIZ segment: length, capabilities, extent and offset of the image, and of its tiles; components, depth."""
    start = frame.find(_JPEG_2000_SIZE)
    if start < 0:
        return None
    at = start + len(_JPEG_2000_SIZE)
    width, height, left, top = (int.from_bytes(frame[at + i : at + i + 4], "big") for i in (4, 8, 12, 16))
    depth = frame[at + 38]
    return _Coded(
        (height - top, width - left), (depth & 0x7F) + 1, int.from_bytes(frame[at + 36 : at + 38], "big"), depth > 0x7F
    )
