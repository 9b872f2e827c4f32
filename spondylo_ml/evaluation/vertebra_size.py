"""How large a vertebra is on its film, in px, from whatever corners are known of it."""

from __future__ import annotations

import numpy as np

from spondylo_ml.landmarks import FloatArray

_WIDTHS = ((0, 1), (2, 3))  # superior and inferior edge
_HEIGHTS = ((0, 2), (1, 3))  # left and right wall


def width_px(corners_xy: FloatArray) -> FloatArray:
    """(...) mean length of the known superior and inferior edges of (..., 4, 2) corners; NaN where none is known.

    The body's depth on a lateral film, its width on an AP film.
    """
    return _mean_length(corners_xy, _WIDTHS)


def height_px(corners_xy: FloatArray) -> FloatArray:
    """(...) mean length of the known left and right walls; NaN where none is known, as on an S1 of two corners."""
    return _mean_length(corners_xy, _HEIGHTS)


def shorter_side_px(corners_xy: FloatArray) -> FloatArray:
    """(...) the smaller of width and height, of those that are known; NaN where neither is."""
    return np.asarray(np.fmin(width_px(corners_xy), height_px(corners_xy)))


def scale_px(corners_xy: FloatArray) -> FloatArray:
    """(...) root of width times height, the side of a square of about the body's area; what is known of an S1 of two
    corners is its width, which then stands alone."""
    width, height = width_px(corners_xy), height_px(corners_xy)
    only_one = np.fmax(width, height)
    return np.where(np.isnan(width * height), only_one, np.sqrt(width * height))


def _mean_length(corners_xy: FloatArray, edges: tuple[tuple[int, int], ...]) -> FloatArray:
    lengths = np.stack([np.linalg.norm(corners_xy[..., a, :] - corners_xy[..., b, :], axis=-1) for a, b in edges])
    known = ~np.isnan(lengths)
    count = known.sum(axis=0)
    total = np.where(known, lengths, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
