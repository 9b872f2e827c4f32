"""Encode corners as heatmaps and decode them, on one grid.

Shapes: N films, K corners, H x W cells. A cell is `stride` input px wide; integer coordinates are cell centres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_FLOOR = 1e-20
SOFT_ARGMAX_WINDOW = 5  # cells on each side


@dataclass(frozen=True)
class HeatmapCodec:
    """Encodes corners as Gaussian heatmaps and decodes heatmaps to corners.

    Attributes:
        sigma_cells: standard deviation of the target, cells.
        stride: input px per cell.
        decoder: `argmax`, `soft_argmax` (in a window around the peak), or `dark`.
        blur_kernel: size of DARK's smoothing kernel, cells; 0 for none.
    """

    sigma_cells: float
    stride: int = 1
    decoder: Literal["dark", "argmax", "soft_argmax"] = "dark"
    blur_kernel: int = 11

    def encode(self, corners_xy: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """(N, K, 2) input px to (N, K, H, W) Gaussians of height 1; all zero where a corner is NaN."""
        cells = self._to_cells(corners_xy)
        # The exponent of a Gaussian separates into rows and columns: two vectors instead of a grid of distances.
        columns = self._profile(cells[..., 0], size_hw[1])
        rows = self._profile(cells[..., 1], size_hw[0])
        return rows[..., :, None] * columns[..., None, :]

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, H, W) non-negative maps to (N, K, 2) input px and (N, K) heights of the peaks."""
        maps = heatmaps.float()
        return self.refine(maps, highest_cells(maps))

    def refine(self, maps: Tensor, peak_xy: Tensor) -> tuple[Tensor, Tensor]:
        """Like `decode`, with the (N, K, 2) cells of the peaks given."""
        score = maps.flatten(2).gather(2, (peak_xy[..., 1] * maps.shape[3] + peak_xy[..., 0])[..., None])[..., 0]
        if self.decoder == "soft_argmax":
            cells = _soft_argmax(maps, peak_xy, max(SOFT_ARGMAX_WINDOW, math.ceil(3 * self.sigma_cells)))
        elif self.decoder == "dark":
            cells = _dark(maps, peak_xy, self.blur_kernel)
        else:
            cells = peak_xy.to(maps.dtype)
        return (cells + 0.5) * self.stride - 0.5, score

    def mean_points(self, log_weights: Tensor) -> Tensor:
        """Mean over all cells, weighted by the softmax of (N, K, H, W), as (N, K, 2) input px; differentiable.

        Sun et al., Integral Human Pose Regression (ECCV 2018).
        """
        height, width = log_weights.shape[2:]
        weight = log_weights.flatten(2).softmax(dim=2).view_as(log_weights)
        columns = torch.arange(width, dtype=weight.dtype, device=weight.device)
        rows = torch.arange(height, dtype=weight.dtype, device=weight.device)
        cells = torch.stack([(weight.sum(dim=2) * columns).sum(-1), (weight.sum(dim=3) * rows).sum(-1)], dim=-1)
        return (cells + 0.5) * self.stride - 0.5

    def _to_cells(self, corners_xy: Tensor) -> Tensor:
        return (corners_xy + 0.5) / self.stride - 0.5

    def _profile(self, centre: Tensor, size: int) -> Tensor:
        cells = torch.arange(size, dtype=torch.float32, device=centre.device)
        profile = torch.exp(-((cells - centre[..., None]) ** 2) / (2 * self.sigma_cells**2))
        return torch.nan_to_num(profile, nan=0.0)


def highest_cells(maps: Tensor) -> Tensor:
    """(N, K, 2) cell of the highest value of each (N, K, H, W) map."""
    flat, width = maps.flatten(2).argmax(dim=2), maps.shape[3]
    return torch.stack([flat % width, flat // width], dim=-1)


def _soft_argmax(maps: Tensor, peak_xy: Tensor, window: int) -> Tensor:
    """Centre of mass in a window around the peak.

    The window shrinks at the border so that it stays symmetric about the peak; otherwise the mean is biased inward.
    """
    height, width = maps.shape[2:]
    size = torch.tensor([width - 1, height - 1], device=maps.device)
    reach = torch.minimum(peak_xy, size - peak_xy).clamp(max=window)
    means = []
    for axis, count in ((0, width), (1, height)):
        profile = maps.sum(dim=2 if axis == 0 else 3)
        cells = torch.arange(count, device=maps.device)
        distance = (cells - peak_xy[..., axis, None]).abs()
        weight = torch.where(distance <= reach[..., axis, None], profile, 0.0)
        means.append((weight * cells).sum(-1) / weight.sum(-1).clamp_min(LOG_FLOOR))
    return torch.stack(means, dim=-1)


def _dark(maps: Tensor, peak_xy: Tensor, blur_kernel: int) -> Tensor:
    """Second-order Taylor step on the logarithm of the smoothed map, from its peak.

    Zhang et al., Distribution-Aware Coordinate Representation for Human Pose Estimation (CVPR 2020). Smoothing is
    left out within a kernel's reach of the border, where it would move the peak inward. At the border itself the
    derivatives are taken one cell further in, since the logarithm of a Gaussian is a parabola everywhere.
    """
    height, width = maps.shape[2:]
    if min(height, width) < 3:
        return peak_xy.to(maps.dtype)
    limit = torch.tensor([width - 2, height - 2], device=maps.device)
    centre = torch.minimum(peak_xy.clamp(min=1), limit)
    patch = _patches(maps, centre)
    if blur_kernel:
        reach = blur_kernel // 2 + 1
        far = torch.minimum(peak_xy, limit + 1 - peak_xy).amin(dim=-1) >= reach
        patch = torch.where(far[..., None, None], _patches(_blur(maps, blur_kernel), centre), patch)
    log = patch.clamp_min(LOG_FLOOR).log()
    step = centre + _newton_step(log) - peak_xy
    return peak_xy + step.clamp(-0.5, 0.5)


def _newton_step(log: Tensor) -> Tensor:
    """(N, K, 2) offset of the maximum of the parabola through (N, K, 3, 3) log values; 0 if it has none."""
    dx = (log[..., 1, 2] - log[..., 1, 0]) / 2
    dy = (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] - 2 * log[..., 1, 1] + log[..., 1, 0]
    dyy = log[..., 2, 1] - 2 * log[..., 1, 1] + log[..., 0, 1]
    dxy = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    determinant = dxx * dyy - dxy**2
    has_maximum = (determinant > 1e-12) & (dxx < 0)
    safe = torch.where(has_maximum, determinant, torch.ones_like(determinant))
    offset = torch.stack([(dxy * dy - dyy * dx) / safe, (dxy * dx - dxx * dy) / safe], dim=-1)
    return torch.where(has_maximum[..., None], offset, torch.zeros_like(offset))


def _patches(maps: Tensor, centre_xy: Tensor) -> Tensor:
    """(N, K, 3, 3) values around each centre, which lies at least one cell inside."""
    width = maps.shape[3]
    near = torch.arange(-1, 2, device=maps.device)
    rows = centre_xy[..., 1, None, None] + near[:, None]
    columns = centre_xy[..., 0, None, None] + near[None, :]
    flat = (rows * width + columns).flatten(2)
    return maps.flatten(2).gather(2, flat).reshape(*maps.shape[:2], 3, 3)


def _blur(maps: Tensor, kernel: int) -> Tensor:
    """Gaussian smoothing, with the standard deviation that OpenCV uses for the kernel size."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    cells = torch.arange(kernel, dtype=maps.dtype, device=maps.device) - kernel // 2
    profile = torch.exp(-(cells**2) / (2 * sigma**2))
    profile = profile / profile.sum()
    flat = maps.flatten(0, 1)[:, None]
    flat = F.conv2d(flat, profile.view(1, 1, -1, 1), padding=(kernel // 2, 0))
    flat = F.conv2d(flat, profile.view(1, 1, 1, -1), padding=(0, kernel // 2))
    return flat.view_as(maps)
