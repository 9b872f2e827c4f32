"""Checks on the four corners of a vertebra, before anyone trusts them."""

from __future__ import annotations

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import OUTLINE, FloatArray

_NEXT = [1, 2, 3, 0]  # np.roll does the same, several times slower, which thousands of films feel


def turns(corners_xy: FloatArray) -> FloatArray:
    """(4,) cross products along the outline of (4, 2) corners; all positive for a convex body, y pointing down."""
    outline = corners_xy[list(OUTLINE)]
    edges = outline[_NEXT] - outline
    following = edges[_NEXT]
    return np.asarray(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0])


def signed_area_px2(corners_xy: FloatArray) -> float:
    """Shoelace area of the outline, px²; negative where left and right are exchanged."""
    x, y = corners_xy[list(OUTLINE)].T
    return float(0.5 * np.sum(x * y[_NEXT] - x[_NEXT] * y))


def fault(corners_xy: FloatArray, toward_head_xy: FloatArray) -> str | None:
    """Why (4, 2) corners are no vertebral body, or None.

    `toward_head_xy` is a vector from this vertebra to its upper neighbour, or from its lower neighbour to it.
    """
    if np.sum(turns(corners_xy) > 0) == 2:
        return "its outline crosses itself"
    area = signed_area_px2(corners_xy)
    if abs(area) < 1.0:
        return "its corners lie on a line"
    if (corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)) @ toward_head_xy <= 0:
        return "its superior edge is not the one nearer the head"
    if area < 0:
        return "its left and right corners are exchanged"
    return None


def toward_head(centres_xy: FloatArray) -> FloatArray:
    """(V, 2) vectors along the spine at each of the (V, 2) centres, which are ordered from the sacrum up."""
    if len(centres_xy) < 2:
        return np.tile([0.0, -1.0], (len(centres_xy), 1))  # alone on its film, the head can only be taken as up
    steps = np.diff(centres_xy, axis=0)
    return np.concatenate([steps, steps[-1:]])


def require_inside(corners_xy: FloatArray, size_hw: tuple[int, int], tolerance: float = 0.1) -> None:
    """Raise `DataError` where a corner lies further outside than `tolerance` of the film's side."""
    height, width = size_hw
    margin = tolerance * max(size_hw)
    x, y = corners_xy[..., 0], corners_xy[..., 1]
    outside = (x < -margin) | (x > width - 1 + margin) | (y < -margin) | (y > height - 1 + margin)
    if outside.any():
        far = np.asarray(corners_xy)[outside][0]
        raise DataError(f"a corner at ({far[0]:.0f}, {far[1]:.0f}) px lies far outside the film of {width} x {height}")
