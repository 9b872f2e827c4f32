"""All labelled bodies of a dataset as arrays, with their basic measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import Film, FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bodies:
    """N bodies with all four corners, ordered by film and from the sacrum up.

    Attributes:
        films: all films, including those without bodies.
        film: (N,) index of each body's film in `films`.
        slot: (N,) level.
        corners_xy: (N, 4, 2) px of the film.
    """

    films: Sequence[Film]
    film: IntArray
    slot: IntArray
    corners_xy: FloatArray

    @classmethod
    def of(cls, films: Sequence[Film]) -> Bodies:
        """The bodies of all labelled films, without those that lack a corner."""
        rows = [
            (index, vertebra.slot, vertebra.corners_xy)
            for index, film in enumerate(films)
            for vertebra in film.vertebrae or ()
            if vertebra.present.all()
        ]
        return cls(
            films,
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4, 2),
        )

    def __len__(self) -> int:
        return len(self.slot)

    @cached_property
    def centre_xy(self) -> FloatArray:
        """(N, 2) mean of the corners, px."""
        return np.asarray(self.corners_xy.mean(axis=1))

    @cached_property
    def edges_px(self) -> FloatArray:
        """(N, 4) lengths of superior edge, inferior edge, left wall, right wall."""
        c = self.corners_xy
        edges = np.stack([c[:, 1] - c[:, 0], c[:, 3] - c[:, 2], c[:, 2] - c[:, 0], c[:, 3] - c[:, 1]], axis=1)
        return np.asarray(np.maximum(np.linalg.norm(edges, axis=-1), 1e-6))

    @cached_property
    def width_px(self) -> FloatArray:
        """(N,) mean length of the endplates."""
        return np.asarray(self.edges_px[:, :2].mean(axis=1))

    @cached_property
    def height_px(self) -> FloatArray:
        """(N,) mean length of the walls."""
        return np.asarray(self.edges_px[:, 2:].mean(axis=1))

    @cached_property
    def lower_of_pairs(self) -> IntArray:
        """(P,) indices of the bodies that are followed by the next level of the same film."""
        same = (np.diff(self.film) == 0) & (np.diff(self.slot) == 1)
        return np.flatnonzero(same).astype(np.int64)

    @cached_property
    def step_px(self) -> FloatArray:
        """(P, 2) vector from the centre of the lower to that of the upper body of each pair."""
        low = self.lower_of_pairs
        return np.asarray(self.centre_xy[low + 1] - self.centre_xy[low])

    def film_id(self, index: int) -> str:
        """Id of the film of one body."""
        return self.films[int(self.film[index])].film_id
