"""A network that trains in milliseconds, and whose loss is a mean over the films of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks, scaled_grey

CELLS = 8


class SmallNet(LandmarkModel):
    """Corners by two layers from a small copy of the film."""

    def __init__(self, slots: SlotRange, batch_norm: bool = False) -> None:
        super().__init__(slots)
        self.to_corners = nn.Sequential(
            nn.AdaptiveAvgPool2d(CELLS),
            nn.BatchNorm2d(1) if batch_norm else nn.Identity(),
            nn.Flatten(),
            nn.Linear(CELLS**2, 16),
            nn.Tanh(),
            nn.Linear(16, slots.count * 8),
        )
        self.unused = nn.Linear(1, 1)

    def _corners_xy(self, images: Tensor) -> Tensor:
        """(N, V, 4, 2) px of the input."""
        side = max(images.shape[2:])
        return side * self.to_corners(scaled_grey(images)).view(len(images), -1, 4, 2)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """Mean over the films of the mean over a film's corners."""
        present = ~batch.corners_xy.isnan()
        error = torch.where(present, self._corners_xy(batch.images) - batch.corners_xy.nan_to_num(), 0.0).abs()
        of_film = error.sum(dim=(1, 2, 3)) / present.sum(dim=(1, 2, 3)).clamp(min=1)
        return {"corners": of_film.mean() / max(batch.images.shape[2:])}

    @torch.no_grad()
    def predict(self, images: Tensor) -> Landmarks:
        """The corners; each vertebra is present."""
        corners = self._corners_xy(images)
        return Landmarks(corners, torch.ones(corners.shape[:3]), torch.ones(corners.shape[:2]))
