"""The elements of a DICOM file that its pixels need, read one by one: whatever a file puts there, no raw error leaves.

Nothing that names a date, a device or an institution is parsed: the elements in `WANTED` alone. PatientID is among them
for one purpose: films of one patient must go to one part of a dataset, by its pseudonym.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
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
"""More than a header of any radiograph holds beside its pixels."""

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
"""What is parsed of a file; all else is passed over unread."""

# pydicom warns of odd values by quoting them, and a warning may end in a log.
pydicom.config.settings.reading_validation_mode = IGNORE


class Refusal(Exception):
    """Why a file holds no film that can be read; quotes no value but codes of the standard."""


class OddElementError(Exception):
    """An element whose value is not of the kind that the standard says."""


class Header:
    """Elements by their keywords, from the data set itself or from the functional groups of an enhanced one.

    Attributes:
        remarks: which elements were set aside, and what that means; no value is quoted.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.remarks: list[str] = []

    def values(self, name: str) -> tuple[Any, ...]:
        """The values of an element, none where it is absent or empty.

        Raises:
            OddElementError: it cannot be parsed.
        """
        try:
            for place in self._places():
                if name in place:
                    return _as_tuple(place[name].value)
        except Exception:
            # pydicom converts a value when it is asked for; what it raises may quote the value.
            raise OddElementError(name) from None
        return ()

    def numbers(self, name: str) -> tuple[float, ...]:
        """As `values`, all of them finite numbers; `OddElementError` for others."""
        try:
            numbers = tuple(float(value) for value in self.values(name))
        except (TypeError, ValueError, OverflowError):
            raise OddElementError(name) from None
        if not np.isfinite(numbers).all():
            raise OddElementError(name)
        return numbers

    def whole(self, name: str) -> int | None:
        """One whole number; None where there is none.

        Raises:
            Refusal: several numbers, or something else.
        """
        try:
            numbers = self.numbers(name)
            if len(numbers) > 1 or any(number != int(number) for number in numbers):
                raise OddElementError(name)
        except OddElementError:
            raise Refusal(f"a DICOM file whose {name} is not one whole number") from None
        return int(numbers[0]) if numbers else None

    def word(self, name: str) -> str:
        """A code in capitals; empty where there is none, `?` for what is no code."""
        try:
            values = self.values(name)
        except OddElementError:
            return "?"
        if not values:
            return ""
        return values[0].strip().upper() if len(values) == 1 and isinstance(values[0], str) else "?"

    def items(self, name: str) -> list[Dataset]:
        """The items of a sequence, none where it is absent or no sequence."""
        try:
            return [item for item in self.values(name) if isinstance(item, Dataset)]
        except OddElementError:
            return []

    def set_aside(self, remark: str) -> None:
        """Remember what was not used."""
        if remark not in self.remarks:
            self.remarks.append(remark)

    def _places(self) -> Iterator[Dataset]:
        yield self.dataset
        for group in _GROUPS:
            if group not in self.dataset or not (frames := _as_tuple(self.dataset[group].value)):
                continue
            for macro in _MACROS:
                if macro in frames[0] and (found := _as_tuple(frames[0][macro].value)):
                    yield found[0]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None or (isinstance(value, str | bytes) and not value):
        return ()
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__") or isinstance(value, Dataset):
        return (value,)
    return tuple(one for one in value if one is not None and one != "")


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are those of a DICOM file."""
    return data[PREFIX_AT : PREFIX_AT + len(PREFIX)] == PREFIX


def parsed(data: bytes, max_pixels: int) -> tuple[Header, UID]:
    """The wanted elements and the transfer syntax.

    Raises:
        Refusal: not a DICOM file that can be read, or one whose coding is not of the standard.
    """
    try:
        syntax, start = _transfer_syntax(data)
        if syntax == DeflatedExplicitVRLittleEndian and _inflates_beyond(data[start:], 2 * max_pixels + HEADER_BYTES):
            raise Refusal("a DICOM file that inflates to more than the largest film that is read")
        if syntax and (syntax.is_private or not syntax.is_transfer_syntax):
            raise Refusal("a DICOM file whose transfer syntax is private or not one of the standard: export it anew")
        dataset = pydicom.dcmread(BytesIO(data), specific_tags=list(WANTED))
        header = Header(dataset)
        if not syntax:
            header.set_aside("the file does not name its transfer syntax, which was inferred from its bytes")
            syntax = _native_syntax(dataset)
        return header, syntax
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(f"not a DICOM file that can be read (broken or cut off: {type(error).__name__})") from None


def _native_syntax(dataset: Dataset) -> UID:
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise Refusal("a DICOM file of compressed pixels that does not name its transfer syntax: export it anew")
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


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
