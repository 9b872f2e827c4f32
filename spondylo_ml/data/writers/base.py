"""What a writer of a layout does: say where a film goes, and write the labels of all films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from spondylo_ml.landmarks import Film, FloatArray


@dataclass(frozen=True)
class PlacedFilm:
    """A film and its image file, relative to the dataset's folder."""

    film: Film
    image: PurePosixPath


class Writer(Protocol):
    """One dataset layout.

    Attributes:
        needs_parts: labelled films must belong to train or val.
    """

    kind: str
    needs_parts: bool

    def place(self, film: Film) -> str | None:
        """The folder of the film's image; None where the layout cannot hold the film."""

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """All that is written beside the images, which may not be there yet."""


def box_xyxy(corners_xy: FloatArray) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the corners that are there; zeros where none is."""
    known = corners_xy[~np.isnan(corners_xy[:, 0])]
    if not len(known):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = known.min(axis=0), known.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def make_parent(path: Path) -> Path:
    """The path, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
