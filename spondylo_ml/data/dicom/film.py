"""Read the film in a DICOM file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydicom.uid import UID

from spondylo_ml.data.dicom.display import display_levels
from spondylo_ml.data.dicom.header import Header, OddElementError, Refusal, parse_header
from spondylo_ml.data.dicom.spacing import pixel_size
from spondylo_ml.data.dicom.stored import layout_of, stored_levels
from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.errors import FileError

Result = TypeVar("Result")

RADIOGRAPHS = ("CR", "DX", "RF", "XA", "RG", "SC", "OT", "")
MODALITIES = (
    "CT", "MR", "MG", "US", "NM", "PT", "PX", "IO", "BMD", "ECG", "ES", "XC", "GM", "SM", "OP", "OPT", "OCT", "IVUS",
    "RTIMAGE", "RTDOSE", "SEG", "SR", "PR", "KO", "HC", "TG", "DG", "LS", "MS", "BI", "CD", "DD", "EC", "FA", "ST",
)  # fmt: skip
"""Other codes of PS3.3 C.7.3.1.1.1, which a message may quote."""


def decode_dicom(data: bytes, file: str, max_pixels: int, alias: str = "a film") -> FilmContent:
    """Read the film in the bytes of a DICOM file.

    Args:
        file: name of the file, for messages.
        max_pixels: a larger film is rejected before anything is decoded.
        alias: name of the file in runs.

    Raises:
        FileError: not a single grey radiograph that can be read. The message says what it is, or which plugin is
            missing.
    """
    return or_file_error(lambda: _film(*parse_header(data, max_pixels), max_pixels), file, alias)


def dicom_size_hw(data: bytes, file: str, max_pixels: int, alias: str = "a film") -> tuple[int, int]:
    """(H, W) of the film from the header alone; raises as `decode_dicom`, as far as the header shows it."""
    return or_file_error(lambda: layout_of(parse_header(data, max_pixels)[0], max_pixels).size_hw, file, alias)


def or_file_error(read: Callable[[], Result], file: str, alias: str) -> Result:
    """What `read` returns; a refusal or any other error of it is a `FileError` that quotes no value of the file."""
    try:
        return read()
    except Refusal as refusal:
        raise FileError(file, str(refusal), alias=alias) from None
    except Exception as error:
        # A library's message may quote the file, so only its type is kept.
        raise FileError(file, f"a DICOM file that cannot be read ({type(error).__name__})", alias=alias) from None


def lacks_preamble(data: bytes) -> bool:
    """Whether the bytes look like a DICOM data set without the preamble of 128 bytes and `DICM`."""
    group, value_representation = data[:2], data[4:6]
    return group in (b"\x02\0", b"\x08\0") and value_representation in (b"UL", b"UI", b"CS", b"DA", b"OB", b"SH")


def _film(header: Header, syntax: UID, max_pixels: int) -> FilmContent:
    layout = layout_of(header, max_pixels)
    levels, layout, outside = stored_levels(header, syntax, layout)
    grey = display_levels(levels, layout, header, outside)
    spacing, aspect = pixel_size(header)
    return FilmContent(grey, spacing, aspect, (*_notes(header), *header.remarks), patient_of(header))


def patient_of(header: Header) -> str:
    """The PatientID, which may only be used through a pseudonym; empty if there is none."""
    try:
        return " ".join(str(value).strip() for value in header.values("PatientID"))
    except OddElementError:
        return ""


def _notes(header: Header) -> list[str]:
    notes = []
    modality = header.word("Modality")
    if modality not in RADIOGRAPHS:
        quoted = repr(modality) if modality in MODALITIES else "not one of the standard"
        notes.append(f"the file's modality is {quoted}: the model was trained on radiographs only")
    if header.word("PresentationIntentType") == "FOR PROCESSING":
        notes.append("the file has raw detector levels (FOR PROCESSING): the model was trained on processed films")
    if header.word("BurnedInAnnotation") == "YES":
        notes.append("the file has text burnt into its pixels: pictures of the film may name the patient")
    return notes
