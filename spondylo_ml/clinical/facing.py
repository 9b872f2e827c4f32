"""Infer which side of a lateral film is anterior from the corners alone.

The lumbar spine bulges forward, its bodies and discs are taller in front, S1's endplate slopes down and forward, and
the sacrum runs backward. Each of these signs is an angle or a ratio that changes sign when the film is mirrored and
does not change when it is rotated; the estimate therefore behaves the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.angles import between_deg, direction_deg
from spondylo_ml.clinical.patient_frame import (
    INFERIOR_ANTERIOR,
    INFERIOR_POSTERIOR,
    SUPERIOR_ANTERIOR,
    SUPERIOR_POSTERIOR,
    patient_frame,
    superior_endplate,
)
from spondylo_ml.landmarks import Facing, FloatArray, SlotRange, Vertebra

SIGNS = ("sacral_break", "sacral_tilt", "sacrum_backward", "lordosis", "bow", "wedge")
"""Names of the signs that indicate a side."""

WEIGHTS = np.array([2.1, 1.9, 0.9, 2.7, 3.4, 1.1])
"""Log-odds weight of each sign: logistic regression without intercept on 6,000 synthetic films (seed 0), with noise of
5 % of a body's depth on the corners, and sacra and other bodies omitted at random. A test refits them."""

_LUMBAR = SlotRange(0, 8)  # S1 to T11: above that the spine curves the other way
_SIGN_LIMIT = 4.0  # no single sign may outvote all others


@dataclass(frozen=True)
class FacingEstimate:
    """The inferred facing.

    Attributes:
        facing: left or right; unknown if there is no evidence for either.
        confidence: probability that the facing is correct, from 0.5 (no evidence) to 1, calibrated on synthetic films;
            0 for an unknown facing.
        signs: value of each of `SIGNS`, positive for right; 0 where it cannot be computed.
    """

    facing: Facing
    confidence: float
    signs: dict[str, float]


CONTRADICTION = 0.99
"""An inferred facing contradicts a stated one from this confidence on."""


def infer_facing(vertebrae: Sequence[Vertebra], evidence: float = 1.0) -> FacingEstimate:
    """Infer the facing of a lateral film of the lumbar spine.

    Stretch has little effect on the estimate and need not be undone first.

    Args:
        vertebrae: slots counted from the sacrum up.
        evidence: trust in the corners, 0 to 1; at 0 both sides are equally likely.
    """
    signs = facing_signs(vertebrae)
    sign_values = dict(zip(SIGNS, signs.tolist(), strict=True))
    odds = float(signs @ WEIGHTS)
    if odds == 0:
        return FacingEstimate(Facing.UNKNOWN, 0.0, sign_values)
    confidence = 0.5 + (float(1 / (1 + np.exp(-abs(odds)))) - 0.5) * evidence
    return FacingEstimate(Facing.RIGHT if odds > 0 else Facing.LEFT, confidence, sign_values)


def facing_signs(vertebrae: Sequence[Vertebra]) -> FloatArray:
    """(6,) value of each of `SIGNS`, positive for right: tens of degrees, or a ratio scaled to about 1."""
    bodies = patient_frame(_LUMBAR.corners(vertebrae), Facing.RIGHT)
    centres = (bodies[:, SUPERIOR_ANTERIOR] + bodies[:, SUPERIOR_POSTERIOR]) / 2
    visible = np.flatnonzero(~np.isnan(centres[:, 0]))
    if len(visible) == 0:
        return np.zeros(len(SIGNS))
    slope = direction_deg(superior_endplate(bodies))
    axis = centres[visible[-1]] - centres[visible[0]]
    forward = direction_deg(np.array([axis[1], -axis[0]]))
    sacrum_floor = (bodies[0, INFERIOR_ANTERIOR] + bodies[0, INFERIOR_POSTERIOR]) / 2
    above = visible[(visible >= 1) & (visible <= 5)]
    signs = np.array(
        [
            between_deg(slope[0], slope[1]) / 10,
            between_deg(slope[0], forward) / 10 if len(visible) > 1 else np.nan,
            between_deg(direction_deg(sacrum_floor - centres[0]), forward - 90) / 10 if len(visible) > 1 else np.nan,
            between_deg(slope[above[0]], slope[above[-1]]) / 10 if len(above) > 1 else np.nan,
            _bow(centres[visible]),
            _wedge(bodies[1:4]),
        ]
    )
    return np.asarray(np.clip(np.nan_to_num(signs), -_SIGN_LIMIT, _SIGN_LIMIT))


def _bow(centres: FloatArray) -> float:
    """Mean distance of the spine in front of the line between its ends, in tenths of the line's length."""
    if len(centres) < 3:
        return np.nan
    chord = centres[-1] - centres[0]
    forward = np.array([chord[1], -chord[0]]) / (chord @ chord)
    return float(10 * np.mean((centres[1:-1] - centres[0]) @ forward))


def _wedge(bodies: FloatArray) -> float:
    """Mean log ratio of anterior to posterior height, times 10."""
    front = np.linalg.norm(bodies[:, SUPERIOR_ANTERIOR] - bodies[:, INFERIOR_ANTERIOR], axis=-1)
    back = np.linalg.norm(bodies[:, SUPERIOR_POSTERIOR] - bodies[:, INFERIOR_POSTERIOR], axis=-1)
    valid = (front > 0) & (back > 0)
    return float(10 * np.mean(np.log(front[valid] / back[valid]))) if valid.any() else np.nan
