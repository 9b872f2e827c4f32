"""The verdict on a level, from its set of slips.

The rule is the same wherever a level is reported: a grade cannot be excluded if the set holds a slip of this grade. A
level needs no reader only if a single grade in a single direction is left. The predicted grade, and the grades of the
separate set that older calibrations have, are never excluded. Without a pixel spacing the limit of grade 0 in percent
applies, although the limit in mm may lie below or above it: grades 0 and I both stay possible if the set holds a slip
between the two.

A slip set that excludes no grade, or is wider than all slips below spondyloptosis, carries no information: the slip is
reported as not known, no grade is excluded, and the level is referred.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.clinical.measurement import NOT_KNOWN, LevelMeasurement, LevelUncertainty
from spondylo_ml.clinical.meyerding import TOLERANCE, Grade
from spondylo_ml.evaluation.slip_set import SlipSet
from spondylo_ml.landmarks import FloatArray

ALL_GRADES = tuple(int(grade) for grade in Grade)
REFER = "refer"
UNKNOWN = f"{NOT_KNOWN}, {REFER}"


@dataclass(frozen=True)
class LevelVerdict:
    """The verdict on a level.

    Attributes:
        slips_known: whether the slip set excludes anything.
        grades: those that cannot be excluded, in rising order.
        refer: whether a reader must look at the level.
        words: the verdict in words.
    """

    slips_known: bool
    grades: tuple[int, ...]
    refer: bool
    words: str


NOTHING_KNOWN = LevelVerdict(False, ALL_GRADES, True, UNKNOWN)
"""The verdict on a level without a slip, or without a slip set."""


def level_verdict(
    slips: SlipSet,
    grades: Collection[int],
    limits_percent: FloatArray,
    grade0_range_percent: tuple[float, float] = (0.0, 0.0),
) -> LevelVerdict:
    """The verdict that follows from the set of slips of a level.

    Args:
        slips: signed slips that cannot be excluded.
        grades: that cannot be excluded whatever the slips are, the predicted one among them.
        limits_percent: (7,) `slip_set.grade_limits` of this level, whose limit of grade 0 may be in mm.
        grade0_range_percent: `meyerding.grade0_range_percent` of this level.
    """
    forward, backward = grades_touched(slips, limits_percent), grades_touched(slips, limits_percent, backward=True)
    touched = forward | backward
    if not _informative(slips, limits_percent) or touched >= set(ALL_GRADES):
        return NOTHING_KNOWN
    if _holds_between(slips, *grade0_range_percent):
        touched |= {int(Grade.NONE), int(Grade.I)}
    remaining = tuple(sorted(touched | set(grades)))
    if len(remaining) > 1:
        return LevelVerdict(True, remaining, True, f"indeterminate {_range_text(remaining)}, {REFER}")
    name = f"grade {Grade(remaining[0]).label}"
    if remaining[0] != Grade.NONE and forward and backward:
        return LevelVerdict(True, remaining, True, f"{name}, indeterminate between forward and backward, {REFER}")
    return LevelVerdict(True, remaining, False, name)


def grades_touched(slips: SlipSet, limits_percent: FloatArray, backward: bool = False) -> set[int]:
    """The grades of the slips of a set in one direction; a single point on a limit belongs to neither side."""
    sign = -1.0 if backward else 1.0
    touched_grades = set()
    for piece in slips.pieces_percent:
        low, high = sorted(sign * end for end in piece)
        for grade in ALL_GRADES:
            nearest, furthest = limits_percent[grade], limits_percent[grade + 1]
            if min(high, furthest) - max(low, nearest) > TOLERANCE:
                touched_grades.add(grade)
    return touched_grades


def level_uncertainty(
    upper_slot: int,
    verdict: LevelVerdict,
    slips: SlipSet | None,
    coverage: float | None,
    probabilities: Mapping[int, float],
) -> LevelUncertainty:
    """The verdict with the sets behind it; a slip set without information is left out."""
    reported = slips if verdict.slips_known else None
    return LevelUncertainty(
        upper_slot=upper_slot,
        pieces_percent=reported.pieces_percent if reported else (),
        low_percent=reported.low_percent if reported else None,
        high_percent=reported.high_percent if reported else None,
        coverage=coverage,
        grade_probabilities=dict(probabilities),
        grade_set=verdict.grades,
        refer=verdict.refer,
        verdict=verdict.words,
    )


def complete_verdicts(
    levels: Sequence[LevelMeasurement], uncertainties: Sequence[LevelUncertainty]
) -> tuple[LevelUncertainty, ...]:
    """The verdict on each level of a film; `NOTHING_KNOWN` for a level without a slip or without a verdict."""
    by_slot = {one.upper_slot: one for one in uncertainties}
    unknown = (level_uncertainty(level.upper_slot, NOTHING_KNOWN, None, None, {}) for level in levels)
    return tuple(
        nothing if level.slip.reason else by_slot.get(level.upper_slot, nothing)
        for level, nothing in zip(levels, unknown, strict=True)
    )


def _informative(slips: SlipSet, limits_percent: FloatArray) -> bool:
    """Whether the set is not empty, finite, and no wider than from grade IV backward to grade IV forward."""
    ends = [end for piece in slips.pieces_percent for end in piece]
    finite = bool(ends) and all(map(math.isfinite, ends))
    return finite and slips.high_percent - slips.low_percent <= 2 * limits_percent[-2]


def _holds_between(slips: SlipSet, least_percent: float, largest_percent: float) -> bool:
    """Whether the set holds slips between the two, forward or backward; touching is not enough."""
    directions = ((least_percent, largest_percent), (-largest_percent, -least_percent))
    return any(
        low < furthest - TOLERANCE and high > nearest + TOLERANCE
        for low, high in slips.pieces_percent
        for nearest, furthest in directions
        if nearest < furthest
    )


def _range_text(grades: Sequence[int]) -> str:
    names = [Grade(grade).label for grade in grades]
    if grades[-1] - grades[0] == len(grades) - 1:
        return f"between {names[0]} and {names[-1]}"
    return f"between {', '.join(names[:-1])} and {names[-1]}"
