"""Sets of signed slips, and the signed grades into which a level's limits divide all slips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.clinical.meyerding import TOLERANCE, Grade, grade0_range_percent
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import FloatArray

HIGHEST = int(max(Grade))

SIGNED_GRADES = np.arange(-HIGHEST, HIGHEST + 1)
"""(11,) grades with their direction, from V backward (-5) through 0 to V forward (5)."""

GRADE_OF_SIGNED = np.abs(SIGNED_GRADES)
"""(11,) grade of each of them."""


@dataclass(frozen=True)
class SlipSet:
    """The slips of a level that cannot be excluded.

    Attributes:
        pieces_percent: the intervals of the set, rising and disjoint.
    """

    pieces_percent: tuple[tuple[float, float], ...]

    @property
    def low_percent(self) -> float:
        """The lowest slip of the set."""
        return self.pieces_percent[0][0]

    @property
    def high_percent(self) -> float:
        """The highest slip of the set."""
        return self.pieces_percent[-1][1]

    @property
    def width_percent(self) -> float:
        """The total width of the pieces."""
        return sum(high - low for low, high in self.pieces_percent)

    def holds(self, slip_percent: float) -> bool:
        """Whether a slip belongs to the set."""
        return any(low - TOLERANCE <= slip_percent <= high + TOLERANCE for low, high in self.pieces_percent)


@dataclass(frozen=True)
class LevelPrediction:
    """What is known of a level before its set of slips is formed.

    Attributes:
        upper_slot: slot of the upper vertebra.
        slip_percent: measured at the predicted corners.
        grade: of this slip.
        limits_percent: (7,) of `grade_limits`.
        grade0_range_percent: of `meyerding.grade0_range_percent`.
        spread_percent: Monte Carlo spread of the slip.
        difficulty: values of `level_difficulty.DIFFICULTY`.
        sampled_probabilities: Monte Carlo probability of each grade, 0 to 5.
    """

    upper_slot: int
    slip_percent: float
    grade: int
    limits_percent: FloatArray
    grade0_range_percent: tuple[float, float]
    spread_percent: float
    difficulty: tuple[float, ...]
    sampled_probabilities: Mapping[int, float]


@dataclass(frozen=True)
class LevelSet:
    """What cannot be excluded at a level.

    Attributes:
        slips: the set of slips.
        grades: grades that cannot be excluded whatever the slips are; the predicted one is among them.
        probabilities: of each grade, 0 to 5.
    """

    slips: SlipSet
    grades: tuple[int, ...]
    probabilities: Mapping[int, float]


def grade_limits(rules: ClinicalConfig, endplate_mm: float) -> FloatArray:
    """(7,) limits of the grades 0 to 5 in percent, from 0 to infinity.

    Args:
        endplate_mm: length of the lower superior endplate, to convert mm to percent; NaN without a spacing.
    """
    first = grade0_range_percent(rules, endplate_mm)[0] if endplate_mm > 0 else rules.grade0_percent
    return np.array([0.0, first, *rules.grade_limits_percent, np.inf])


def signed_edges(limits_percent: FloatArray) -> FloatArray:
    """(..., 12) edges of the `SIGNED_GRADES`, from minus to plus infinity.

    Args:
        limits_percent: (..., 7) of `grade_limits`.
    """
    outer = limits_percent[..., 1:]
    return np.concatenate([-outer[..., ::-1], outer], axis=-1)


def signed_grade_index(slip_percent: FloatArray, limits_percent: FloatArray) -> NDArray[np.int64]:
    """(N,) index into `SIGNED_GRADES` of each slip; upper limits are inclusive, except that of grade 0.

    Args:
        limits_percent: (N, 7) of `grade_limits`.
    """
    size = np.abs(slip_percent)[:, None]
    beyond = (size > limits_percent[:, 2:-1] + TOLERANCE).sum(axis=1)
    grade = np.where(size[:, 0] < limits_percent[:, 1] - TOLERANCE, 0, 1 + beyond)
    return np.asarray(HIGHEST + np.where(slip_percent < 0, -grade, grade), dtype=np.int64)


def joined(pieces: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The pieces from low to high, with touching ones merged."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted(pieces):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], float(high)))
        else:
            merged.append((float(low), float(high)))
    return tuple(merged)
