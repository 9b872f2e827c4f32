"""The size of a pixel in a DICOM file, and who says so."""

from __future__ import annotations

from spondylo_ml.data.dicom.header import Header, OddElementError
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Spacing

CALIBRATED = ("GEOMETRY", "FIDUCIAL")
NAMES = ("PixelSpacing", "ImagerPixelSpacing")
"""In the order in which they count."""


def pixel_size(header: Header) -> tuple[Spacing | None, float]:
    """Spacing with its provenance, and the width of a pixel over its height: 1 where nothing says otherwise."""
    at_detector = _row_column(header, "ImagerPixelSpacing")
    for name in NAMES:
        pair = _row_column(header, name)
        if pair is not None:
            spacing = Spacing(x_mm=pair[1], y_mm=pair[0], provenance=_provenance(header, name, pair == at_detector))
            return spacing, spacing.pixel_aspect
    ratio = _row_column(header, "PixelAspectRatio")  # vertical size, horizontal size
    return None, (ratio[1] / ratio[0] if ratio else 1.0)


def _provenance(header: Header, name: str, as_at_detector: bool) -> str:
    """Who says how large a pixel is. PS3.3 10.7.1.3: PixelSpacing that equals ImagerPixelSpacing is not corrected."""
    kind = header.word("PixelSpacingCalibrationType")
    if name != "PixelSpacing":
        return f"DICOM {name}"
    if kind in CALIBRATED:
        return f"DICOM PixelSpacing, calibrated ({kind})"
    return "DICOM PixelSpacing, equal to ImagerPixelSpacing" if as_at_detector else "DICOM PixelSpacing"


def _row_column(header: Header, name: str) -> tuple[float, float] | None:
    """Two positive numbers; None, with a remark, for anything else that is there."""
    try:
        numbers = header.numbers(name)
        if not numbers:
            return None
        down, across = numbers
        Spacing(across, down, name)
    except (OddElementError, ValueError, DataError):
        header.set_aside(f"{name} is not two positive numbers and was not used")
        return None
    return down, across
