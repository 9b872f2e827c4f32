"""What other windows would show of a film: all of its stored levels, and those that its own window clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import GreyImage

LEAST_SHARE = 1 / 16
"""Levels that are clipped to black or to white have a view of their own if they span this share of all levels: noise
alone does not."""


def all_levels(levels: NDArray[np.int32], outside: NDArray[np.bool_]) -> GreyImage:
    """(H, W) stored levels from black to white, from the lowest to the highest that is no padding (`outside`)."""
    inside = levels[~outside]
    return _spread(levels, int(inside.min()), int(inside.max()))


def clipped_levels(levels: NDArray[np.int32], outside: NDArray[np.bool_], shown: GreyImage) -> list[GreyImage]:
    """(H, W) levels that the film as it is shown clips to black, and those that it clips to white, from black to white.

    Args:
        levels: (H, W) stored levels.
        outside: (H, W) mask of padding.
        shown: (H, W) the film as it is shown.
    """
    inside = levels[~outside]
    span = int(inside.max()) - int(inside.min())
    views = []
    for grey in (0, 255):
        clipped = levels[(shown == grey) & ~outside]
        if clipped.size and int(clipped.max()) - int(clipped.min()) > LEAST_SHARE * span:
            views.append(_spread(levels, int(clipped.min()), int(clipped.max())))
    return views


def _spread(levels: NDArray[np.int32], lowest: int, highest: int) -> GreyImage:
    share = (levels.astype(np.float32) - lowest) / max(1, highest - lowest)
    return np.round(255 * share.clip(0, 1)).astype(np.uint8)
