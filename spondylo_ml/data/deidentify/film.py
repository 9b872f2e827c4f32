"""De-identify the film in a DICOM file: a new header, and its pixels, decoded and written without compression."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from spondylo_ml.data.deidentify.burned_in_text import Box, darkest, outermost, text_boxes
from spondylo_ml.data.deidentify.elements import READ
from spondylo_ml.data.deidentify.header import MASKED, new_header
from spondylo_ml.data.deidentify.stored_views import all_levels, clipped_levels
from spondylo_ml.data.dicom import decode_dicom
from spondylo_ml.data.dicom.film import or_file_error
from spondylo_ml.data.dicom.header import Header, Refusal, parse_header
from spondylo_ml.data.dicom.stored import Layout, layout_of, stored_levels
from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.data.film_pixels import LIMITS, FilmLimits, film_in
from spondylo_ml.landmarks import GreyImage

TEXT_NOT_FOUND = "its header says that text is burnt into its pixels, and none was found: mask it by hand"
TEXT_LEFT = "its header says that text is burnt into its pixels: what was masked may not be all of it"
TEXT_FOUND = "letters are burnt into its pixels, at {} place(s)"
LOOKS_DIFFERENT = "it would look different without the elements that are removed"


@dataclass(frozen=True)
class DeidentifiedFilm:
    """A de-identified film.

    Attributes:
        data: the bytes of its DICOM file.
        uid: its new SOP instance UID.
        patient: pseudonym of its patient.
        masked: places that were masked, px.
        remarks: elements that could not be kept, and other remarks; they quote no value.
    """

    data: bytes
    uid: str
    patient: str
    masked: tuple[Box, ...]
    remarks: tuple[str, ...]


def deidentify_film(
    data: bytes, file: str, mask: bool = True, alias: str = "a film", limits: FilmLimits = LIMITS
) -> DeidentifiedFilm:
    """De-identify the bytes of a DICOM file, and mask letters at its margins, as it is shown and among all its levels.

    Args:
        mask: False refuses a film with letters instead.

    Raises:
        FileError: not a radiograph that can be read and de-identified, or one with text that is not to be masked or was
            not found.
    """
    shown = film_in(data, file, alias, limits)
    return or_file_error(lambda: _deidentified(data, shown, mask, limits), file, alias)


def _deidentified(data: bytes, shown: FilmContent, mask: bool, limits: FilmLimits) -> DeidentifiedFilm:
    header, syntax = parse_header(data, limits.max_pixels, READ)
    levels, layout, outside = stored_levels(header, syntax, layout_of(header, limits.max_pixels))
    target = new_header(header, layout)
    every_level = all_levels(levels, outside)
    stored = _stored(levels, outside, target, layout)
    boxes = outermost([*text_boxes(shown.pixels), *text_boxes(every_level)])
    if boxes and not mask:
        raise Refusal(TEXT_FOUND.format(len(boxes)))
    if header.word("BurnedInAnnotation") == "YES":
        if not boxes:
            raise Refusal(TEXT_NOT_FOUND)
        header.add_remark(TEXT_LEFT)
    _add_pixels(target, stored, layout, header)
    _require_same_film(_file(target), shown, limits)
    if boxes:
        at = darkest(shown.pixels)
        for box in boxes:
            stored[box.rows, box.columns] = stored[at]
        target.PixelData = stored.tobytes()
        target.DeidentificationMethod = [*target.DeidentificationMethod, MASKED]
    return DeidentifiedFilm(
        _file(target), str(target.SOPInstanceUID), str(target.PatientID), tuple(boxes), tuple(header.remarks)
    )


def hidden_views(data: bytes, file: str, shown: GreyImage, limits: FilmLimits = LIMITS) -> list[GreyImage]:
    """What other windows show of the film in the bytes of a DICOM file: (H, W) grey images, all levels first."""
    header, syntax = parse_header(data, limits.max_pixels)
    levels, _, outside = stored_levels(header, syntax, layout_of(header, limits.max_pixels))
    return [all_levels(levels, outside), *clipped_levels(levels, outside, shown)]


def _stored(levels: NDArray[np.int32], outside: NDArray[np.bool_], target: Dataset, layout: Layout) -> NDArray[Any]:
    """(H, W) levels in the low bits of each pixel; padding beyond the range of levels has the stated value."""
    containers = levels & ((1 << layout.allocated) - 1)
    if outside.any():
        containers[outside] = int(target.PixelPaddingValue) & ((1 << layout.allocated) - 1)
    return np.asarray(containers.astype("u1" if layout.allocated == 8 else "<u2"))


def _add_pixels(target: Dataset, stored: NDArray[Any], layout: Layout, header: Header) -> None:
    target.SamplesPerPixel, target.PhotometricInterpretation = 1, header.word("PhotometricInterpretation")
    target.Rows, target.Columns = layout.size_hw
    target.BitsAllocated, target.BitsStored, target.HighBit = layout.allocated, layout.stored, layout.stored - 1
    target.PixelRepresentation = int(layout.signed)
    target.PixelData = stored.tobytes()
    target["PixelData"].VR = "OB" if layout.allocated == 8 else "OW"


def _file(target: Dataset) -> bytes:
    target.file_meta = FileMetaDataset()
    target.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    target.file_meta.MediaStorageSOPClassUID = UID(target.SOPClassUID)
    target.file_meta.MediaStorageSOPInstanceUID = UID(target.SOPInstanceUID)
    stream = BytesIO()
    target.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _require_same_film(data: bytes, shown: FilmContent, limits: FilmLimits) -> None:
    """Raise `Refusal` unless the file, before it is masked, shows the film that was read."""
    after = decode_dicom(data, "the new file", limits.max_pixels)
    same = np.array_equal(after.pixels, shown.pixels) and after.pixel_aspect == shown.pixel_aspect
    if not same or after.spacing != shown.spacing:
        raise Refusal(LOOKS_DIFFERENT)
