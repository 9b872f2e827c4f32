"""Split-conformal sets of the true grade: how improbable a grade may be before it is excluded.

Sadinle, Lei and Wasserman, Least Ambiguous Set-Valued Classifiers with Bounded Error Levels (JASA 2019): a grade
belongs to the set if its probability reaches its own limit, chosen so that the stated share of the calibration levels
with this true grade reach it. A single limit for all grades would hold on average, because most levels have no slip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.slip_conformal import conformal_quantile, grade_groups
from spondylo_ml.landmarks import FloatArray


class GradeConformal(BaseModel):
    """Limits of probability by grade.

    Attributes:
        coverage: share of true grades that the sets should hold.
        least_probability: by grade, 0 to 5: a grade at least this probable cannot be excluded.
        n_levels: number of levels it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: float
    least_probability: tuple[float, ...]
    n_levels: int

    @classmethod
    def fit(cls, probabilities: FloatArray, true_grade: NDArray[np.int64], config: UncertaintyConfig) -> GradeConformal:
        """Fit (N, 6) probabilities of the grades of calibration levels, and their (N,) true grades.

        Grades with fewer than `config.least_levels` levels are pooled with adjacent ones; all are pooled if
        `config.condition` asks for coverage by level alone.

        Raises:
            DataError: fewer than `config.least_levels` levels in all.
        """
        if len(true_grade) < config.least_levels:
            raise DataError(
                f"{len(true_grade)} measurable levels to calibrate grades on; {config.least_levels} are needed"
            )
        by_grade = config.condition == "level_and_grade"
        groups = grade_groups(true_grade, config.least_levels if by_grade else len(true_grade))
        doubt = 1 - probabilities[np.arange(len(true_grade)), true_grade]
        limit = [
            1 - conformal_quantile(doubt[groups[true_grade] == g], config.coverage) for g in range(groups.max() + 1)
        ]
        least = tuple(max(float(limit[group]), 0.0) for group in groups)
        return cls(coverage=config.coverage, least_probability=least, n_levels=len(true_grade))

    def grade_set(self, probabilities: FloatArray, predicted: int) -> tuple[int, ...]:
        """The grades that cannot be excluded, in rising order; the predicted one is always among them.

        Args:
            probabilities: (6,) of the grades.
        """
        above_limit = set(np.flatnonzero(probabilities >= np.array(self.least_probability)).tolist())
        return tuple(sorted(above_limit | {predicted}))
