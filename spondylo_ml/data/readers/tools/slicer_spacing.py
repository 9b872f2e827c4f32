"""The mm per px with which 3D Slicer shows a film.

Slicer reads files with ITK, which takes the resolution of JPEG and TIFF files as the spacing, ImagerPixelSpacing of
DICOM radiographs and PixelSpacing of other DICOM images, and 1 mm per px where a file states nothing. It ignores EXIF
orientation, which this project applies.
"""

from __future__ import annotations

from pathlib import Path

import pydicom
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from spondylo_ml.data.film_pixels import is_dicom_file
from spondylo_ml.errors import FileError

UNIT_MM = {1: 25.4, 2: 10.0}
"""Length of JFIF's unit of resolution: inch, cm. TIFF's numbers are greater by one."""

_UNITS_TAG, _X_TAG, _Y_TAG = 296, 282, 283
_SPACINGS = ("ImagerPixelSpacing", "PixelSpacing")
_PLACES = ("ImagePositionPatient", "ImageOrientationPatient")
_STATE = "state mm_per_px in mapping.yaml"


def slicer_mm_per_px(path: Path) -> tuple[float, float]:
    """Mm per px in x and y.

    Raises:
        FileError: the file states two spacings, a position in the patient, or an orientation that Slicer ignores.
    """
    if is_dicom_file(path):
        return _dicom(path)
    try:
        with Image.open(path) as image:
            return _image(image, path)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        raise FileError(path.name, "its resolution cannot be read, which 3D Slicer uses: save it as PNG") from None


def _image(image: Image.Image, path: Path) -> tuple[float, float]:
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        raise FileError(
            path.name, "has an EXIF orientation, which 3D Slicer ignores: save it turned, and label it again"
        )
    unit, x, y = 0, 0.0, 0.0
    if isinstance(image, JpegImageFile):
        unit, (x, y) = image.info.get("jfif_unit", 0), image.info.get("jfif_density", (0, 0))
    elif isinstance(image, TiffImageFile):
        unit = int(image.tag_v2.get(_UNITS_TAG, 2)) - 1
        x, y = float(image.tag_v2.get(_X_TAG, 0)), float(image.tag_v2.get(_Y_TAG, 0))
    elif isinstance(image, PngImageFile) and b"sCAL" in path.read_bytes()[:1024]:
        raise FileError(path.name, f"has a physical scale (sCAL), which 3D Slicer uses: {_STATE}")
    if unit not in UNIT_MM or min(x, y) <= 0:
        return 1.0, 1.0
    return UNIT_MM[unit] / x, UNIT_MM[unit] / y


def _dicom(path: Path) -> tuple[float, float]:
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_SPACINGS, *_PLACES], force=True)
    if any(header.get(name) for name in _PLACES):
        raise FileError(
            path.name, "3D Slicer places this film in the patient's coordinates: save it as PNG, and label that"
        )
    stated = {(float(value[1]), float(value[0])) for name in _SPACINGS if (value := header.get(name))}
    if len(stated) > 1:
        raise FileError(path.name, f"PixelSpacing and ImagerPixelSpacing differ, and 3D Slicer used one: {_STATE}")
    return stated.pop() if stated else (1.0, 1.0)
