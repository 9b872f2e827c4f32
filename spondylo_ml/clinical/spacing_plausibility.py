"""Check a pixel spacing against the size of vertebral bodies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.clinical.rounding import rounded_beside
from spondylo_ml.landmarks import Film, Vertebra
from spondylo_ml.spacing import Spacing

WIDTH_LIMITS_MM = (20.0, 75.0)
"""Range of plausible widths of a vertebral body."""


def body_width_mm(vertebrae: Sequence[Vertebra], spacing: Spacing) -> float:
    """Median length of the film's endplates in mm; NaN if none is complete."""
    corners = np.array([v.corners_xy for v in vertebrae]).reshape(-1, 4, 2) * np.array([spacing.x_mm, spacing.y_mm])
    lengths = np.linalg.norm(corners[:, [1, 3]] - corners[:, [0, 2]], axis=-1)
    finite = lengths[np.isfinite(lengths)]
    return float(np.median(finite)) if len(finite) else float("nan")


def impossible_spacing(vertebrae: Sequence[Vertebra], spacing: Spacing) -> str:
    """Why a film with these vertebrae cannot have this spacing; empty if it can, or without a complete endplate."""
    width, (low, high) = body_width_mm(vertebrae, spacing), WIDTH_LIMITS_MM
    if np.isnan(width) or low <= width <= high:
        return ""
    shown = rounded_beside(width, 0, (low, high)) if width >= 1 else f"{width:.3g}"
    return (
        f"the spacing of {spacing.x_mm:.4g} x {spacing.y_mm:.4g} mm is impossible: bodies would be {shown} mm wide, "
        f"{low:.0f} to {high:.0f} are possible"
    )


def plausible_spacing(film: Film) -> Spacing | None:
    """The film's pixel spacing; None if it has none, or one that its labels make impossible.

    It is decided by the labels, and so the same for every model.
    """
    if film.spacing is None or impossible_spacing(film.vertebrae or (), film.spacing):
        return None
    return film.spacing
