"""The DICOM file of a film as the source of its results: which image, and whose.

Only the elements below are read. They identify the image, its study and its patient, and an archive needs them to file
an object in the study; nothing else of the header, such as devices, persons or descriptions, reaches a result.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import UID

from spondylo_ml.data.film_pixels import is_dicom_file
from spondylo_ml.errors import DataError

IMAGE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
"""UIDs without which no object can refer to the image."""

CONTEXT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip
"""Elements of patient and study that every object must have; one that is absent from the film is empty."""

OF_THE_PIXELS = (
    "Rows", "Columns", "PatientOrientation", "BurnedInAnnotation", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
"""Elements that also hold for a picture of the film."""

UTF_8 = "ISO_IR 192"


def read_source(path: Path, size_hw: tuple[int, int]) -> Dataset:
    """The elements of `IMAGE`, `CONTEXT` and `OF_THE_PIXELS`, as text in UTF-8.

    Args:
        size_hw: of the film that was read, px.

    Raises:
        DataError: no DICOM file, one without the UIDs of `IMAGE`, or another film. The message quotes no value.
    """
    if not is_dicom_file(path):
        raise DataError("no DICOM file: it belongs to no study")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote invalid values
            return _source(path, size_hw)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"its DICOM header cannot be read ({type(error).__name__})") from None


def _source(path: Path, size_hw: tuple[int, int]) -> Dataset:
    header = dcmread(
        path, specific_tags=[*IMAGE, *CONTEXT, *OF_THE_PIXELS, "SpecificCharacterSet"], stop_before_pixels=True
    )
    invalid = [name for name in IMAGE if not UID(str(header.get(name, ""))).is_valid]
    if invalid:
        raise DataError(f"its DICOM header has no valid {', '.join(invalid)}: no object can refer to it")
    if (header.get("Rows"), header.get("Columns")) != size_hw:
        raise DataError("its DICOM file is no longer the one that was read: it has another size")
    source = Dataset()
    source.SpecificCharacterSet = UTF_8
    for name in (*IMAGE, *OF_THE_PIXELS):
        if header.get(name) not in (None, ""):
            setattr(source, name, header[name].value)
    for name in CONTEXT:
        value = header.get(name)
        setattr(
            source,
            name,
            "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value),
        )
    return source
