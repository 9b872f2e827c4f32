"""Shapes of bodies and steps from body to body, measured in each body's own frame and learned from training films.

Zoom and rotation of a film do not matter to them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondylo_ml.landmarks import MIRRORED_CORNERS

SPREAD_FLOOR = 0.05  # least standard deviation of a shape feature, for statistics from few films
FEWEST_SAMPLES = 8  # of a slot, mirrored ones included; with fewer, the statistics of all slots are used


class LevelStatistics(nn.Module):
    """Median and standard deviation of shapes and steps, by level; not to be used before `learned`.

    `body_mean` and `step_mean` hold medians: their names are those in model files.
    """

    body_mean: Tensor
    body_spread: Tensor
    step_mean: Tensor
    step_spread: Tensor
    learned: Tensor

    def __init__(self, n_slots: int) -> None:
        super().__init__()
        # Separate statistics per slot: S1 is tapered, a lumbar body is a box.
        for name, rows, size in (("body", n_slots, 3), ("step", n_slots - 1, 4)):
            self.register_buffer(f"{name}_mean", torch.zeros(rows, size))
            self.register_buffer(f"{name}_spread", torch.ones(rows, size))
        self.register_buffer("learned", torch.tensor(False))

    def learn(self, corners_xy: Tensor) -> None:
        """Learn shapes and steps from (N, V, 4, 2) true corners, NaN where absent."""
        bodies = corners_xy.double()
        mirrored = bodies[:, :, list(MIRRORED_CORNERS)] * torch.tensor([-1.0, 1.0], dtype=torch.float64)
        both = torch.cat([bodies, mirrored])
        for name, features in (("body", body_features(both)), ("step", step_features(both[:, :-1], both[:, 1:]))):
            pooled = _finite_rows(features.flatten(0, 1))
            if len(pooled) < FEWEST_SAMPLES:
                return
            for slot in range(features.shape[1]):
                of_slot = _finite_rows(features[:, slot])
                rows = of_slot if len(of_slot) >= FEWEST_SAMPLES else pooled
                getattr(self, f"{name}_mean")[slot] = rows.median(dim=0).values
                getattr(self, f"{name}_spread")[slot] = rows.std(dim=0).clamp_min(SPREAD_FLOOR)
        self.learned.fill_(True)


def body_features(corners: Tensor) -> Tensor:
    """(..., 4, 2) corners to (..., 3): logs of superior/inferior, left/right and width/height, NaN where degenerate."""
    superior, inferior = corners[..., 1, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 2, :]
    left, right = corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :]
    lengths = [edge.norm(dim=-1).clamp_min(1e-3) for edge in (superior, inferior, left, right)]
    width, height = lengths[0] + lengths[1], lengths[2] + lengths[3]
    features = torch.stack(
        [(lengths[0] / lengths[1]).log(), (lengths[2] / lengths[3]).log(), (width / height).log()], dim=-1
    )
    across, down = superior + inferior, left + right
    outward = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] > 0
    return torch.where(outward[..., None], features, torch.nan)


def step_features(lower: Tensor, upper: Tensor) -> Tensor:
    """Two (..., 4, 2) neighbours to (..., 4): the upper centre in the frame of the lower body (x and y, in units of the
    root of its area), the log ratio of their sizes, and the angle between them in radians."""
    right, up, size = _frame(lower)
    other_right, _, other_size = _frame(upper)
    step = (upper.mean(dim=-2) - lower.mean(dim=-2)) / size[..., None]
    turn = right[..., 0] * other_right[..., 1] - right[..., 1] * other_right[..., 0]
    return torch.stack(
        [(step * right).sum(-1), (step * up).sum(-1), (other_size / size).log(), turn.clamp(-1, 1).asin()], dim=-1
    )


def _frame(corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors to the right of and up a body, and the root of its area."""
    across = (corners[..., 1, :] + corners[..., 3, :] - corners[..., 0, :] - corners[..., 2, :]) / 2
    down = (corners[..., 2, :] + corners[..., 3, :] - corners[..., 0, :] - corners[..., 1, :]) / 2
    width, height = across.norm(dim=-1).clamp_min(1e-3), down.norm(dim=-1).clamp_min(1e-3)
    return across / width[..., None], -down / height[..., None], (width * height).sqrt()


def _finite_rows(features: Tensor) -> Tensor:
    return features[features.isfinite().all(dim=1)]
