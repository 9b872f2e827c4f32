"""Shapes of discs and bodies as ratios, since absolute heights depend on magnification.

All functions are vectorised and take bodies in the patient's frame (`patient_frame`). The result is NaN where a
required corner is absent.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.patient_frame import (
    INFERIOR_ANTERIOR,
    INFERIOR_POSTERIOR,
    SUPERIOR_ANTERIOR,
    SUPERIOR_POSTERIOR,
    inferior_endplate,
    superior_endplate,
)
from spondylo_ml.landmarks import FloatArray


def disc_height_index(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(...) mean of anterior and posterior disc height over the upper body's depth; negative where bodies overlap.

    Heights are perpendicular to the bisector of the disc angle, so that a slip does not make the disc appear higher.
    """
    floor, plate = inferior_endplate(upper), superior_endplate(lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = floor / np.linalg.norm(floor, axis=-1, keepdims=True)
        middle = middle + plate / np.linalg.norm(plate, axis=-1, keepdims=True)
        up = np.stack([-middle[..., 1], middle[..., 0]], axis=-1)
        up = up / np.linalg.norm(up, axis=-1, keepdims=True)
        front = upper[..., INFERIOR_ANTERIOR, :] - lower[..., SUPERIOR_ANTERIOR, :]
        back = upper[..., INFERIOR_POSTERIOR, :] - lower[..., SUPERIOR_POSTERIOR, :]
        return np.asarray(((front + back) * up).sum(axis=-1) / 2 / depth(upper))


def depth(bodies: FloatArray) -> FloatArray:
    """(...) distance between the midpoints of the anterior and the posterior wall, in the frame's unit."""
    front = (bodies[..., SUPERIOR_ANTERIOR, :] + bodies[..., INFERIOR_ANTERIOR, :]) / 2
    back = (bodies[..., SUPERIOR_POSTERIOR, :] + bodies[..., INFERIOR_POSTERIOR, :]) / 2
    return np.asarray(np.linalg.norm(front - back, axis=-1))


def anterior_height(bodies: FloatArray) -> FloatArray:
    """(...) length of the anterior wall, in the frame's unit."""
    return np.asarray(np.linalg.norm(bodies[..., SUPERIOR_ANTERIOR, :] - bodies[..., INFERIOR_ANTERIOR, :], axis=-1))


def posterior_height(bodies: FloatArray) -> FloatArray:
    """(...) length of the posterior wall, in the frame's unit."""
    return np.asarray(np.linalg.norm(bodies[..., SUPERIOR_POSTERIOR, :] - bodies[..., INFERIOR_POSTERIOR, :], axis=-1))


def wedge_ratio(bodies: FloatArray) -> FloatArray:
    """(...) anterior over posterior height; NaN where the posterior height is 0."""
    back = posterior_height(bodies)
    return np.asarray(np.divide(anterior_height(bodies), back, out=np.full_like(back, np.nan), where=back > 0))
