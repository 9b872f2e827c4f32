"""Batches of prepared films, in an order that depends only on seed and epoch.

Shapes: N films, V slots, K = 4 V corners, H x W input px.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.epochs import EpochIndex, SharedBatches, in_turn
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.landmarks import FloatArray
from spondylo_ml.processes import ALONE, Process


class FilmBatch(NamedTuple):
    """A batch of films for training or prediction.

    Attributes:
        images: (N, 1, H, W) uint8 grey levels; the network scales them on its device.
        corners_xy: (N, V, 4, 2) float32 px of the input, NaN where a corner is absent or outside the image.
        present: (N, V) bool, whether the vertebra is on the film.
        labelled: (N,) bool.
        row: (N,) index of each film in the dataset.
    """

    images: Tensor
    corners_xy: Tensor
    present: Tensor
    labelled: Tensor
    row: Tensor


class PreparedDataset(Dataset[FilmBatch]):
    """Prepared films as `FilmBatch` items of one film, augmented if an augmenter is given."""

    def __init__(self, films: Sequence[PreparedFilm], seed: int = 0, augmenter: Augmenter | None = None) -> None:
        self._films, self._seed, self._augmenter = films, seed, augmenter

    def __len__(self) -> int:
        return len(self._films)

    def __getitem__(self, item: EpochIndex | int) -> FilmBatch:
        epoch, row, showing = item if isinstance(item, tuple) else (0, item, 0)
        film = self._films[row]
        image, corners, present = film.image, film.corners_xy, film.present
        if self._augmenter:
            of_showing = [self._seed, epoch, row] + ([showing] if showing else [])
            seed = int(np.random.SeedSequence(of_showing).generate_state(1)[0])
            image, corners = self._augmenter(image, corners, seed)
            present = present & ~_has_left(corners, image.shape)
        corners = np.where(_inside(corners, image.shape)[..., None], corners, np.nan)
        return FilmBatch(
            images=torch.from_numpy(np.ascontiguousarray(image))[None],
            corners_xy=torch.from_numpy(corners.astype(np.float32)),
            present=torch.from_numpy(present.copy()),
            labelled=torch.tensor(film.film.labelled),
            row=torch.tensor(row),
        )


def train_loader(
    films: Sequence[PreparedFilm], augmentation: AugmentationConfig, batches: SharedBatches, seed: int, workers: int
) -> DataLoader[FilmBatch]:
    """Augmented films in these batches."""
    return DataLoader(
        PreparedDataset(films, seed, Augmenter(augmentation)),
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def plain_loader(films: Sequence[PreparedFilm], batch_size: int, process: Process = ALONE) -> DataLoader[FilmBatch]:
    """Batches of the films in order, without augmentation.

    Args:
        process: which loads every so many batches; see `in_turn`.
    """
    rows = range(len(films))
    batches = [list(rows[first : first + batch_size]) for first in rows[::batch_size]]
    return DataLoader(PreparedDataset(films), batch_sampler=in_turn(batches, process))


def _has_left(corners_xy: FloatArray, shape_hw: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which vertebrae count as absent since they have left the image.

    A fully labelled one has left with its centre, one of which some corners are labelled with all of these.
    """
    labelled = ~np.isnan(corners_xy[..., 0])
    count = labelled.sum(axis=1)
    centre = np.nansum(corners_xy, axis=1) / np.maximum(count, 1)[:, None]
    some_seen = (count < corners_xy.shape[1]) & (labelled & _inside(corners_xy, shape_hw)).any(axis=1)
    return np.asarray((count > 0) & ~_inside(centre, shape_hw) & ~some_seen)


def _inside(points_xy: FloatArray, shape_hw: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    height, width = shape_hw[:2]
    x, y = points_xy[..., 0], points_xy[..., 1]
    return np.asarray((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))
