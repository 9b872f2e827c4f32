"""Instability of a level: how much its slip and its segmental angle change between flexion and extension.

There is no validated test and no agreed limit (Hipp et al., The challenge of diagnosing lumbar segmental instability,
2023, doi:10.21203/rs.3.rs-3659900/v1): the limits are clinical rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.clinical.change import Change, LevelChange
from spondylo_ml.clinical.meyerding import TOLERANCE
from spondylo_ml.clinical.rounding import rounded_beside
from spondylo_ml.config import ClinicalConfig


class Verdict(StrEnum):
    """What the changes of a level say; the words are for the reader."""

    UNSTABLE = "unstable"
    STABLE = "within the limits"
    INDETERMINATE = "indeterminate, refer"
    NOT_KNOWN = "not known, refer"


@dataclass(frozen=True)
class Instability:
    """The verdict on one level.

    Attributes:
        reasons: why, one for the slip and one for the angle.
    """

    verdict: Verdict
    reasons: tuple[str, str]


def instability(level: LevelChange, rules: ClinicalConfig) -> Instability:
    """The verdict on a level of a flexion-extension pair.

    It is unstable if the interval of either change lies beyond its limit, and within the limits if both intervals lie
    within them. Where an interval crosses a limit, it is indeterminate. Without a change in mm, or without intervals,
    it can be unstable by the other criterion, but not within the limits.
    """
    slip = _beyond(level.slip_mm, rules.instability_mm)
    angle = _beyond(level.segmental_angle, rules.instability_deg)
    if Verdict.UNSTABLE in (slip, angle):
        verdict = Verdict.UNSTABLE
    elif Verdict.NOT_KNOWN in (slip, angle):
        verdict = Verdict.NOT_KNOWN
    elif Verdict.INDETERMINATE in (slip, angle):
        verdict = Verdict.INDETERMINATE
    else:
        verdict = Verdict.STABLE
    reasons = (
        _reason("slip", level.slip_mm, rules.instability_mm, " mm"),
        _reason("angle", level.segmental_angle, rules.instability_deg, "\N{DEGREE SIGN}"),
    )
    return Instability(verdict, reasons)


def _beyond(change: Change, limit: float) -> Verdict:
    if change.value.reason or math.isnan(change.half_width):
        return Verdict.NOT_KNOWN
    if max(change.low, -change.high) > limit + TOLERANCE:
        return Verdict.UNSTABLE
    return Verdict.STABLE if max(change.high, -change.low) <= limit + TOLERANCE else Verdict.INDETERMINATE


def _reason(name: str, change: Change, limit: float, unit: str) -> str:
    if change.value.reason:
        return f"{name} not evaluated: {change.value.reason}"
    size = abs(change.value.value)
    beyond = "more than" if size > limit + TOLERANCE else "not more than"
    known = not math.isnan(change.half_width)
    ends = " to ".join(rounded_beside(end, 1, [limit], "+") for end in (change.low, change.high))
    error = ends if known else "its error is not known"
    return f"{name} changes by {rounded_beside(size, 1, [limit])}{unit} ({error}), {beyond} {limit:g}{unit}"
