"""Read the elements of a DICOM header that are needed to show the pixels, tolerating invalid values.

Only the elements in `WANTED` are parsed; none of them names a date, a device or an institution. PatientID is included,
as a pseudonym, to keep the films of a patient in the same split.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.filereader import data_element_generator
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

PREFIX_AT, PREFIX = 128, b"DICM"
HEADER_BYTES = 16 << 20
"""Upper limit of a header's size without the pixels."""

_TRANSFER_SYNTAX = 0x00020010
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_MACROS = (
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FramePixelDataPropertiesSequence",
)

WANTED = (
    "Modality", "PatientID", "PresentationIntentType", "BurnedInAnnotation", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
    "PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing", "PixelAspectRatio",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "PresentationLUTShape", *_GROUPS, "PixelData",
)  # fmt: skip
"""The only elements that are parsed to read a film."""

# pydicom's warnings quote invalid values, and may end up in a log.
pydicom.config.settings.reading_validation_mode = IGNORE


class Refusal(Exception):
    """Why a file cannot be read as a film. The message quotes no values except codes of the standard."""


class OddElementError(Exception):
    """An element whose value violates the standard."""


class Header:
    """Elements by keyword, from the data set itself or from the functional groups of an enhanced one.

    Attributes:
        dataset: the parsed data set.
        remarks: elements that were ignored, and the consequence; quotes no values.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.remarks: list[str] = []

    def values(self, name: str) -> tuple[Any, ...]:
        """The values of an element; empty if it is absent or has none.

        Raises:
            OddElementError: the element cannot be parsed.
        """
        try:
            for dataset in self._datasets():
                if name in dataset:
                    return _as_tuple(dataset[name].value)
        except Exception:
            # pydicom converts values on access, and its error may quote the value.
            raise OddElementError(name) from None
        return ()

    def numbers(self, name: str) -> tuple[float, ...]:
        """The values as finite numbers; `OddElementError` if they are not."""
        try:
            numbers = tuple(float(value) for value in self.values(name))
        except (TypeError, ValueError, OverflowError):
            raise OddElementError(name) from None
        if not np.isfinite(numbers).all():
            raise OddElementError(name)
        return numbers

    def whole(self, name: str) -> int | None:
        """A single whole number; None if the element is absent or empty.

        Raises:
            Refusal: several values, or not a whole number.
        """
        try:
            numbers = self.numbers(name)
            if len(numbers) > 1 or any(number != int(number) for number in numbers):
                raise OddElementError(name)
        except OddElementError:
            raise Refusal(f"a DICOM file whose {name} is not one whole number") from None
        return int(numbers[0]) if numbers else None

    def word(self, name: str) -> str:
        """A code in upper case; empty if there is none, `?` if the value is not a single string."""
        try:
            values = self.values(name)
        except OddElementError:
            return "?"
        if not values:
            return ""
        return values[0].strip().upper() if len(values) == 1 and isinstance(values[0], str) else "?"

    def items(self, name: str) -> list[Dataset]:
        """The items of a sequence; empty if it is absent or not a sequence."""
        try:
            return [item for item in self.values(name) if isinstance(item, Dataset)]
        except OddElementError:
            return []

    def add_remark(self, remark: str) -> None:
        """Add a remark, once."""
        if remark not in self.remarks:
            self.remarks.append(remark)

    def _datasets(self) -> Iterator[Dataset]:
        """The data sets to search: the file's own, then the first item of each functional group."""
        yield self.dataset
        for group in _GROUPS:
            if group not in self.dataset or not (frames := _as_tuple(self.dataset[group].value)):
                continue
            for macro in _MACROS:
                if macro in frames[0] and (items := _as_tuple(frames[0][macro].value)):
                    yield items[0]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None or (isinstance(value, str | bytes) and not value):
        return ()
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__") or isinstance(value, Dataset):
        return (value,)
    return tuple(item for item in value if item is not None and item != "")


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are those of a DICOM file."""
    return data[PREFIX_AT : PREFIX_AT + len(PREFIX)] == PREFIX


def parse_header(data: bytes, max_pixels: int, also: Sequence[str] = ()) -> tuple[Header, UID]:
    """Parse the `WANTED` elements, those named in `also`, and the transfer syntax.

    Raises:
        Refusal: the file cannot be read as DICOM, or its transfer syntax is not one of the standard.
    """
    try:
        syntax, start = _transfer_syntax(data)
        if syntax == DeflatedExplicitVRLittleEndian and _inflates_beyond(data[start:], 2 * max_pixels + HEADER_BYTES):
            raise Refusal("a DICOM file that inflates to more than the largest film that is read")
        if syntax and (syntax.is_private or not syntax.is_transfer_syntax):
            raise Refusal("a DICOM file whose transfer syntax is private or not one of the standard: export it again")
        dataset = pydicom.dcmread(BytesIO(data), specific_tags=[*WANTED, *also])
        header = Header(dataset)
        if not syntax:
            header.add_remark("the file does not name its transfer syntax, which was inferred from its bytes")
            syntax = _native_syntax(dataset)
        return header, syntax
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(f"not a DICOM file that can be read (broken or cut off: {type(error).__name__})") from None


def _native_syntax(dataset: Dataset) -> UID:
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise Refusal("a DICOM file of compressed pixels that does not name its transfer syntax: export it again")
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _transfer_syntax(data: bytes) -> tuple[UID, int]:
    """The transfer syntax, and the offset of the data set."""
    stream = BytesIO(data)
    stream.seek(PREFIX_AT + len(PREFIX))
    syntax = ""
    for element in data_element_generator(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2):
        if element.tag == _TRANSFER_SYNTAX and isinstance(element.value, bytes):
            syntax = element.value.decode("ascii").strip("\0 ")
    return UID(syntax), stream.tell()


def _inflates_beyond(data: bytes, limit: int) -> bool:
    return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit + 1)) > limit
