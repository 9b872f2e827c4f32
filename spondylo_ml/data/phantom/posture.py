"""The same patient in another posture, or years later: each body moved on the one below it by a known amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spondylo_ml.data.phantom.anatomy import Spine
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray


@dataclass(frozen=True)
class Posture:
    """How a spine differs from the one that was drawn; by level, counted from 0 (L5/S1) up.

    Attributes:
        bend_deg: added to the segmental angle: positive in extension, negative in flexion.
        slip_percent: added to the slip, percent of the lower superior endplate, positive forward.
        narrowing: share of the disc's least height that is lost, 0 to 1; at 1 the bodies touch.
    """

    bend_deg: Mapping[int, float] = field(default_factory=dict)
    slip_percent: Mapping[int, float] = field(default_factory=dict)
    narrowing: Mapping[int, float] = field(default_factory=dict)


def in_posture(spine: Spine, posture: Posture) -> Spine:
    """The spine in another posture; its bodies keep their shapes, and S1 its place.

    Each body turns about the middle of the disc below it, then moves along the lower superior endplate and at last
    towards it, so that slip, segmental angle and disc change by exactly what the posture says.

    Raises:
        DataError: a level that the spine does not have, or a disc that loses less than nothing or more than all.
    """
    n_levels = len(spine.slip_percent)
    for level in {*posture.bend_deg, *posture.slip_percent, *posture.narrowing}:
        if not 0 <= level < n_levels:
            raise DataError(f"a level is 0 (L5/S1) to {n_levels - 1}; given {level}")
    for share in posture.narrowing.values():
        if not 0 <= share <= 1:
            raise DataError(f"a disc loses a share of 0 to 1 of its height; given {share}")
    corners = spine.corners_mm.copy()
    slips = spine.slip_percent.copy()
    for level in range(n_levels):
        if bend := posture.bend_deg.get(level, 0.0):
            centre = (corners[level, :2].sum(axis=0) + corners[level + 1, 2:].sum(axis=0)) / 4
            corners[level + 1 :] = _turned(corners[level + 1 :], np.radians(bend), centre)
        slips[level] += posture.slip_percent.get(level, 0.0)
        corners[level + 1 :] += _step_to(corners[level + 1], corners[level], slips[level])
        corners[level + 1 :] -= posture.narrowing.get(level, 0.0) * _gap(corners[level + 1], corners[level])
    return replace(spine, corners_mm=corners, slip_percent=slips)


def _turned(corners: FloatArray, angle_rad: float, centre: FloatArray) -> FloatArray:
    """Bodies that face left, turned backward (into extension) about a point."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.asarray((corners - centre) @ turn.T + centre)


def _step_to(upper: FloatArray, lower: FloatArray, slip_percent: float) -> FloatArray:
    """(2,) step along the lower body's superior endplate after which the upper body has this slip."""
    plate = lower[0] - lower[1]
    slip = (upper[3] - lower[1]) @ plate / (plate @ plate)
    return np.asarray((slip_percent / 100 - slip) * plate)


def _gap(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """(2,) step across the disc where it is lowest: from the lower body's superior endplate up to the upper body."""
    plate = lower[0] - lower[1]
    up = np.array([-plate[1], plate[0]]) / np.linalg.norm(plate)
    return np.asarray(((upper[2:] - lower[1]) @ up).min() * up)
