"""Meyerding grade of a slip, with a limit below which there is no listhesis.

Grades I to IV end at 25, 50, 75 and 100 % inclusive; grade V (spondyloptosis) lies above. Meyerding (Surg Gynecol
Obstet 1932) graded forward slips; backward slips are graded by the same limits and called retrolisthesis.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray

TOLERANCE = 1e-9
"""A slip within this distance of a limit (percent or mm) counts as on it, so that rounding does not change a grade."""

SMALL_ENDPLATE_MM, LARGE_ENDPLATE_MM = 30.0, 45.0
"""Lengths of a small and a large lumbar endplate, to compare the limits of a listhesis in percent and in mm."""

DEFAULT_RULES = ClinicalConfig()
"""Clinical rules used unless a configuration sets others."""


class Grade(IntEnum):
    """Meyerding grade; 0 is no listhesis."""

    NONE = 0
    I = 1  # noqa: E741
    II = 2
    III = 3
    IV = 4
    V = 5

    @property
    def label(self) -> str:
        """0, I, II, III, IV or V."""
        return "0" if self is Grade.NONE else self.name


def grades(
    slip_percent: FloatArray, rules: ClinicalConfig = DEFAULT_RULES, slip_mm: FloatArray | None = None
) -> FloatArray:
    """(...) grade 0 to 5 of each slip as floats; NaN where the slip is NaN.

    Args:
        slip_percent: (...) signed slip.
        slip_mm: (...) the same slips in mm; where they are NaN, the limit in percent applies.
    """
    size = np.abs(np.asarray(slip_percent, dtype=np.float64))
    grade = 1.0 + np.searchsorted(np.asarray(rules.grade_limits_percent) + TOLERANCE, size, side="left")
    none = size < rules.grade0_percent - TOLERANCE
    if slip_mm is not None and rules.grade0_rule == "mm_if_spacing":
        size_mm = np.abs(np.asarray(slip_mm, dtype=np.float64))
        # The limit in mm separates grade 0 from grade I only: 3 mm are never half of an endplate.
        first = size <= rules.grade_limits_percent[0] + TOLERANCE
        none = np.where(np.isnan(size_mm), none, (size_mm < rules.grade0_mm - TOLERANCE) & first)
    return np.asarray(np.where(np.isnan(size), np.nan, np.where(none, 0.0, grade)))


def grade0_range_percent(rules: ClinicalConfig, endplate_mm: float) -> tuple[float, float]:
    """The least and the largest slip in percent at which grade 0 may end, by whichever limit may apply to a level.

    The limit in mm, if the rules have one, applies where the length of the endplate is known; both are then the same.
    Where it is not known, the limit in percent applies. A slip between it and the limit in mm, on a small or a large
    endplate, may then have another grade than the limit in percent gives.

    Args:
        endplate_mm: length of the lower superior endplate; NaN without a spacing.
    """
    if rules.grade0_rule == "percent":
        return rules.grade0_percent, rules.grade0_percent
    lengths_mm = (endplate_mm,) if endplate_mm > 0 else (SMALL_ENDPLATE_MM, LARGE_ENDPLATE_MM)
    limits = [min(100 * rules.grade0_mm / length_mm, rules.grade_limits_percent[0]) for length_mm in lengths_mm]
    limits += [] if endplate_mm > 0 else [rules.grade0_percent]
    return min(limits), max(limits)


def grade_of(slip_percent: float, rules: ClinicalConfig = DEFAULT_RULES, slip_mm: float | None = None) -> Grade:
    """The grade of one slip.

    Raises:
        DataError: the slip is NaN.
    """
    if np.isnan(slip_percent):
        raise DataError("a slip that is not measurable has no grade; given NaN")
    mm = None if slip_mm is None else np.array(slip_mm)
    return Grade(int(grades(np.array(slip_percent), rules, mm)))


def direction(slip_percent: float, grade: Grade) -> str:
    """anterolisthesis, retrolisthesis, or none for grade 0."""
    if grade is Grade.NONE:
        return "none"
    return "anterolisthesis" if slip_percent > 0 else "retrolisthesis"


def grade_name(slip_percent: float, grade: Grade) -> str:
    """The grade in words, such as "grade I retrolisthesis"."""
    if grade is Grade.NONE:
        return "no listhesis (grade 0)"
    optosis = " (spondyloptosis)" if grade is Grade.V else ""
    return f"grade {grade.label} {direction(slip_percent, grade)}{optosis}"
