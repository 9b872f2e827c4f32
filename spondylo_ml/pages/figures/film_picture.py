"""The picture of a film report: the film as a PNG, and shapes drawn over it in px of the picture.

The film is not redacted: text burned into it beside the spine is in the picture too.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelMeasurement
from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.errors import DataError
from spondylo_ml.film_report.report import FilmReport, ReportedBody
from spondylo_ml.landmarks import OUTLINE, Facing, FloatArray, GreyImage
from spondylo_ml.pages.body_names import short_name

LONGEST_SIDE_PX = 1200
MINUS = "\N{MINUS SIGN}"
MARGIN_BODIES_XY = (2.0, 1.0)
"""Margin around the corners, in depths of a vertebral body; leaves room for text beside the spine."""
REGION_PERCENT = 90
"""Calibrated probability that a corner lies within its ellipse, if its vertebra is read on its own body."""
SLIP_TEXT_BODIES = 0.85
"""Width of the number of a slip, in depths of a body."""

SHORTEST_ARROW_PERCENT = 2.0  # a shorter arrow has no room for its head


@dataclass(frozen=True)
class Shape:
    """One SVG shape.

    Attributes:
        kind: outline, plate, corner, ellipse, arrow, drop, text, "slip start" or "slip end"; selects its style.
        points: (x, y) in px of the picture.
        text: the text itself, or the tooltip of another shape.
        grade: grade of the slip that the shape shows, if any.
        radii_px, angle_deg: longer and shorter half axis of an ellipse, and the turn of the longer one from the x axis
            towards the y axis.
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    text: str = ""
    grade: int | None = None
    radii_px: tuple[float, float] = (0.0, 0.0)
    angle_deg: float = 0.0


@dataclass(frozen=True)
class FilmPicture:
    """The picture of a report.

    Attributes:
        png_base64: the film around the corners, with stretched contrast and square pixels if the pixel aspect is known.
        size_wh: width and height of the picture in px.
        body_px: median depth of a vertebral body in the picture; scales line widths and letters.
        shapes: in drawing order.
    """

    png_base64: str
    size_wh: tuple[int, int]
    body_px: float
    shapes: tuple[Shape, ...]


def film_picture(
    report: FilmReport, pixels: GreyImage, regions_px2: Mapping[int, FloatArray] | None = None
) -> FilmPicture:
    """The film with its corners, endplates and slips.

    Args:
        regions_px2: (4, 2, 2) by slot: each corner lies with a probability of `REGION_PERCENT` at a distance d from its
            place with d' M^-1 d <= 1, in px of the film; NaN where that is unknown.

    Raises:
        DataError: the pixels do not have the size of the report's film.
    """
    if pixels.shape != report.size_hw_px:
        raise DataError(f"the report is of a film of {report.size_hw_px} px (height, width); given {pixels.shape}")
    left, top, right, bottom = _window(report)
    aspect = report.measurement.pixel_aspect or 1.0
    scale = min(1.0, LONGEST_SIDE_PX / max(bottom - top, (right - left) * aspect))
    to_picture = np.array([scale * aspect, scale])
    size = (max(1, round((right - left) * to_picture[0])), max(1, round((bottom - top) * to_picture[1])))
    stretched = stretch_contrast(pixels)[top:bottom, left:right]
    picture = cv2.resize(stretched, size, interpolation=cv2.INTER_AREA)
    bodies = {body.slot: (_corners(body) + 0.5 - (left, top)) * to_picture for body in report.corners}
    body_px = _median_depth(list(bodies.values()), size)
    shapes = [*_shapes(report, bodies), *_ellipses(bodies, regions_px2 or {}, to_picture)]
    gutters = _gutters_px(shapes, size[0], SLIP_TEXT_BODIES * body_px)
    picture = np.pad(picture, ((0, 0), gutters))
    success, png = cv2.imencode(".png", picture)
    if not success:
        raise DataError(f"a film of {pixels.shape} px cannot be written as PNG")
    return FilmPicture(
        png_base64=base64.b64encode(png.tobytes()).decode("ascii"),
        size_wh=(picture.shape[1], picture.shape[0]),
        body_px=body_px,
        shapes=tuple(replace(shape, points=tuple((x + gutters[0], y) for x, y in shape.points)) for shape in shapes),
    )


def _gutters_px(shapes: Sequence[Shape], width_px: int, text_px: float) -> tuple[int, int]:
    """Width of black margins left and right of the film: what the numbers of slips need if it ends beside the spine."""
    to_the_left = [text_px - shape.points[0][0] for shape in shapes if shape.kind == "slip end"]
    to_the_right = [shape.points[0][0] + text_px - width_px for shape in shapes if shape.kind == "slip start"]
    return math.ceil(max([0.0, *to_the_left])), math.ceil(max([0.0, *to_the_right]))


def _window(report: FilmReport) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the film around the corners; the whole film if there are none."""
    height, width = report.size_hw_px
    bodies = [_corners(body) for body in report.corners]
    points = np.concatenate([*bodies, np.empty((0, 2))])
    points = points[~np.isnan(points[:, 0])]
    if len(points) == 0:
        return 0, 0, width, height
    margin = _median_depth(bodies, (width, height)) * np.array(MARGIN_BODIES_XY)
    low, high = np.floor(points.min(axis=0) - margin), np.ceil(points.max(axis=0) + margin) + 1
    left, top = (int(v) for v in np.clip(low, 0, [width - 1, height - 1]))
    right, bottom = (int(v) for v in np.clip(high, [left + 1, top + 1], [width, height]))
    return left, top, right, bottom


def _corners(body: ReportedBody) -> FloatArray:
    """(4, 2) corners in px of the film, NaN if absent."""
    return np.array([(np.nan, np.nan) if xy is None else xy for xy in body.corners_px])


def _median_depth(bodies: Sequence[FloatArray], size_wh: tuple[int, int]) -> float:
    depths = [np.linalg.norm(b[1] - b[0]) for b in bodies if not np.isnan(b[:2]).any()]
    return float(np.median(depths)) if depths else min(size_wh) / 8


def _shapes(report: FilmReport, bodies: dict[int, FloatArray]) -> list[Shape]:
    shapes: list[Shape] = []
    for body in report.corners:
        corners = bodies[body.slot]
        shapes += [Shape("outline", _points(corners[[a, b]])) for a, b in _edges() if _all_present(corners[[a, b]])]
        for name, ends in (("superior", corners[:2]), ("inferior", corners[2:])):
            if _all_present(ends):
                shapes.append(Shape("plate", _points(ends), f"{body.name}, {name} endplate"))
    for level in report.measurement.levels:
        if not level.slip.reason:
            shapes += _slip(level, bodies, report.measurement)
    for body in report.corners:
        corners = bodies[body.slot]
        shapes += [Shape("corner", _points(xy[None]), body.name) for xy in corners if _all_present(xy)]
        if _all_present(corners[:2]):
            shapes.append(Shape("text", _points(np.nanmean(corners, axis=0)[None]), short_name(body.name)))
    return shapes


def _ellipses(
    bodies: Mapping[int, FloatArray], regions_px2: Mapping[int, FloatArray], to_picture: FloatArray
) -> list[Shape]:
    shapes = []
    for slot, corners in bodies.items():
        for xy, region in zip(corners, regions_px2.get(slot, np.full((4, 2, 2), np.nan)), strict=True):
            if np.isnan(xy).any() or np.isnan(region).any():
                continue
            values, vectors = np.linalg.eigh(region * np.outer(to_picture, to_picture))
            radii = np.sqrt(np.maximum(values[::-1], 0.0))
            angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))) % 180.0
            shapes.append(
                Shape(
                    "ellipse",
                    _points(xy[None]),
                    f"on its body, the corner lies in the ellipse with {REGION_PERCENT} % probability",
                    radii_px=(round(float(radii[0]), 2), round(float(radii[1]), 2)),
                    angle_deg=round(angle, 1),
                )
            )
    return shapes


ENDPLATE = "endplate"
"""The method of the slips that are drawn: along the lower superior endplate."""


def _slip(level: LevelMeasurement, bodies: dict[int, FloatArray], measured: FilmMeasurement) -> list[Shape]:
    """The slip along the lower endplate from its posterior end, and the projection of the upper corner onto it.

    A slip by the posterior wall has its label alone.
    """
    front, back = (0, 1) if measured.facing == Facing.LEFT else (1, 0)
    lower, corner = bodies[level.lower_slot], bodies[level.upper_slot][2 + back]
    plate = lower[front] - lower[back]
    foot = lower[back] + plate * float((corner - lower[back]) @ plate) / float(plate @ plate)
    slip = rounded_beside(level.slip.value, 1, slip_limits_percent(measured.rules), "+").replace("-", MINUS)
    label = f"{level.name}: {slip} %, {level.grade_name}"
    along_endplate = level.slip_method == ENDPLATE  # the wall's normal is another direction
    shapes = [Shape("drop", _points(np.stack([corner, foot])), label, level.grade)] if along_endplate else []
    if along_endplate and np.linalg.norm(foot - lower[back]) * 100 >= SHORTEST_ARROW_PERCENT * np.linalg.norm(plate):
        shapes.append(Shape("arrow", _points(np.stack([lower[back], foot])), label, level.grade))
    beside = lower[back] - 0.16 * plate
    shapes.append(Shape(f"slip {'end' if plate[0] > 0 else 'start'}", _points(beside[None]), label, level.grade))
    return shapes


def _edges() -> list[tuple[int, int]]:
    return list(zip(OUTLINE, (*OUTLINE[1:], OUTLINE[0]), strict=True))


def _all_present(points: FloatArray) -> bool:
    return not np.isnan(points).any()


def _points(points: FloatArray) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 2), round(float(y), 2)) for x, y in points)
