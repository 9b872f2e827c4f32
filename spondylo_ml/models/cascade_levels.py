"""Output of the first stage of Cascade Net, which body is which level, and its losses.

N films, V levels, h x w cells of stride 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LEVEL_STRIDE = 8
CENTRE_SIGMA_CELLS = 1.0


class Levels(NamedTuple):
    """Output of stage one.

    Attributes:
        log_share: (N, V, h, w) logarithm of each level's share at each cell.
        log_absent: (N, V) logarithm of its share of "absent"; both sum to 1.
        shapes: (N, 3, h, w) log width and log height in px, and tilt in radians.
        features: (N, C, 2 h, 2 w) for stage two.
    """

    log_share: Tensor
    log_absent: Tensor
    shapes: Tensor
    features: Tensor


def mirrored_levels(levels: Levels) -> Levels:
    """The output on mirrored films as that on the films themselves; its features stay those of the mirrored ones."""
    signs = torch.tensor([1.0, 1.0, -1.0], device=levels.shapes.device)[:, None, None]
    return levels._replace(log_share=levels.log_share.flip(3), shapes=levels.shapes.flip(3) * signs)


def mean_levels(several: Sequence[Levels]) -> Levels:
    """Shares and shapes averaged over several outputs on the same films; the features are those of the first."""
    log_count = math.log(len(several))
    return several[0]._replace(
        log_share=torch.stack([one.log_share for one in several]).logsumexp(dim=0) - log_count,
        log_absent=torch.stack([one.log_absent for one in several]).logsumexp(dim=0) - log_count,
        shapes=torch.stack([one.shapes for one in several]).mean(dim=0),
    )


def level_cross_entropy(output: Levels, boxes: Tensor, complete: Tensor, absent: Tensor) -> Tensor:
    """Mean cross entropy of the levels that count: a Gaussian around the centre, or "absent"."""
    height, width = output.log_share.shape[2:]
    centre = (boxes[..., :2].nan_to_num() + 0.5) / LEVEL_STRIDE - 0.5
    x, y = (
        torch.exp(
            -((torch.arange(size, device=boxes.device) - centre[..., axis, None]) ** 2) / (2 * CENTRE_SIGMA_CELLS**2)
        )
        for axis, size in ((0, width), (1, height))
    )
    weight = y[..., :, None] * x[..., None, :]
    weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    of_present = -(weight * output.log_share).sum(dim=(2, 3))
    total = (of_present * complete).sum() - (output.log_absent * absent).sum()
    return total / (complete.sum() + absent.sum()).clamp(min=1)


def shape_error(shapes: Tensor, boxes: Tensor, complete: Tensor) -> Tensor:
    """Mean absolute error of log width, log height and tilt at the cell of each body's centre."""
    height, width = shapes.shape[2:]
    cell = ((boxes[..., :2].nan_to_num() + 0.5) / LEVEL_STRIDE - 0.5).round().long()
    index = cell[..., 1].clamp(0, height - 1) * width + cell[..., 0].clamp(0, width - 1)
    predicted = shapes.flatten(2).gather(2, index[:, None].expand(-1, 3, -1)).transpose(1, 2)
    error = (predicted - boxes[..., 2:].nan_to_num()).abs().mean(dim=-1)
    return (error * complete).sum() / complete.sum().clamp(min=1)
