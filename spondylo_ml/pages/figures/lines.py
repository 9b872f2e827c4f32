"""Outlines, dashes and arrows on pictures of films, with dark edges, so that they are seen on bright films too."""

from __future__ import annotations

import cv2
import numpy as np

from spondylo_ml.landmarks import OUTLINE, FloatArray
from spondylo_ml.pages.figures.labels import Picture, Rgb

SUBPIXEL_BITS = 4  # OpenCV draws at fractions of a pixel if given their number of bits
EDGE_RGB, EDGE_PX = (0, 0, 0), 3
DASH_PX, GAP_PX = 7.0, 4.0


def draw_edge(picture: Picture, corners_xy: FloatArray, scale: float) -> None:
    """Draw the dark edge of a vertebra's outline; first of all, since it would hide other outlines."""
    _draw_sides(picture, corners_xy, scale, EDGE_RGB, EDGE_PX, dashed=False)


def draw_outline(picture: Picture, corners_xy: FloatArray, scale: float, rgb: Rgb, dashed: bool = False) -> None:
    """Draw the outline and the corners of a vertebra, without absent ones; corners are in px of the film."""
    _draw_sides(picture, corners_xy, scale, rgb, 1, dashed)


def _draw_sides(picture: Picture, corners_xy: FloatArray, scale: float, rgb: Rgb, width_px: int, dashed: bool) -> None:
    points = (corners_xy + 0.5) * scale - 0.5
    present = ~np.isnan(points[:, 0])
    for a, b in zip(OUTLINE, (*OUTLINE[1:], OUTLINE[0]), strict=True):
        if present[a] and present[b]:
            for start, end in _dashes(points[a], points[b]) if dashed else [(points[a], points[b])]:
                cv2.line(picture, _fixed(start), _fixed(end), rgb, width_px, cv2.LINE_AA, SUBPIXEL_BITS)
    radius = (2 + width_px // 2) * 2**SUBPIXEL_BITS
    for corner in np.flatnonzero(present):
        cv2.circle(picture, _fixed(points[corner]), radius, rgb, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def draw_arrow(picture: Picture, start_xy: FloatArray, end_xy: FloatArray, rgb: Rgb) -> None:
    """Draw an arrow between two points of the picture."""
    length = max(1.0, float(np.linalg.norm(end_xy - start_xy)))
    start, end = (tuple(int(v) for v in np.round(xy)) for xy in (start_xy, end_xy))
    for colour, width in ((EDGE_RGB, 4), (rgb, 2)):
        cv2.arrowedLine(picture, start, end, colour, width, cv2.LINE_AA, tipLength=min(0.4, 10 / length))


def draw_dashes(picture: Picture, start_xy: FloatArray, end_xy: FloatArray, rgb: Rgb) -> None:
    """Draw a dashed line between two points of the picture."""
    for start, end in _dashes(start_xy, end_xy):
        cv2.line(picture, _fixed(start), _fixed(end), rgb, 2, cv2.LINE_AA, SUBPIXEL_BITS)


def _dashes(start_xy: FloatArray, end_xy: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """The dashes of a line; it starts and ends with one."""
    length = float(np.linalg.norm(end_xy - start_xy))
    count = max(1, round((length + GAP_PX) / (DASH_PX + GAP_PX)))
    step = (end_xy - start_xy) / max(length, 1e-9)
    gap = GAP_PX if count > 1 else 0.0
    dash = (length - gap * (count - 1)) / count
    starts = [start_xy + step * i * (dash + gap) for i in range(count)]
    return [(one, one + step * dash) for one in starts]


def _fixed(point_xy: FloatArray) -> list[int]:
    return [int(v) for v in np.round(point_xy * 2**SUBPIXEL_BITS)]
