"""Two films of a level, the second one moved so that its lower vertebra lies on that of the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from spondylo_ml.clinical.alignment import similarity_between
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.landmarks import MIRRORED_CORNERS, OUTLINE, Facing, FloatArray, GreyImage
from spondylo_ml.pages.figures.labels import Picture

BODY_PX = 170
"""Depth of the lower vertebra in the picture."""

MARGIN_BODIES = 0.45
LONGEST_SIDE_PX = 900


@dataclass(frozen=True)
class ShownFilm:
    """A film whose level is shown.

    Attributes:
        bodies_px: (4, 2) corners in px of the film, in the order of `CORNERS`, by slot.
        facing: left or right.
        pixel_aspect: width of a pixel over its height.
    """

    pixels: GreyImage
    bodies_px: Mapping[int, FloatArray]
    facing: Facing
    pixel_aspect: float


@dataclass(frozen=True)
class AlignedPicture:
    """Both films in one frame, that of the first film.

    Attributes:
        before: (H, W, 3) RGB.
        after: (H, W, 3) RGB.
        outlines_before: of each body: its present corners along the outline, px of the picture.
        outlines_after: the same of the second film.
    """

    before: Picture
    after: Picture
    outlines_before: tuple[FloatArray, ...]
    outlines_after: tuple[FloatArray, ...]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.before.shape[1], self.before.shape[0]


def aligned_picture(before: ShownFilm, after: ShownFilm, upper_slot: int, lower_slot: int) -> AlignedPicture:
    """The part of both films around a level, with square pixels, as the first film shows it.

    A second film that faces the other way is mirrored.

    Raises:
        DataError: the lower vertebra has fewer than two corners that both films show.
    """
    square_before = _square(before, False)
    square_after = _square(after, after.facing is not before.facing)
    slots = (lower_slot, upper_slot)
    bodies = [_corners(before, slot, square_before, False) for slot in slots]
    others = [_corners(after, slot, square_after, after.facing is not before.facing) for slot in slots]
    onto = similarity_between(others[0], bodies[0])
    moved = [onto(corners) for corners in others]
    left_top, scale, size_wh = _window(bodies, moved)
    frame = np.array([[scale, 0.0, -scale * left_top[0]], [0.0, scale, -scale * left_top[1]]])
    placed = _chain(frame, onto.matrix)
    return AlignedPicture(
        _warped(before.pixels, _chain(frame, square_before), size_wh),
        _warped(after.pixels, _chain(placed, square_after), size_wh),
        tuple(_outline(corners, frame) for corners in bodies),
        tuple(_outline(corners, frame) for corners in moved),
    )


def _square(film: ShownFilm, mirrored: bool) -> FloatArray:
    """(2, 3) map from px of the film, whose pixel centres have integer coordinates, to square pixels."""
    stretch = -film.pixel_aspect if mirrored else film.pixel_aspect
    return np.array([[stretch, 0.0, stretch / 2], [0.0, 1.0, 0.5]])


def _corners(film: ShownFilm, slot: int, square: FloatArray, mirrored: bool) -> FloatArray:
    corners = film.bodies_px[slot]
    return _apply(square, corners[list(MIRRORED_CORNERS)] if mirrored else corners)


def _window(bodies: list[FloatArray], moved: list[FloatArray]) -> tuple[FloatArray, float, tuple[int, int]]:
    """Left and top in the frame of the bodies, scale to the picture, and width and height of the picture."""
    points = np.concatenate([*bodies, *moved])
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    present = bodies[0][np.isfinite(bodies[0][:, 0])]
    depth = float(np.ptp(present, axis=0).max())
    margin = MARGIN_BODIES * depth
    extent = high - low + 2 * margin
    scale = min(BODY_PX / depth, LONGEST_SIDE_PX / float(extent.max()))
    width, height = np.maximum(1, np.round(extent * scale)).astype(int).tolist()
    return low - margin, scale, (width, height)


def _warped(pixels: GreyImage, matrix: FloatArray, size_wh: tuple[int, int]) -> Picture:
    """The film through a map from px of the film to continuous coordinates of the picture."""
    centred = matrix.copy()
    centred[:, 2] -= 0.5
    grey = cv2.warpAffine(stretch_contrast(pixels), centred, size_wh, flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _outline(corners: FloatArray, frame: FloatArray) -> FloatArray:
    points = _apply(frame, corners)[list(OUTLINE)]
    return np.asarray(points[np.isfinite(points[:, 0])])


def _chain(second: FloatArray, first: FloatArray) -> FloatArray:
    """(2, 3) map of `first`, then `second`."""
    return np.hstack([second[:, :2] @ first[:, :2], (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]])


def _apply(matrix: FloatArray, points: FloatArray) -> FloatArray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])
