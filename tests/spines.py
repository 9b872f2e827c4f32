"""Spines for clinical tests: stacked rectangles, and synthetic spines with their true slips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom import phantom_film
from spondylo_ml.data.phantom.film import stretched
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra
from spondylo_ml.spacing import Spacing

LOWER = np.array([[100.0, 200.0], [200.0, 200.0], [100.0, 280.0], [200.0, 280.0]])
"""A body 100 px deep and 80 px high; facing left, its superior posterior corner is (200, 200)."""


def upper_at(slip_percent: float, gap_px: float = 20.0) -> FloatArray:
    """The same body above `LOWER`, slipped to the left (anterior on a film that faces left)."""
    return LOWER - np.array([slip_percent, 80.0 + gap_px])


def stacked(*slips_percent: float) -> tuple[Vertebra, ...]:
    """S1 at `LOWER` and a body above it for each slip, all of the same shape and facing left."""
    corners = [LOWER]
    for slip in slips_percent:
        corners.append(corners[-1] - np.array([slip, 100.0]))
    return tuple(Vertebra(slot, c) for slot, c in enumerate(corners))


def rotated(corners_xy: FloatArray, degrees: float, about: Sequence[float] = (150.0, 150.0)) -> FloatArray:
    """Corners rotated on the image; positive is clockwise, with y down."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((corners_xy - np.array(about)) @ turn.T + np.array(about))


@dataclass(frozen=True)
class TiltedFilm:
    """Labels of a synthetic film with its stretch undone, tilted.

    Attributes:
        slip_percent: true slip of slot i + 1 on slot i.
    """

    vertebrae: tuple[Vertebra, ...]
    facing: Facing
    spacing: Spacing
    slip_percent: FloatArray
    depth_px: float
    tilt_deg: float


def tilted_film(seed: int, index: int, largest_deg: float = 15.0) -> TiltedFilm:
    """Synthetic film (seed, index) with its stretch undone, tilted by an angle that depends only on seed and index."""
    film = phantom_film(seed, index)
    tilt = float(np.random.default_rng([seed, index, 1]).uniform(-largest_deg, largest_deg))
    stretch = film.spacing.x_mm / film.spacing.y_mm
    vertebrae = tuple(Vertebra(v.slot, rotated(stretched(v.corners_xy, stretch), tilt)) for v in film.vertebrae)
    spacing = Spacing(film.spacing.y_mm, film.spacing.y_mm, film.spacing.provenance)
    return TiltedFilm(vertebrae, film.facing, spacing, film.slip_percent, film.framing.depth_px, tilt)
