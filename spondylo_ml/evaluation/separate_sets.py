"""Calibrations of version 0.1.0, which older bundles carry: a set of slips and a set of grades, each on its own.

They are read and applied as they were, and no longer fitted: the union of both sets covers more than stated and refers
more levels than the single set of `slip_conformal`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.evaluation.level_difficulty import SPREAD_FLOOR_PERCENT
from spondylo_ml.evaluation.slip_set import LevelPrediction, LevelSet, SlipSet, joined
from spondylo_ml.landmarks import FloatArray


class SlipReach(BaseModel):
    """How many Monte Carlo spreads a true slip may be from the predicted one.

    Attributes:
        coverage: share of true slips that the sets should hold.
        by_level: factor by slot of the upper vertebra; `other_levels` is for those not listed.
        by_grade: factor of each grade that the true slip may have, 0 to 5.
        n_levels: number of levels it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: float
    by_level: dict[int, float]
    other_levels: float
    by_grade: tuple[float, ...]
    n_levels: int

    def reach_percent(self, slot: int, spread_percent: float) -> FloatArray:
        """(6,) distance that a true slip of each grade may have from the predicted one."""
        factor = self.by_level.get(slot, self.other_levels) * max(spread_percent, SPREAD_FLOOR_PERCENT)
        return factor * np.array(self.by_grade)


class GradeLimits(BaseModel):
    """How improbable a grade may be before it is excluded.

    Attributes:
        coverage: share of true grades that the sets should hold.
        least_probability: by grade, 0 to 5: a grade at least this probable cannot be excluded.
        n_levels: number of levels it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: float
    least_probability: tuple[float, ...]
    n_levels: int

    def grade_set(self, probabilities: FloatArray, predicted: int) -> tuple[int, ...]:
        """The grades that cannot be excluded, in rising order; the predicted one is always among them.

        Args:
            probabilities: (6,) of the grades.
        """
        above_limit = set(np.flatnonzero(probabilities >= np.array(self.least_probability)).tolist())
        return tuple(sorted(above_limit | {predicted}))


class SeparateSets(BaseModel):
    """A set of slips and a set of grades.

    Attributes:
        kind: distinguishes it from `slip_conformal.SlipConformal`.
        slips: gives the set of slips.
        grades: gives the set of grades.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["separate"] = "separate"
    slips: SlipReach
    grades: GradeLimits

    @property
    def coverage(self) -> float:
        """Share of true slips that the sets should hold."""
        return self.slips.coverage

    def half_width_percent(self, level: LevelPrediction) -> float:
        """Half-width of an interval around the predicted slip, wide enough for a true slip of any grade."""
        return float(self.slips.reach_percent(level.upper_slot, level.spread_percent).max())

    def level_set(self, level: LevelPrediction) -> LevelSet:
        """The slips and the grades of a level that cannot be excluded."""
        reach = self.slips.reach_percent(level.upper_slot, level.spread_percent)
        probabilities = np.array([level.sampled_probabilities[int(grade)] for grade in Grade])
        return LevelSet(
            slip_set(level.slip_percent, reach, level.limits_percent),
            self.grades.grade_set(probabilities, level.grade),
            level.sampled_probabilities,
        )


def slip_set(slip_percent: float, reach_percent: FloatArray, limits_percent: FloatArray) -> SlipSet:
    """All slips within the reach of their own grade of the predicted slip.

    Args:
        reach_percent: (6,) by grade.
        limits_percent: of `grade_limits`.
    """
    pieces = [(slip_percent, slip_percent)]
    for grade, reach in enumerate(reach_percent):
        nearest, furthest = limits_percent[grade], limits_percent[grade + 1]
        for low, high in ((-furthest, -nearest), (nearest, furthest)):
            start, end = max(low, slip_percent - reach), min(high, slip_percent + reach)
            if start < end:
                pieces.append((start, end))
    return SlipSet(joined(pieces))
