"""Pixel spacing from points on an object of known length, with its uncertainty.

Uncertainties are standard uncertainties, propagated to first order for independent errors (JCGM 100:2008, 5.1.2); that
of a range is half its width over the square root of 3 (4.3.7). Intervals are 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray
from spondylo_ml.spacing import Spacing

NORMAL_95 = 1.959963984540054
LARGEST_STEP_ERROR = 0.5
"""Largest deviation of a step from the median step of a ruler, and of a mark from its line, as a share of the step."""


@dataclass(frozen=True)
class MeasuredSpacing:
    """Millimetres per pixel with a 95 % interval.

    Attributes:
        y_mm, low_mm, high_mm: height of a pixel and its interval; the width is `pixel_aspect` times as much.
        parts_percent: 95 % uncertainty in percent of the spacing from each cause alone.
        method: how it was measured.
    """

    y_mm: float
    low_mm: float
    high_mm: float
    pixel_aspect: float
    parts_percent: Mapping[str, float]
    method: str

    @property
    def spacing(self) -> Spacing:
        """The spacing without its uncertainty."""
        return Spacing(self.y_mm * self.pixel_aspect, self.y_mm, self.method)

    @property
    def percent(self) -> float:
        """Half the width of the interval, in percent of the spacing."""
        return 50 * (self.high_mm - self.low_mm) / self.y_mm


def spacing_from_length(
    points_xy: FloatArray,
    length_mm: float,
    length_error_mm: float,
    point_error_px: float,
    pixel_aspect: float = 1.0,
    magnification: tuple[float, float] = (1.0, 1.0),
) -> MeasuredSpacing:
    """The spacing by the two ends of an object of known length.

    Args:
        points_xy: (2, 2) px of the film.
        length_error_mm, point_error_px: standard uncertainty of the length, and of a point along the object.
        pixel_aspect: width of a pixel over its height.
        magnification: lowest and highest magnification of the object relative to the spine; 1, 1 in the same plane.

    Raises:
        DataError: the points are closer than a pixel.
    """
    ends = np.asarray(points_xy, dtype=np.float64) * [pixel_aspect, 1.0]
    length_px = float(np.linalg.norm(ends[1] - ends[0]))
    if length_px < 1:
        raise DataError(f"the two points are {length_px:.2g} px apart: give both ends of the object, x1,y1,x2,y2")
    parts = {
        "points": NORMAL_95 * math.sqrt(2) * point_error_px / length_px,
        "length": NORMAL_95 * length_error_mm / length_mm,
    }
    return _measured(length_mm / length_px, parts, pixel_aspect, magnification, f"a length of {length_mm:g} mm")


def spacing_from_ruler(
    points_xy: FloatArray,
    mark_mm: float,
    length_error_mm: float,
    point_error_px: float,
    pixel_aspect: float = 1.0,
    magnification: tuple[float, float] = (1.0, 1.0),
) -> MeasuredSpacing:
    """The spacing by the marks of a ruler: the slope of their places on the ruler's line by least squares.

    The uncertainty of the points is the larger one of what `point_error_px` gives and what the marks' deviations from
    an even ruler give (Student's t, N - 2 degrees of freedom).

    Args:
        points_xy: (N, 2) px of the film, N at least 3, of successive marks.
        mark_mm: distance of two marks.
        length_error_mm: standard uncertainty of the whole length between the first and the last mark.

    Raises:
        DataError: fewer than three marks, or one is so far from its place that a mark is missing or given twice.
    """
    marks = np.asarray(points_xy, dtype=np.float64) * [pixel_aspect, 1.0]
    count = len(marks)
    if count < 3:
        raise DataError(f"{count} mark(s) given: a ruler needs three or more; for one length give length_mm")
    centred = marks - marks.mean(axis=0)
    direction = np.linalg.svd(centred)[2][0]
    places = centred @ direction
    index = np.arange(count) - (count - 1) / 2
    spread = float(index @ index)
    slope = float(places @ index) / spread
    _require_even(places, centred @ np.array([-direction[1], direction[0]]))
    residual = math.sqrt(float(np.sum((places - slope * index) ** 2)) / (count - 2))
    half_px = max(float(t.ppf(0.975, count - 2)) * residual, NORMAL_95 * point_error_px) / math.sqrt(spread)
    parts = {
        "points": half_px / abs(slope),
        "length": NORMAL_95 * length_error_mm / (mark_mm * (count - 1)),
    }
    method = f"{count} marks of a ruler, {mark_mm:g} mm apart"
    return _measured(mark_mm / abs(slope), parts, pixel_aspect, magnification, method)


def _require_even(places_px: FloatArray, beside_px: FloatArray) -> None:
    """Raise `DataError` unless the marks follow each other evenly on a line."""
    steps = np.diff(places_px)
    usual = float(np.median(steps))
    wrong = np.flatnonzero(np.abs(steps - usual) > LARGEST_STEP_ERROR * abs(usual))
    if len(wrong):
        mark = int(wrong[0]) + 1
        raise DataError(
            f"marks {mark} and {mark + 1} are {abs(steps[mark - 1]):.1f} px apart, others {abs(usual):.1f}: give each "
            "mark of the ruler once, in order, without leaving one out"
        )
    if (farthest := float(np.abs(beside_px).max())) > LARGEST_STEP_ERROR * abs(usual):
        raise DataError(f"a mark lies {farthest:.1f} px beside the line of the others: give the marks of one ruler")


def _measured(
    at_object_mm: float,
    parts: dict[str, float],
    pixel_aspect: float,
    magnification: tuple[float, float],
    method: str,
) -> MeasuredSpacing:
    """The spacing in the plane of the spine: an object that is magnified more than the spine makes it too small."""
    low, high = magnification
    middle = (low + high) / 2
    parts = parts | {"magnification": NORMAL_95 * (high - low) / (2 * math.sqrt(3)) / middle}
    y_mm = at_object_mm * middle
    half = y_mm * math.sqrt(sum(part**2 for part in parts.values()))
    percent = {name: 100 * part for name, part in parts.items()}
    return MeasuredSpacing(y_mm, y_mm - half, y_mm + half, pixel_aspect, percent, method)
