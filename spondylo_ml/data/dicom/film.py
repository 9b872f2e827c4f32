"""The film in a DICOM file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydicom.uid import UID

from spondylo_ml.data.dicom.header import Header, OddElementError, Refusal, parsed
from spondylo_ml.data.dicom.shown import shown
from spondylo_ml.data.dicom.spacing import pixel_size
from spondylo_ml.data.dicom.stored import layout_of, stored_levels
from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.errors import FileError

Found = TypeVar("Found")

RADIOGRAPHS = ("CR", "DX", "RF", "XA", "RG", "SC", "OT", "")
MODALITIES = (
    "CT", "MR", "MG", "US", "NM", "PT", "PX", "IO", "BMD", "ECG", "ES", "XC", "GM", "SM", "OP", "OPT", "OCT", "IVUS",
    "RTIMAGE", "RTDOSE", "SEG", "SR", "PR", "KO", "HC", "TG", "DG", "LS", "MS", "BI", "CD", "DD", "EC", "FA", "ST",
)  # fmt: skip
"""Other codes of PS3.3 C.7.3.1.1.1, which may be quoted."""


def decode_dicom(data: bytes, file: str, max_pixels: int, alias: str = "a film") -> FilmContent:
    """The film in the bytes of a DICOM file.

    Args:
        max_pixels: a larger film is refused before anything is decoded.

    Raises:
        FileError: no single grey radiograph that can be read here; says what it is, or which plugin is missing.
    """
    return _or_refused(lambda: _film(*parsed(data, max_pixels), max_pixels), file, alias)


def dicom_size_hw(data: bytes, file: str, max_pixels: int, alias: str = "a film") -> tuple[int, int]:
    """(H, W) of the film as the header says; raises `FileError` as `decode_dicom` does, as far as the header shows."""
    return _or_refused(lambda: layout_of(parsed(data, max_pixels)[0], max_pixels).size_hw, file, alias)


def _or_refused(read: Callable[[], Found], file: str, alias: str) -> Found:
    try:
        return read()
    except Refusal as refusal:
        raise FileError(file, str(refusal), alias=alias) from None
    except Exception as error:
        # A file may hold anything; the words of an error may quote it.
        raise FileError(file, f"a DICOM file that cannot be read ({type(error).__name__})", alias=alias) from None


def lacks_preamble(data: bytes) -> bool:
    """Whether the bytes look like a DICOM data set without the 128 bytes and `DICM` before it."""
    group, value_representation = data[:2], data[4:6]
    return group in (b"\x02\0", b"\x08\0") and value_representation in (b"UL", b"UI", b"CS", b"DA", b"OB", b"SH")


def _film(header: Header, syntax: UID, max_pixels: int) -> FilmContent:
    layout = layout_of(header, max_pixels)
    levels, layout, outside = stored_levels(header, syntax, layout)
    grey = shown(levels, layout, header, outside)
    spacing, aspect = pixel_size(header)
    return FilmContent(grey, spacing, aspect, (*_notes(header), *header.remarks), _patient(header))


def _patient(header: Header) -> str:
    try:
        return " ".join(str(value).strip() for value in header.values("PatientID"))
    except OddElementError:
        return ""


def _notes(header: Header) -> list[str]:
    notes = []
    modality = header.word("Modality")
    if modality not in RADIOGRAPHS:
        shown = repr(modality) if modality in MODALITIES else "not one of the standard"
        notes.append(f"the file's modality is {shown}: the model knows radiographs alone")
    if header.word("PresentationIntentType") == "FOR PROCESSING":
        notes.append("the file holds raw detector levels (FOR PROCESSING): the model knows films as they are shown")
    if header.word("BurnedInAnnotation") == "YES":
        notes.append("the file says that text is burnt into its pixels: pictures of the film may name the patient")
    return notes
