"""The writer protocol and shared helpers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from spondylo_ml.landmarks import Film, FloatArray


@dataclass(frozen=True)
class PlacedFilm:
    """A film and the path of its image file, relative to the dataset's folder."""

    film: Film
    image: PurePosixPath


class Writer(Protocol):
    """Writer of one dataset layout.

    Attributes:
        kind: name of the layout.
        needs_parts: whether labelled films must belong to train or val.
    """

    kind: str
    needs_parts: bool

    def place(self, film: Film) -> str | None:
        """Folder of the film's image; None if the layout cannot hold the film."""

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write everything except the images, which may not have been written yet."""


def images_folder(film: Film) -> str:
    """`images`, or the folder of the film's split in it."""
    return f"images/{film.split}" if film.split else "images"


def box_xyxy(corners_xy: FloatArray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the present corners; zeros if there are none."""
    present = corners_xy[~np.isnan(corners_xy[:, 0])]
    if not len(present):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = present.min(axis=0), present.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def make_parent(path: Path) -> Path:
    """Create the folder of a path, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
