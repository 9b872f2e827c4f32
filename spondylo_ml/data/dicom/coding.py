"""Decode the pixels of a DICOM file according to its transfer syntax.

Native and run-length encoded pixels are decoded by pydicom, all others by imagecodecs: JPEG with 8 and 12 bits,
lossless JPEG, JPEG-LS, and JPEG 2000 including HTJ2K. Sizes are checked before anything is decoded.
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
except ImportError:  # no wheel for this platform: pydicom's other plugins are tried
    imagecodecs = None  # type: ignore[assignment]

JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)

DISAGREE = "a DICOM file whose header and pixels disagree on the film's size"
_SPARE_BYTES = 8  # trailing bytes that are tolerated; more mean that the size in the header is wrong
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # JPEG markers in the range of frame headers that are not frame headers
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Decoded:
    """Decoded pixels.

    Attributes:
        pixels: (H, W); unsigned, unless the coding itself is signed.
        precision: bits per pixel of a compressed coding; None for a native one, which is described by the header.
        signed: whether the coding is signed; None if it does not state this.
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
    """Decode the single frame of a file.

    Raises:
        Refusal: the pixels are not in the stated coding, the coding is not supported, or the size contradicts the
            header.
    """
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return Decoded(_native(dataset, syntax, size_hw, bits_allocated))
    if syntax not in (*JPEG, *JPEG_LS, *JPEG_2000, RLELossless):
        raise Refusal(f"a DICOM file whose pixels are coded as {syntax.name}: no decoder supports this")
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
    needed, actual = size_hw[0] * size_hw[1] * bits_allocated // 8, len(dataset.PixelData)
    if actual < needed:
        raise Refusal(f"a DICOM file that is cut off, or without all pixels: it has {actual} of {needed} bytes")
    if actual > needed + _SPARE_BYTES:
        raise Refusal(f"{DISAGREE}: {actual} bytes for {needed}")
    return _by_pydicom(dataset, syntax, size_hw, bits_allocated)


def _run_lengths(dataset: Dataset, size_hw: tuple[int, int], bits_allocated: int) -> NDArray[Any]:
    if len(dataset.PixelData) > 2 * size_hw[0] * size_hw[1] * bits_allocated // 8 + 4096:
        raise Refusal("a DICOM file with more run-length coded data than its film can need")
    return _by_pydicom(dataset, RLELossless, size_hw, bits_allocated)


def _by_pydicom(dataset: Dataset, syntax: UID, size_hw: tuple[int, int], bits_allocated: int) -> NDArray[Any]:
    """All allocated bits of each pixel, decoded with a minimal header."""
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
    """Size and precision from the header of the coded frame; None if it is not in this coding."""
    try:
        return _jpeg_2000_header(frame) if syntax in JPEG_2000 else _jpeg_header(frame)
    except (IndexError, ValueError):
        return None


def _jpeg_header(frame: bytes) -> _Coded | None:
    """Read the frame header of JPEG or JPEG-LS: marker, length, precision, height, width, components."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 10 <= len(frame):
        marker = frame[at + 1]
        if frame[at] != 0xFF:
            return None
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER) or marker == 0xF7:
            height, width = (int.from_bytes(frame[at + i : at + i + 2], "big") for i in (5, 7))
            return _Coded((height, width), frame[at + 4], frame[at + 9])
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _jpeg_2000_header(frame: bytes) -> _Coded | None:
    """Read the SIZ segment: length, capabilities, extent and offset of image and tiles, components, depth."""
    start = frame.find(_JPEG_2000_SIZE)
    if start < 0:
        return None
    at = start + len(_JPEG_2000_SIZE)
    width, height, left, top = (int.from_bytes(frame[at + i : at + i + 4], "big") for i in (4, 8, 12, 16))
    depth = frame[at + 38]
    return _Coded(
        (height - top, width - left), (depth & 0x7F) + 1, int.from_bytes(frame[at + 36 : at + 38], "big"), depth > 0x7F
    )
