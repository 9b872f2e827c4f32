"""Corners of Cascade Net, averaged over the film and its mirror image.

N films, V levels, C channels, g x g cells of the grid over a body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spondylo_ml.models.corner_grids import grid_shares, mirrored_grids
from spondylo_ml.models.oriented_boxes import mirrored_boxes

CornerLogits = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]


class View(NamedTuple):
    """What the network sees on films, or on mirrored ones.

    Attributes:
        corner_logits: of the network: from features, (N, V, 5) boxes and the images' size to (N V, 4, g, g).
        features: (N, C, h, w).
    """

    corner_logits: CornerLogits
    features: Tensor
    mirrored: bool

    def corner_shares(self, boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """(N V, 4, g, g) distributions of the corners on (N, V, 5) boxes of the films, which are not mirrored."""
        if not self.mirrored:
            return grid_shares(self.corner_logits(self.features, boxes, size_hw))
        logits = self.corner_logits(self.features, mirrored_boxes(boxes, size_hw[1]), size_hw)
        return mirrored_grids(grid_shares(logits))


def mean_corner_shares(views: Sequence[View], boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N V, 4, g, g) distributions of the corners, averaged over the views."""
    return torch.stack([view.corner_shares(boxes, size_hw) for view in views]).mean(dim=0)
