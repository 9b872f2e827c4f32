"""Pixel spacing of a DICOM file and its provenance."""

from __future__ import annotations

from spondylo_ml.data.dicom.header import Header, OddElementError
from spondylo_ml.errors import DataError
from spondylo_ml.spacing import Spacing

CALIBRATED = ("GEOMETRY", "FIDUCIAL")
NAMES = ("PixelSpacing", "ImagerPixelSpacing")
"""In order of precedence."""

SAME_SHAPE = 0.01
"""Tolerated relative difference of two pixel aspects."""


def pixel_size(header: Header) -> tuple[Spacing | None, float]:
    """Spacing with its provenance, or None; and the pixel aspect (width over height), 1 by default."""
    at_detector = _row_column(header, "ImagerPixelSpacing")
    for name in NAMES:
        pair = _row_column(header, name)
        if pair is not None:
            spacing = Spacing(x_mm=pair[1], y_mm=pair[0], provenance=_provenance(header, name, pair == at_detector))
            _remark_on_other_shapes(header, name, spacing.pixel_aspect)
            return spacing, spacing.pixel_aspect
    return None, _aspect_by(header, "PixelAspectRatio") or 1.0


def _remark_on_other_shapes(header: Header, used: str, aspect: float) -> None:
    """Say which other elements state another shape of a pixel than the one that is used."""
    others = [name for name in (*NAMES, "PixelAspectRatio") if name != used]
    aspects = {name: other for name in others if (other := _aspect_by(header, name)) is not None}
    if differ := [name for name, other in aspects.items() if abs(other / aspect - 1) > SAME_SHAPE]:
        header.add_remark(f"another shape of a pixel than {used}, which is used, is stated by {' and '.join(differ)}")


def _aspect_by(header: Header, name: str) -> float | None:
    """Width of a pixel over its height, by an element of a vertical and a horizontal size; None if there is none."""
    pair = _row_column(header, name)
    return None if pair is None else pair[1] / pair[0]


def _provenance(header: Header, name: str, as_at_detector: bool) -> str:
    """Source of the spacing. By PS3.3 10.7.1.3, PixelSpacing equal to ImagerPixelSpacing is not calibrated."""
    kind = header.word("PixelSpacingCalibrationType")
    if name != "PixelSpacing":
        return f"DICOM {name}"
    if kind in CALIBRATED:
        return f"DICOM PixelSpacing, calibrated ({kind})"
    return "DICOM PixelSpacing, equal to ImagerPixelSpacing" if as_at_detector else "DICOM PixelSpacing"


def _row_column(header: Header, name: str) -> tuple[float, float] | None:
    """Two positive numbers; None if the element is absent, and None with a remark if it is invalid."""
    try:
        numbers = header.numbers(name)
        if not numbers:
            return None
        down, across = numbers
        Spacing(across, down, name)
    except (OddElementError, ValueError, DataError):
        header.add_remark(f"{name} is not two positive numbers and was not used")
        return None
    return down, across
