"""Vertebral bodies as oriented boxes, and square grids laid over them.

A box is (..., 5): centre x and y in px, logarithms of width and height in px, and tilt, the angle of the direction
from left to right, in radians, positive clockwise on the image. In the frame of a box, x and y are -1 and 1 at the ends
of the grid that is sampled around it, which is larger than the body: corners of a body lie near the middle of each
quarter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

REACH_WIDTHS, REACH_HEIGHTS = 0.9, 1.1
"""Half the side of the grid around a box, in widths and heights of the body: neighbouring endplates are inside."""

LEAST_SIDE_PX = 1.0

JITTER_SIDES, JITTER_LOG_SIZE, JITTER_TILT_RAD = 0.1, 0.12, 0.12
"""Standard deviations by which boxes are moved in training: of the centre in sides of the body, of size and tilt."""


def boxes_of_bodies(corners_xy: Tensor) -> Tensor:
    """(..., 4, 2) corners to (..., 5) boxes; NaN where a corner is.

    Width and tilt are those of the mean of both endplates, the height that of the mean of both walls.
    """
    across = (corners_xy[..., 1, :] + corners_xy[..., 3, :] - corners_xy[..., 0, :] - corners_xy[..., 2, :]) / 2
    down = (corners_xy[..., 2, :] + corners_xy[..., 3, :] - corners_xy[..., 0, :] - corners_xy[..., 1, :]) / 2
    log_width, log_height = (side.norm(dim=-1).clamp_min(LEAST_SIDE_PX).log() for side in (across, down))
    tilt = torch.atan2(across[..., 1], across[..., 0])
    centre = corners_xy.mean(dim=-2)
    return torch.stack([centre[..., 0], centre[..., 1], log_width, log_height, tilt], dim=-1)


def bodies_of_boxes(boxes: Tensor) -> Tensor:
    """(..., 5) boxes to (..., 4, 2) corners of rectangles, in the order of all corners."""
    corner = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], device=boxes.device, dtype=boxes.dtype)
    return to_px(boxes, corner.expand(*boxes.shape[:-1], 4, 2) / _reach(boxes))


def to_px(boxes: Tensor, points: Tensor) -> Tensor:
    """(..., P, 2) points in the frames of (..., 5) boxes to px."""
    local = points * _half_sides(boxes)[..., None, :]
    x, y = local.unbind(-1)
    cos, sin = boxes[..., 4, None].cos(), boxes[..., 4, None].sin()
    return boxes[..., None, :2] + torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1)


def to_frame(boxes: Tensor, points_xy: Tensor) -> Tensor:
    """(..., P, 2) px to points in the frames of (..., 5) boxes; the inverse of `to_px`."""
    x, y = (points_xy - boxes[..., None, :2]).unbind(-1)
    cos, sin = boxes[..., 4, None].cos(), boxes[..., 4, None].sin()
    return torch.stack([x * cos + y * sin, y * cos - x * sin], dim=-1) / _half_sides(boxes)[..., None, :]


def covariance_to_px(boxes: Tensor, covariance: Tensor) -> Tensor:
    """(..., P, 2, 2) covariances in the frames of (..., 5) boxes to squared px."""
    cos, sin = boxes[..., 4].cos(), boxes[..., 4].sin()
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    matrix = (turn * _half_sides(boxes)[..., None, :])[..., None, :, :]
    return matrix @ covariance @ matrix.transpose(-1, -2)


def jittered_boxes(boxes: Tensor) -> Tensor:
    """(..., 5) boxes moved, resized and turned at random by torch's generator."""
    noise = torch.randn_like(boxes)
    centre = boxes[..., :2] + JITTER_SIDES * noise[..., :2] * boxes[..., 2:4].mean(dim=-1, keepdim=True).exp()
    size = boxes[..., 2:4] + JITTER_LOG_SIZE * noise[..., 2:4]
    return torch.cat([centre, size, boxes[..., 4:] + JITTER_TILT_RAD * noise[..., 4:]], dim=-1)


def mirrored_boxes(boxes: Tensor, width_px: int) -> Tensor:
    """The boxes of the same bodies on the mirrored image."""
    mirrored = boxes.clone()
    mirrored[..., 0] = width_px - 1 - boxes[..., 0]
    mirrored[..., 4] = -boxes[..., 4]
    return mirrored


def grid_points(cells: int, device: torch.device) -> Tensor:
    """(cells, cells, 2) x and y, from -1 to 1, of the cells of a grid."""
    line = torch.linspace(-1, 1, cells, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)


def sample_boxes(features: Tensor, boxes: Tensor, cells: int, size_hw: tuple[int, int]) -> Tensor:
    """Features of (N, C, h, w) under the grids of (N, V, 5) boxes: (N V, C, cells, cells); 0 outside the image.

    Args:
        size_hw: (H, W) of the image in px, whose pixel centres have integer coordinates.
    """
    points = grid_points(cells, boxes.device).flatten(0, 1).expand(*boxes.shape[:2], -1, 2)
    height, width = size_hw
    size = torch.tensor([width, height], device=boxes.device, dtype=boxes.dtype)
    place = (to_px(boxes, points) + 0.5) / size * 2 - 1
    sampled = F.grid_sample(features.float(), place, align_corners=False)
    count, channels, n_boxes, _ = sampled.shape
    return sampled.transpose(1, 2).reshape(count * n_boxes, channels, cells, cells)


def _half_sides(boxes: Tensor) -> Tensor:
    """(..., 2) half the sides of the grid of a box, px."""
    return boxes[..., 2:4].exp() * _reach(boxes)


def _reach(boxes: Tensor) -> Tensor:
    return torch.tensor([REACH_WIDTHS, REACH_HEIGHTS], device=boxes.device, dtype=boxes.dtype)
