"""Corners found on the boxes of bodies, also on a reduced film: repeated on their own boxes, and mapped back.

N films, V levels, g x g cells of the grid over a body. Pixel centres have integer coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from spondylo_ml.models.corner_grids import decode_grids
from spondylo_ml.models.oriented_boxes import boxes_of_bodies, covariance_to_px, to_px


class FoundCorners(NamedTuple):
    """Corners of all levels.

    Attributes:
        corners_xy: (N, V, 4, 2) px.
        covariance_px2: (N, V, 4, 2, 2).
        share: (N, V, 4) share of each corner's distribution that lies near it.
    """

    corners_xy: Tensor
    covariance_px2: Tensor
    share: Tensor


def found_on_boxes(shares: Callable[[Tensor], Tensor], boxes: Tensor, passes: int) -> FoundCorners:
    """Find corners on boxes, then on the boxes of these corners, and so on.

    Args:
        shares: the distributions (N V, 4, g, g) of the corners over the grids of (N, V, 5) boxes.
    """
    shape = boxes.shape[:2]
    for _ in range(passes):
        grids = decode_grids(shares(boxes))
        corners = to_px(boxes, grids.points.view(*shape, 4, 2))
        covariance = covariance_to_px(boxes, grids.covariance.view(*shape, 4, 2, 2))
        boxes = boxes_of_bodies(corners)
    return FoundCorners(corners, covariance, grids.share.view(*shape, 4))


def enlarged(found: FoundCorners, factor: int) -> FoundCorners:
    """Corners on a reduced image as those on the image."""
    return found._replace(
        corners_xy=from_reduced(found.corners_xy, factor), covariance_px2=found.covariance_px2 * factor**2
    )


def to_reduced(points_xy: Tensor, factor: int) -> Tensor:
    """Points on an image, px, on that image reduced by a factor; pixel centres have integer coordinates."""
    return (points_xy + 0.5) / factor - 0.5


def from_reduced(points_xy: Tensor, factor: int) -> Tensor:
    """The inverse of `to_reduced`."""
    return (points_xy + 0.5) * factor - 0.5
