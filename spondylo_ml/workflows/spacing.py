"""`spacing`: the pixel spacing of a film by a known length, a ruler or its DICOM file, without torch and MLflow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spondylo_ml.clinical.measured_spacing import MeasuredSpacing, spacing_from_length, spacing_from_ruler
from spondylo_ml.clinical.scale import ASPECT_TOLERANCE
from spondylo_ml.config import SpacingConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.film_pixels import read_film
from spondylo_ml.spacing import Spacing

BODY_MM = 35.0
"""Depth of a lumbar vertebral body that illustrates the uncertainty."""

AT_DETECTOR = (
    "not calibrated: it holds at the detector; at the spine, which is magnified, a pixel is smaller. Give a known "
    "length in the plane of the spine to measure it"
)


def measure_spacing(config: SpacingConfig) -> str:
    """Measure the spacing by the points, read that of the file, and compare the two.

    Raises:
        DataError: the points cannot be those of the object.
        FileError: the film cannot be read.
    """
    lines: list[str] = []
    measured = _measured(config)
    if measured is not None:
        lines += _about_measured(measured)
    if config.film is not None:
        content = read_film(expanded(config.film))
        lines += _about_file(content.spacing)
        if measured is not None and content.spacing is not None:
            lines.append(_compared(measured, content.spacing))
    return "\n".join(lines)


def _measured(config: SpacingConfig) -> MeasuredSpacing | None:
    if not config.points:
        return None
    points = np.array(config.points).reshape(-1, 2)
    errors = config.length_error_mm, config.point_error_px
    low, high = config.magnification
    if config.length_mm is not None:
        return spacing_from_length(points, config.length_mm, *errors, config.pixel_aspect, (low, high))
    assert config.mark_mm is not None
    return spacing_from_ruler(points, config.mark_mm, *errors, config.pixel_aspect, (low, high))


def _about_measured(one: MeasuredSpacing) -> Iterator[str]:
    spacing = one.spacing
    parts = ", ".join(f"{name} {percent:.2g} %" for name, percent in one.parts_percent.items())
    yield f"spacing       {one.y_mm:.4g} mm, 95 % interval [{one.low_mm:.4g}, {one.high_mm:.4g}], by {one.method}"
    yield f"uncertainty   {one.percent:.2g} %: {parts}"
    yield (
        f"it means      a body of {BODY_MM:g} mm is measured to within {BODY_MM * one.percent / 100:.2g} mm; slips in "
        "percent and grades do not depend on it"
    )
    in_table = f"spacing_x_mm {spacing.x_mm:.4g} and spacing_y_mm {spacing.y_mm:.4g} in films.csv"
    square = spacing.x_mm == spacing.y_mm  # as predict takes pixels with --spacing_mm
    yield f"to use it     {f'predict --spacing_mm {spacing.y_mm:.4g}, or ' if square else ''}{in_table}"


def _about_file(spacing: Spacing | None) -> Iterator[str]:
    if spacing is None:
        yield "file          states no pixel spacing"
        return
    calibrated = "calibrated" in spacing.provenance
    yield f"file          {spacing.x_mm:.4g} x {spacing.y_mm:.4g} mm (width x height), {spacing.provenance}"
    yield f"              {'calibrated, by how much it may be wrong it does not state' if calibrated else AT_DETECTOR}"


def _compared(one: MeasuredSpacing, spacing: Spacing) -> str:
    aspect = spacing.pixel_aspect
    if abs(aspect / one.spacing.pixel_aspect - 1) > ASPECT_TOLERANCE:
        return (
            f"comparison    by the file a pixel is {aspect:.4g} times as wide as it is high, here it was taken for "
            f"{one.spacing.pixel_aspect:.4g}: measure again with --pixel_aspect {aspect:.4g}"
        )
    difference = 100 * (spacing.y_mm - one.y_mm) / one.y_mm
    agree = one.low_mm <= spacing.y_mm <= one.high_mm
    verdict = "the two agree" if agree else "the two disagree: check the points, the length and the plane of the object"
    return f"comparison    the file's spacing is {difference:+.1f} % from the measured one; {verdict}"
