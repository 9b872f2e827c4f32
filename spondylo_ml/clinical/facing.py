"""Which side of a lateral film is anterior, from the corners alone.

The lumbar spine bulges forward, its bodies and discs are taller in front, S1's endplate slopes down and forward and
the sacrum runs backward. Each sign is an angle or a ratio that changes sign on the mirrored film and stays the same
on a rotated one, so that the answer does the same.
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
"""Names of what speaks for a side."""

WEIGHTS = np.array([2.1, 1.9, 0.9, 2.7, 3.4, 1.1])
"""Weight of each sign in log odds. Logistic regression without intercept on 6,000 synthetic films (seed 0), corners
moved by 5 % of a body's depth, sacra and other bodies left out at random; a test fits them again."""

_LUMBAR = SlotRange(0, 8)  # S1 up to T11: higher up the spine bends the other way
_LARGEST = 4.0  # no single sign may outvote all others


@dataclass(frozen=True)
class FacingEstimate:
    """The inferred facing.

    Attributes:
        facing: left or right; unknown where nothing speaks for either.
        confidence: probability that it is right, from 0.5 (no evidence) to 1, as calibrated on synthetic films; 0 for
            unknown.
        signs: what each of `SIGNS` says, positive for right; 0 where it cannot be seen.
    """

    facing: Facing
    confidence: float
    signs: dict[str, float]


def infer_facing(vertebrae: Sequence[Vertebra], evidence: float = 1.0) -> FacingEstimate:
    """The facing of a lateral film whose vertebrae count from the sacrum up; made for the lumbar spine.

    A stretch of the film hardly matters, so that it need not be undone.

    Args:
        evidence: how far the corners themselves are to be believed, 0 to 1: without any, both sides are as likely.
    """
    signs = facing_signs(vertebrae)
    named = dict(zip(SIGNS, signs.tolist(), strict=True))
    odds = float(signs @ WEIGHTS)
    if odds == 0:
        return FacingEstimate(Facing.UNKNOWN, 0.0, named)
    confidence = 0.5 + (float(1 / (1 + np.exp(-abs(odds)))) - 0.5) * evidence
    return FacingEstimate(Facing.RIGHT if odds > 0 else Facing.LEFT, confidence, named)


def facing_signs(vertebrae: Sequence[Vertebra]) -> FloatArray:
    """(6,) what each of `SIGNS` says, positive for right: tens of degrees, or a ratio scaled to about 1."""
    bodies = patient_frame(_LUMBAR.corners(vertebrae), Facing.RIGHT)
    middles = (bodies[:, SUPERIOR_ANTERIOR] + bodies[:, SUPERIOR_POSTERIOR]) / 2
    seen = np.flatnonzero(~np.isnan(middles[:, 0]))
    if len(seen) == 0:
        return np.zeros(len(SIGNS))
    slope = direction_deg(superior_endplate(bodies))
    axis = middles[seen[-1]] - middles[seen[0]]
    forward = direction_deg(np.array([axis[1], -axis[0]]))
    floor = (bodies[0, INFERIOR_ANTERIOR] + bodies[0, INFERIOR_POSTERIOR]) / 2
    above = seen[(seen >= 1) & (seen <= 5)]
    signs = np.array(
        [
            between_deg(slope[0], slope[1]) / 10,
            between_deg(slope[0], forward) / 10 if len(seen) > 1 else np.nan,
            between_deg(direction_deg(floor - middles[0]), forward - 90) / 10 if len(seen) > 1 else np.nan,
            between_deg(slope[above[0]], slope[above[-1]]) / 10 if len(above) > 1 else np.nan,
            _bow(middles[seen]),
            _wedge(bodies[1:4]),
        ]
    )
    return np.asarray(np.clip(np.nan_to_num(signs), -_LARGEST, _LARGEST))


def _bow(middles: FloatArray) -> float:
    """How far the spine bulges in front of the line between its ends, in per cent of its length / 10."""
    if len(middles) < 3:
        return np.nan
    chord = middles[-1] - middles[0]
    forward = np.array([chord[1], -chord[0]]) / (chord @ chord)
    return float(10 * np.mean((middles[1:-1] - middles[0]) @ forward))


def _wedge(bodies: FloatArray) -> float:
    """How much taller bodies are in front than behind, in tens of per cent."""
    front = np.linalg.norm(bodies[:, SUPERIOR_ANTERIOR] - bodies[:, INFERIOR_ANTERIOR], axis=-1)
    back = np.linalg.norm(bodies[:, SUPERIOR_POSTERIOR] - bodies[:, INFERIOR_POSTERIOR], axis=-1)
    known = (front > 0) & (back > 0)
    return float(10 * np.mean(np.log(front[known] / back[known]))) if known.any() else np.nan
