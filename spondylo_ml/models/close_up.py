"""Corners of each body from the pixels under it, at the full resolution of the input.

A grid is laid over the box of a body, the film sampled on it, and the patch brought to mean 0 and standard deviation 1.
A small network with skip connections, the same for all bodies, gives each corner a distribution over the cells of a
grid of half the samples. It sees one body and the endplates next to it, not the line of the spine, so that nothing
draws a slipped body back into that line.

N films, V levels, M bodies, s samples and g = s / 2 cells along each side of a grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from spondylo_ml.models.convolutions import doubled, merging
from spondylo_ml.models.corner_grids import corner_cross_entropy, grid_shares, mirrored_grids
from spondylo_ml.models.oriented_boxes import grid_points, jittered_boxes, mirrored_boxes, sample_boxes, to_frame

WIDTHS = (24, 32, 48, 64)  # at s, s / 2, s / 4 and s / 8 samples
LEAST_CONTRAST = 4.0
"""Grey levels added to the standard deviation of a patch: an empty one stays empty instead of becoming noise."""


class CloseUp(nn.Module):
    """Corners of bodies whose boxes are known roughly."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        full, half, quarter, eighth = WIDTHS
        self.enter = Conv2dNormActivation(3, full)
        self.to_half = _down(full, half)
        self.to_quarter = _down(half, quarter)
        self.to_eighth = _down(quarter, eighth)
        self.up_quarter = merging(eighth + quarter, quarter)
        self.up_half = merging(quarter + half, half)
        self.corners = nn.Conv2d(half, 4, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """(M, 1, s, s) patches to (M, 4, g, g) logits."""
        place = grid_points(self.samples, patches.device).permute(2, 0, 1).expand(len(patches), -1, -1, -1)
        x = torch.cat([patches, place], dim=1).contiguous(memory_format=torch.channels_last)
        half = self.to_half(self.enter(x))
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        quarter = self.up_quarter(torch.cat([quarter, doubled(eighth)], dim=1))
        logits: Tensor = self.corners(self.up_half(torch.cat([half, doubled(quarter)], dim=1)))
        return logits

    def loss(self, images: Tensor, boxes: Tensor, corners_xy: Tensor, complete: Tensor, sigma_cells: float) -> Tensor:
        """Cross entropy of the corners of the complete bodies, whose boxes are moved at random in training.

        Args:
            images: (N, 1, H, W) grey levels.
            boxes: (N, V, 5) true boxes, px of the images; NaN where not complete.
            corners_xy: (N, V, 4, 2) px of the images.
            complete: (N, V) whether all corners of a body are known.
        """
        around = jittered_boxes(boxes.nan_to_num()) if self.training else boxes.nan_to_num()
        chosen = complete.flatten()
        if not chosen.any():
            return 0 * self.corners.weight.sum()
        patches = self.patches(images, around)[chosen]
        return corner_cross_entropy(self(patches), to_frame(around, corners_xy)[complete], sigma_cells)

    def patches(self, images: Tensor, boxes: Tensor) -> Tensor:
        """(N V, 1, s, s) patches of (N, 1, H, W) images under (N, V, 5) boxes, each of mean 0 and unit contrast."""
        sampled = sample_boxes(images.float(), boxes, self.samples, (images.shape[2], images.shape[3]))
        spread, mean = torch.std_mean(sampled, dim=(1, 2, 3), keepdim=True)
        return (sampled - mean) / (spread + LEAST_CONTRAST)

    def shares(self, images: Tensor, boxes: Tensor, flip_average: bool) -> Tensor:
        """(N V, 4, g, g) distributions of the corners, averaged with those on the mirrored film if asked for."""
        shares = grid_shares(self(self.patches(images, boxes)))
        if not flip_average:
            return shares
        other = grid_shares(self(self.patches(images.flip(3), mirrored_boxes(boxes, images.shape[3]))))
        return (shares + mirrored_grids(other)) / 2


def _down(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(Conv2dNormActivation(channels, width, stride=2), Conv2dNormActivation(width, width))
