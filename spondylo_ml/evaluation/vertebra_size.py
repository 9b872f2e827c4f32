"""The size of a vertebra on its film in px, from the corners that are labelled."""

from __future__ import annotations

import numpy as np

from spondylo_ml.landmarks import FloatArray

_WIDTHS = ((0, 1), (2, 3))  # superior and inferior edge
_HEIGHTS = ((0, 2), (1, 3))  # left and right wall


def width_px(corners_xy: FloatArray) -> FloatArray:
    """(...) mean length of the superior and inferior edges of (..., 4, 2) corners; NaN if neither has both corners.

    The body's depth on a lateral film, its width on an AP film.
    """
    return _mean_length(corners_xy, _WIDTHS)


def height_px(corners_xy: FloatArray) -> FloatArray:
    """(...) mean length of the left and right walls; NaN if neither has both corners, as on an S1 with two corners."""
    return _mean_length(corners_xy, _HEIGHTS)


def shorter_side_px(corners_xy: FloatArray) -> FloatArray:
    """(...) the smaller of width and height, ignoring NaN; NaN if both are."""
    return np.asarray(np.fmin(width_px(corners_xy), height_px(corners_xy)))


def scale_px(corners_xy: FloatArray) -> FloatArray:
    """(...) root of width times height: the side of a square with about the area of the body. An S1 with two corners
    has only a width, which then stands alone."""
    width, height = width_px(corners_xy), height_px(corners_xy)
    only_one = np.fmax(width, height)
    return np.where(np.isnan(width * height), only_one, np.sqrt(width * height))


def _mean_length(corners_xy: FloatArray, edges: tuple[tuple[int, int], ...]) -> FloatArray:
    lengths = np.stack([np.linalg.norm(corners_xy[..., a, :] - corners_xy[..., b, :], axis=-1) for a, b in edges])
    finite_mask = ~np.isnan(lengths)
    count = finite_mask.sum(axis=0)
    total = np.where(finite_mask, lengths, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
