"""Angles between endplates in degrees, positive where the space between them opens forward (lordosis).

All functions are vectorised and take bodies in the patient's frame (`patient_frame`). The result is NaN where a corner
is absent or an endplate has no length.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.patient_frame import inferior_endplate, superior_endplate
from spondylo_ml.landmarks import FloatArray


def direction_deg(vectors: FloatArray) -> FloatArray:
    """(...) angle of (..., 2) vectors to the horizontal, -180 to 180; NaN for a zero vector."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.asarray(np.where((x == 0) & (y == 0), np.nan, np.degrees(np.arctan2(y, x))))


def between_deg(start_deg: FloatArray | float, end_deg: FloatArray | float) -> FloatArray:
    """(...) rotation from one direction to the other, in [-180, 180)."""
    return np.asarray((np.asarray(end_deg) - start_deg + 180) % 360 - 180)


def segmental_angle_deg(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(...) angle between the superior endplates of two adjacent bodies."""
    return between_deg(direction_deg(superior_endplate(lower)), direction_deg(superior_endplate(upper)))


def disc_angle_deg(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(...) angle between the upper body's inferior and the lower body's superior endplate."""
    return between_deg(direction_deg(superior_endplate(lower)), direction_deg(inferior_endplate(upper)))


def sacral_slope_deg(sacrum: FloatArray) -> FloatArray:
    """(...) slope of S1's superior endplate to the film's horizontal; positive where it slopes down and forward."""
    return np.asarray(-direction_deg(superior_endplate(sacrum)))
