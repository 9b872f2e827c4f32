"""Corners as distributions over the cells of a grid laid over each body.

Shapes: M bodies, g x g cells. Points are in the frame of the body's box, see `oriented_boxes`: -1 and 1 at the
first and last cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spondylo_ml.landmarks import MIRRORED_CORNERS
from spondylo_ml.models.oriented_boxes import grid_points

WINDOW_CELLS = 3
"""Cells on each side of a peak over which the corner is the centre of mass."""

FLOOR_CELLS = 0.25
"""Standard deviation that is added to every spread: a grid does not resolve less than about a quarter of a cell."""

MASS_FLOOR = 1e-12


class GridCorners(NamedTuple):
    """Corners decoded from grids.

    Attributes:
        points: (M, 4, 2) in the frame of the box.
        covariance: (M, 4, 2, 2) of them, about the corner.
        share: (M, 4) share of the distribution in the window around the peak, 0 to 1.
    """

    points: Tensor
    covariance: Tensor
    share: Tensor


def corner_cross_entropy(logits: Tensor, target: Tensor, sigma_cells: float) -> Tensor:
    """Mean cross entropy between a Gaussian around each corner and the softmax over the cells.

    Args:
        logits: (M, 4, g, g).
        target: (M, 4, 2) in the frame of the box; a corner that is NaN or outside the grid does not count.
    """
    cells = logits.shape[-1]
    inside = (target.abs() <= 1).all(dim=-1)
    place = (target.nan_to_num() + 1) / 2 * (cells - 1)
    line = torch.arange(cells, device=logits.device)
    profile = torch.exp(-((line - place[..., None]) ** 2) / (2 * sigma_cells**2))
    weight = (profile[..., 1, :, None] * profile[..., 0, None, :]).flatten(2)
    weight = weight / weight.sum(dim=2, keepdim=True).clamp_min(MASS_FLOOR)
    log_share = logits.flatten(2).float().log_softmax(dim=2)
    return -((weight * log_share).sum(dim=2) * inside).sum() / inside.sum().clamp(min=1)


def grid_shares(logits: Tensor) -> Tensor:
    """(M, 4, g, g) logits to distributions over the cells."""
    return logits.flatten(2).float().softmax(dim=2).view_as(logits)


def decode_grids(shares: Tensor) -> GridCorners:
    """Corners of (M, 4, g, g) distributions: the centre of mass of the window around the highest cell."""
    cells = shares.shape[-1]
    peak = shares.flatten(2).argmax(dim=2)
    line = torch.arange(cells, device=shares.device)
    near_x = (line - (peak % cells)[..., None]).abs() <= WINDOW_CELLS
    near_y = (line - (peak // cells)[..., None]).abs() <= WINDOW_CELLS
    window = shares * near_y[..., :, None] * near_x[..., None, :]
    mass = window.sum(dim=(2, 3))
    weight = (window / mass.clamp_min(MASS_FLOOR)[..., None, None]).flatten(2)
    grid = grid_points(cells, shares.device).flatten(0, 1)
    points = weight @ grid
    offset = grid - points[..., None, :]
    covariance = torch.einsum("mkc,mkci,mkcj->mkij", weight, offset, offset)
    floor = (FLOOR_CELLS * 2 / (cells - 1)) ** 2
    return GridCorners(points, covariance + floor * torch.eye(2, device=shares.device), mass)


def mirrored_grids(shares: Tensor) -> Tensor:
    """(M, 4, g, g) distributions of mirrored bodies to those of the bodies: left and right exchanged."""
    return shares.flip(3)[:, list(MIRRORED_CORNERS)]
