"""Angles of endplates in degrees; positive where the space between two endplates opens forward (lordosis).

All functions take bodies in the patient's frame (`patient_frame`), any number at once; NaN where a corner is absent
or an endplate has no length.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.patient_frame import inferior_endplate, superior_endplate
from spondylo_ml.landmarks import FloatArray


def direction_deg(vectors: FloatArray) -> FloatArray:
    """(...) direction of (..., 2) vectors against the horizontal, -180 to 180; NaN for a vector of no length."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.asarray(np.where((x == 0) & (y == 0), np.nan, np.degrees(np.arctan2(y, x))))


def between_deg(start_deg: FloatArray | float, end_deg: FloatArray | float) -> FloatArray:
    """(...) turn from one direction to the other, -180 up to 180."""
    return np.asarray((np.asarray(end_deg) - start_deg + 180) % 360 - 180)


def segmental_angle_deg(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(...) angle between the superior endplates of two neighbours."""
    return between_deg(direction_deg(superior_endplate(lower)), direction_deg(superior_endplate(upper)))


def disc_angle_deg(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(...) angle between the upper body's inferior and the lower body's superior endplate."""
    return between_deg(direction_deg(superior_endplate(lower)), direction_deg(inferior_endplate(upper)))


def sacral_slope_deg(sacrum: FloatArray) -> FloatArray:
    """(...) slope of S1's superior endplate, down and forward, against the film's horizontal."""
    return np.asarray(-direction_deg(superior_endplate(sacrum)))
