"""Uncertainty of a corner from the spread of its heatmap, or from two heatmaps that should agree.

Shapes: N films, K corners, h x w cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spondylo_ml.models.codec import HeatmapCodec

FLOOR_CELLS = 0.25
"""Standard deviation that is added to every spread: heatmaps do not resolve less than about a quarter of a cell."""

MASS_FLOOR = 1e-20

LEAST_SHARE = 0.01
"""A map with less of its heat in the window around a corner has that corner elsewhere."""


class Spread(NamedTuple):
    """Uncertainty of each corner.

    Attributes:
        covariance_px2: (N, K, 2, 2) of x and y, squared px of the input.
        heat_share: (N, K) share of the map's heat in the window around the corner, 0 to 1.
    """

    covariance_px2: Tensor
    heat_share: Tensor


class _Window(NamedTuple):
    """The cells around each corner: weights that sum to 1, offsets from the corner in cells, share of the heat."""

    weight: Tensor  # (N, K, R, R)
    dx: Tensor  # (N, K, 1, R)
    dy: Tensor  # (N, K, R, 1)
    heat_share: Tensor  # (N, K)


def heat_spread(maps: Tensor, corners_xy: Tensor, codec: HeatmapCodec, window_sigmas: float) -> Spread:
    """Second moments of (N, K, h, w) non-negative maps about (N, K, 2) corners in input px.

    Moments are taken about the corner, not about the mean of the map: they estimate how far the corner may be off, also
    for a peak at the border. Cells more than `window_sigmas` standard deviations of the target away in x or y are left
    out, since the heat on a neighbouring vertebra is not the spread of this corner. The moments include the variance of
    the target; calibration corrects for it.
    """
    weight, dx, dy, heat_share = _window(maps, corners_xy, codec, window_sigmas)
    xx, xy, yy = ((weight * product).sum(dim=(2, 3)) for product in (dx * dx, dx * dy, dy * dy))
    return Spread(_covariance_px2(xx, xy, yy, codec), heat_share)


def flip_spread(
    maps: Tensor, mirrored_back_maps: Tensor, corners_xy: Tensor, codec: HeatmapCodec, window_sigmas: float
) -> Spread:
    """Like `heat_spread`, from the distance between the maps of a film and of its mirror image.

    The variance of the mean of two values is a quarter of their squared difference; the values are centres of mass.
    """
    windows = [_window(one, corners_xy, codec, window_sigmas) for one in (maps, mirrored_back_maps)]
    dx, dy = (
        (first - second) / 2 for first, second in zip(*([_mean(w, w.dx), _mean(w, w.dy)] for w in windows), strict=True)
    )
    share = (windows[0].heat_share + windows[1].heat_share) / 2
    # A map without heat there has its corner beyond the window: the two are at least half of it apart.
    apart = torch.minimum(windows[0].heat_share, windows[1].heat_share) < LEAST_SHARE
    least = float(math.ceil(window_sigmas * codec.sigma_cells)) / 2
    xx, yy = (torch.where(apart, torch.full_like(d, least**2), d * d) for d in (dx, dy))
    return Spread(_covariance_px2(xx, torch.where(apart, 0.0, dx * dy), yy, codec), share)


def _window(maps: Tensor, corners_xy: Tensor, codec: HeatmapCodec, window_sigmas: float) -> _Window:
    centre = (corners_xy + 0.5) / codec.stride - 0.5
    reach = math.ceil(window_sigmas * codec.sigma_cells)
    height, width = maps.shape[2:]
    near = torch.arange(-reach, reach + 1, device=maps.device)
    columns, rows = (centre[..., axis, None].round().long() + near for axis in (0, 1))
    inside = ((rows >= 0) & (rows < height))[..., :, None] & ((columns >= 0) & (columns < width))[..., None, :]
    flat = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    heat = maps.flatten(2).gather(2, flat.flatten(2)).view_as(flat) * inside
    mass = heat.sum(dim=(2, 3))
    return _Window(
        weight=heat / mass.clamp_min(MASS_FLOOR)[..., None, None],
        dx=(columns - centre[..., 0, None])[..., None, :],
        dy=(rows - centre[..., 1, None])[..., :, None],
        heat_share=mass / maps.sum(dim=(2, 3)).clamp_min(MASS_FLOOR),
    )


def _mean(window: _Window, offset: Tensor) -> Tensor:
    return (window.weight * offset).sum(dim=(2, 3))


def _covariance_px2(xx: Tensor, xy: Tensor, yy: Tensor, codec: HeatmapCodec) -> Tensor:
    """(N, K, 2, 2) covariances from moments in squared cells, with the floor added."""
    floor = FLOOR_CELLS**2
    matrix = torch.stack([xx + floor, xy, xy, yy + floor], dim=-1) * codec.stride**2
    return matrix.reshape(*xx.shape, 2, 2)
