"""Radiographs in DICOM files: their pixels as 8-bit grey, and the size of a pixel.

Of a file's header only what is needed for that is parsed, and nothing that names a patient, a date, a device or an
institution: the elements in `WANTED` and the pixels. Grey levels go through the file's own rescale (modality LUT) and
its first window or VOI LUT (PS3.3 C.11.1 and C.11.2); without one they are spread like those of any film of more than 8
bits. MONOCHROME1 is turned so that bone is bright.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_generator
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from spondylo_ml.data.image_file import to_8_bit
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import GreyImage, Spacing

DICOM_SUFFIXES = (".dcm", ".dicom")
PREFIX_AT, PREFIX = 128, b"DICM"
HEADER_BYTES = 16 << 20
"""More than a header of any radiograph holds beside its pixels."""

DEPTHS = (8, 16)
BIT_DEPTHS = range(8, 17)
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
RADIOGRAPHS = ("CR", "DX", "RF", "XA", "RG", "SC", "OT", "")
CALIBRATED = ("GEOMETRY", "FIDUCIAL")
_TRANSFER_SYNTAX = 0x00020010

WANTED = (
    "Modality", "PresentationIntentType", "BurnedInAnnotation", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing", "PixelAspectRatio",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "PixelData",
)  # fmt: skip
"""What is parsed of a file; all else is passed over unread."""

# pydicom warns of odd values by quoting them, and a warning may end in a log.
pydicom.config.settings.reading_validation_mode = IGNORE


@dataclass(frozen=True)
class DicomFilm:
    """What is taken from a DICOM file.

    Attributes:
        pixels: (H, W) grey levels, 0 to 255, bone bright.
        pixel_aspect: width of a pixel over its height; 1 where the file does not say.
        notes: what a reader of the results must know.
    """

    pixels: GreyImage
    spacing: Spacing | None
    pixel_aspect: float
    notes: tuple[str, ...]


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are those of a DICOM file."""
    return data[PREFIX_AT : PREFIX_AT + len(PREFIX)] == PREFIX


def decode_dicom(data: bytes, file: str, max_pixels: int, alias: str = "a film") -> DicomFilm:
    """The film in the bytes of a DICOM file.

    Args:
        max_pixels: a larger film is refused before anything is decoded.

    Raises:
        FileError: no single grey radiograph that can be read here; says what it is, or which plugin is missing.
    """

    def refused(reason: str) -> FileError:
        return FileError(file, reason, alias=alias)

    dataset, syntax = _parsed(data, max_pixels, refused)
    if reason := _reason_against(dataset, max_pixels) or _reason_against_coding(dataset, syntax):
        raise refused(reason)
    try:
        pixels = dataset.pixel_array
        levels = apply_modality_lut(pixels, dataset)
        grey, notes = _shown(levels, dataset)
    except Exception as error:
        # Whatever the decoders raise on a damaged file; their words may quote the file.
        raise refused(f"a DICOM file whose pixels cannot be decoded ({type(error).__name__})") from None
    spacing, aspect, remarks = _pixel_size(dataset)
    return DicomFilm(grey, spacing, aspect, (*_notes(dataset), *notes, *remarks))


def _parsed(data: bytes, max_pixels: int, refused: Any) -> tuple[Dataset, UID]:
    """The wanted elements and the transfer syntax."""
    try:
        syntax, start = _transfer_syntax(data)
        if syntax == DeflatedExplicitVRLittleEndian and _inflates_beyond(data[start:], 2 * max_pixels + HEADER_BYTES):
            raise refused("a DICOM file that inflates to more than the largest film that is read")
        return pydicom.dcmread(BytesIO(data), specific_tags=list(WANTED)), syntax
    except FileError:
        raise
    except Exception as error:
        raise refused(f"not a DICOM file that can be read (broken or cut off: {type(error).__name__})") from None


def _transfer_syntax(data: bytes) -> tuple[UID, int]:
    """How the file is coded, and where its header proper starts."""
    stream = BytesIO(data)
    stream.seek(PREFIX_AT + len(PREFIX))
    found = ""
    for element in data_element_generator(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2):
        if element.tag == _TRANSFER_SYNTAX and isinstance(element.value, bytes):
            found = element.value.decode("ascii").strip("\0 ")
    return UID(found), stream.tell()


def _inflates_beyond(data: bytes, limit: int) -> bool:
    return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit + 1)) > limit


def _reason_against(dataset: Dataset, max_pixels: int) -> str:
    """Why the file holds no film for us; empty where it does."""
    if "PixelData" not in dataset:
        return "a DICOM file without pixels (a report, a structured document or a raw measurement)"
    if (frames := int(dataset.get("NumberOfFrames") or 1)) > 1:
        return f"a DICOM file of {frames} frames: export the one that is to be read as a file of its own"
    missing = [n for n in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation") if n not in dataset]
    if missing:
        return f"a DICOM file without {', '.join(missing)}: its pixels have no known shape"
    colours = str(dataset.get("PhotometricInterpretation", "none"))
    if colours not in MONOCHROME:
        return f"a DICOM file with the colours {colours[:16]!r}: {' or '.join(MONOCHROME)} is needed"
    if dataset.BitsAllocated not in DEPTHS or dataset.BitsStored not in BIT_DEPTHS:
        return f"a DICOM file of {dataset.BitsStored} bits in {dataset.BitsAllocated}: 8 to 16 in 8 or 16 are read"
    if (count := int(dataset.Rows) * int(dataset.Columns)) > max_pixels:
        return too_large((int(dataset.Rows), int(dataset.Columns)), max_pixels)
    return "a DICOM file without a pixel" if count == 0 else ""


def too_large(size_hw: tuple[int, int] | None, max_pixels: int) -> str:
    """Reason to refuse a film for its size; None where that is beyond what its format's reader will tell."""
    size = "larger than any" if size_hw is None else f"of {size_hw[1]} x {size_hw[0]} px"
    return f"a film {size}: more than the {max_pixels / 1e6:g} million px that are read; scale it down"


def _reason_against_coding(dataset: Dataset, syntax: UID) -> str:
    """Why its pixels cannot be decoded here, or had better not be; empty where they can."""
    if not syntax.is_compressed or syntax == DeflatedExplicitVRLittleEndian:
        return ""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return f"a DICOM file whose pixels are coded as {syntax.name}: nothing decodes that here"
    if not decoder.is_available:
        plugins = "; ".join(decoder.missing_dependencies)
        return f"a DICOM file whose pixels are coded as {syntax.name}: install a plugin for that ({plugins})"
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        with Image.open(BytesIO(frame)) as image:
            coded = (image.height, image.width)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        coded = None  # a coding that Pillow does not know, or a broken one: the decoder tells
    told = (int(dataset.Rows), int(dataset.Columns))
    if coded not in (None, told):
        return "a DICOM file whose header and pixels disagree on the film's size"
    largest = 2 * told[0] * told[1] * int(dataset.BitsAllocated) // 8 + 4096
    if syntax == RLELossless and len(dataset.PixelData) > largest:
        return "a DICOM file with more run-length coded data than its film can need"
    return ""


def _shown(levels: NDArray[Any], dataset: Dataset) -> tuple[GreyImage, tuple[str, ...]]:
    """8-bit grey levels as the file wants them shown, bone bright."""
    bright = _in_window(levels, dataset)
    notes: tuple[str, ...] = ()
    if bright is not None and bright.min() == bright.max():
        bright, notes = None, ("the file's window leaves no contrast and was not applied",)
    grey = to_8_bit(levels) if bright is None else np.asarray((255 * bright).round(), dtype=np.uint8)
    return (255 - grey if dataset.PhotometricInterpretation == MONOCHROME[0] else grey), notes


def _in_window(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.float64] | None:
    """Levels by the file's VOI LUT or window from 0 to 1; None where it has neither."""
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        whole = levels if np.issubdtype(levels.dtype, np.integer) else levels.round().astype(np.int64)
        return np.asarray(apply_voi(whole, dataset) / (2.0**bits - 1)).clip(0, 1)
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return None
    with np.errstate(over="ignore"):
        # What lies far below and far above the window: the ends of the range into which pydicom maps it.
        low, high = apply_windowing(np.array([-1e12, 1e12]), dataset)
        shown = apply_windowing(levels, dataset)
    return np.asarray((shown - low) / (high - low)).clip(0, 1)


def _pixel_size(dataset: Dataset) -> tuple[Spacing | None, float, tuple[str, ...]]:
    """Spacing with its provenance, pixel aspect, and remarks on what could not be used."""
    remarks = []
    at_detector = _row_column(dataset, "ImagerPixelSpacing")
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        if dataset.get(name) is None:
            continue
        pair = _row_column(dataset, name)
        if pair is None:
            remarks.append(f"{name} is not two positive numbers and was not used")
            continue
        spacing = Spacing(x_mm=pair[1], y_mm=pair[0], provenance=_provenance(dataset, name, pair == at_detector))
        return spacing, spacing.pixel_aspect, tuple(remarks)
    ratio = _row_column(dataset, "PixelAspectRatio")  # vertical size, horizontal size
    return None, (ratio[1] / ratio[0] if ratio else 1.0), tuple(remarks)


def _provenance(dataset: Dataset, name: str, as_at_detector: bool) -> str:
    """Who says how large a pixel is. PS3.3 10.7.1.3: PixelSpacing that equals ImagerPixelSpacing is not corrected."""
    kind = str(dataset.get("PixelSpacingCalibrationType") or "").upper()
    if name != "PixelSpacing":
        return f"DICOM {name}"
    if kind in CALIBRATED:
        return f"DICOM PixelSpacing, calibrated ({kind})"
    return "DICOM PixelSpacing, equal to ImagerPixelSpacing" if as_at_detector else "DICOM PixelSpacing"


def _row_column(dataset: Dataset, name: str) -> tuple[float, float] | None:
    try:
        down, across = (float(value) for value in dataset.get(name))
        Spacing(across, down, name)
    except (TypeError, ValueError, DataError):
        return None
    return down, across


def _notes(dataset: Dataset) -> list[str]:
    notes = []
    modality = str(dataset.get("Modality") or "")
    if modality not in RADIOGRAPHS:
        notes.append(f"the file's modality is {modality[:4]!r}: the model knows radiographs alone")
    if str(dataset.get("PresentationIntentType") or "").upper() == "FOR PROCESSING":
        notes.append("the file holds raw detector levels (FOR PROCESSING): the model knows films as they are shown")
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        notes.append("the file says that text is burnt into its pixels: pictures of the film may name the patient")
    return notes
