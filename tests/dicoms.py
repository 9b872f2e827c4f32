"""DICOM files with known pixels, and files with identifiers planted in every text field."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]
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
"""A value for each value representation that may hold a name, a place or a date."""

PLANTED_WORDS = ("ZEBULON", "QUIXWORTH", "QUIX4711", "19370209", "101112.4711")

PATIENT = {
    "PatientName": "Müller^Änne",
    "PatientID": "PID-1",
    "PatientBirthDate": "19501231",
    "PatientSex": "F",
    "StudyDate": "20200131",
    "StudyTime": "101500",
    "ReferringPhysicianName": "Weiß^A",
    "StudyID": "S1",
    "AccessionNumber": "ACC1",
}


def dataset(pixels: NDArray[Any], bits: int = 12, **fields: Any) -> Dataset:
    """A digital radiograph with these pixels; `fields` are set by keyword, None removes one."""
    signed = pixels.dtype.kind == "i"
    result = Dataset()
    result.SOPClassUID, result.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.1.1"), generate_uid()
    result.Modality, result.PhotometricInterpretation, result.SamplesPerPixel = "DX", "MONOCHROME2", 1
    result.Rows, result.Columns = pixels.shape
    result.BitsAllocated, result.BitsStored, result.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    result.PixelRepresentation = int(signed)
    result.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(result, name)
        else:
            setattr(result, name, value)
    return result


def file_bytes(source: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set as the bytes of a file; its pixels must be encoded by `syntax`."""
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = syntax
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    if syntax.is_compressed and "PixelData" in source and syntax.is_encapsulated:
        source["PixelData"].is_undefined_length = True
    stream = BytesIO()
    source.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(pixels: NDArray[Any], bits: int = 12, **fields: Any) -> bytes:
    """The bytes of an uncompressed file of `dataset`."""
    return file_bytes(dataset(pixels, bits, **fields))


def with_identifiers(target: Dataset) -> Dataset:
    """Plant a value in every optional field of the data set that takes text, a date or a UID."""
    for tag, (vr, multiplicity, _, retired, keyword) in DicomDictionary.items():
        may_be_planted = (
            keyword and keyword not in WANTED and keyword not in target and not retired and multiplicity == "1"
        )
        if may_be_planted and vr in PLANTED and 0x0008 <= tag >> 16 < 0x5000 and keyword != "SpecificCharacterSet":
            setattr(target, keyword, PLANTED[vr])
    target.SOPInstanceUID = UID(PLANTED["UI"])
    block = target.private_block(0x0011, "QUIXWORTH", create=True)
    block.add_new(0x01, "PN", PLANTED["PN"])
    item = Dataset()
    item.ReferencedSOPInstanceUID, item.PatientName = PLANTED["UI"], PLANTED["PN"]
    target.ReferencedImageSequence = [item]
    return target


def gradient(size_hw: tuple[int, int] = (32, 48), top: int = 4095) -> NDArray[np.uint16]:
    """Levels from 0 to `top` across the film."""
    row = np.linspace(0, top, size_hw[1]).round().astype(np.uint16)
    return np.tile(row, (size_hw[0], 1))


def to_8_bit(levels: NDArray[Any]) -> GreyImage:
    """The levels as the readers of files convert them, without remarks."""
    return spread_levels(levels)[0]


def study_film(pixels: NDArray[Any], planted: bool = False, **fields: Any) -> Dataset:
    """A DICOM film of a patient; with `planted`, all other elements hold identifiers."""
    film = dataset(pixels)
    if planted:
        film = with_identifiers(film)
        assert film.InstitutionName == PLANTED["LO"]
    film.SpecificCharacterSet = "ISO_IR 100"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(film, name, generate_uid())
    for name, value in (PATIENT | {"PatientOrientation": ["A", "F"], "BurnedInAnnotation": "NO"} | fields).items():
        if value is not None:
            setattr(film, name, value)
        elif name in film:
            delattr(film, name)
    return film


def write(film: Dataset, folder: Path) -> Path:
    path = folder / f"{film.SOPInstanceUID}.dcm"
    path.write_bytes(file_bytes(film))
    return path
