"""Whether a pixel spacing can be: vertebral bodies have a size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.landmarks import Spacing, Vertebra

WIDTH_LIMITS_MM = (20.0, 75.0)
"""Widths of a vertebral body between which a spacing is believed."""


def body_width_mm(vertebrae: Sequence[Vertebra], spacing: Spacing) -> float:
    """Median length of the film's endplates; NaN where none is whole."""
    corners = np.array([v.corners_xy for v in vertebrae]).reshape(-1, 4, 2) * np.array([spacing.x_mm, spacing.y_mm])
    lengths = np.linalg.norm(corners[:, [1, 3]] - corners[:, [0, 2]], axis=-1)
    known = lengths[np.isfinite(lengths)]
    return float(np.median(known)) if len(known) else float("nan")


def impossible_spacing(vertebrae: Sequence[Vertebra], spacing: Spacing) -> str:
    """Why a spacing cannot be that of a film with these vertebrae; empty where it can, or without a vertebra."""
    width, (low, high) = body_width_mm(vertebrae, spacing), WIDTH_LIMITS_MM
    if np.isnan(width) or low <= width <= high:
        return ""
    return (
        f"the spacing of {spacing.x_mm:.4g} x {spacing.y_mm:.4g} mm cannot be: bodies would be {width:.3g} mm wide, "
        f"{low:.0f} to {high:.0f} are possible"
    )
