"""DICOM files with known pixels, and files with identifiers planted in every text field."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import DicomDictionary
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from spondylo_ml.data.dicom import WANTED
from spondylo_ml.data.grey_levels import spread_levels
from spondylo_ml.landmarks import GreyImage

PLANTED = {
    "PN": "ZEBULON^QUIXWORTH",
    "LO": "QUIXWORTH HOSPITAL",
    "SH": "QUIX4711",
    "LT": "Seen: ZEBULON",
    "ST": "ZEBULON St 1",
    "UT": "ZEBULON was here",
    "UC": "ZEBULON",
    "DA": "19370209",
    "DT": "19370209101112",
    "TM": "101112.4711",
    "UI": "1.2.826.0.1.19370209.4711",
    "AE": "QUIXWORTH",
}
"""A value for each kind of field that may name somebody, some place or some day."""

PLANTED_WORDS = ("ZEBULON", "QUIXWORTH", "QUIX4711", "19370209", "101112.4711")


def dataset(pixels: NDArray[Any], bits: int = 12, **fields: Any) -> Dataset:
    """A digital radiograph with the pixels; further fields by their keywords, None to leave one out."""
    signed = pixels.dtype.kind == "i"
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.1.1"), generate_uid()
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "DX", "MONOCHROME2", 1
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    made.PixelRepresentation = int(signed)
    made.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    return made


def file_bytes(made: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set as the bytes of a file; pixels must be coded as `syntax` says."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    if syntax.is_compressed and "PixelData" in made and syntax.is_encapsulated:
        made["PixelData"].is_undefined_length = True
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(pixels: NDArray[Any], bits: int = 12, **fields: Any) -> bytes:
    """A file of `dataset`, not compressed."""
    return file_bytes(dataset(pixels, bits, **fields))


def with_identifiers(made: Dataset) -> Dataset:
    """The data set with a planted value in every field that takes text, a date or a UID and that is not needed."""
    for tag, (vr, multiplicity, _, retired, keyword) in DicomDictionary.items():
        free = keyword and keyword not in WANTED and keyword not in made and not retired and multiplicity == "1"
        if free and vr in PLANTED and 0x0008 <= tag >> 16 < 0x5000 and keyword != "SpecificCharacterSet":
            setattr(made, keyword, PLANTED[vr])
    made.SOPInstanceUID = UID(PLANTED["UI"])
    block = made.private_block(0x0011, "QUIXWORTH", create=True)
    block.add_new(0x01, "PN", PLANTED["PN"])
    item = Dataset()
    item.ReferencedSOPInstanceUID, item.PatientName = PLANTED["UI"], PLANTED["PN"]
    made.ReferencedImageSequence = [item]
    return made


def gradient(size_hw: tuple[int, int] = (32, 48), top: int = 4095) -> NDArray[np.uint16]:
    """Levels from 0 to `top` across the film."""
    row = np.linspace(0, top, size_hw[1]).round().astype(np.uint16)
    return np.tile(row, (size_hw[0], 1))


def to_8_bit(levels: NDArray[Any]) -> GreyImage:
    """The levels as a reader of files should give them, without its remarks."""
    return spread_levels(levels)[0]
