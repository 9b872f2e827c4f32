"""Split-conformal sets of the true grade: how improbable a grade may look before it is excluded.

Sadinle, Lei and Wasserman, Least Ambiguous Set-Valued Classifiers with Bounded Error Levels (JASA 2019): a grade
belongs to the set where its probability reaches a limit of its own, chosen so that the stated share of the calibration
levels that truly have this grade reach it. One limit for all grades would hold on average, by the many spines without a
slip.
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
    """Limits of probability.

    Attributes:
        coverage: share of true grades that the sets are made to hold.
        least_probability: by grade, 0 to 5: what is not less probable than this cannot be excluded.
        n_levels: levels that it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: float
    least_probability: tuple[float, ...]
    n_levels: int

    @classmethod
    def fit(cls, probabilities: FloatArray, true_grade: NDArray[np.int64], config: UncertaintyConfig) -> GradeConformal:
        """From (N, 6) probabilities of the grades of calibration levels and (N,) their true grades.

        Grades with fewer than `config.least_levels` are taken together with those beside them; all are, where
        `config.condition` asks for coverage by level alone.

        Raises:
            DataError: fewer than `config.least_levels` in all.
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
        """The grades that cannot be excluded, rising; the predicted one is always among them.

        Args:
            probabilities: (6,) of the grades.
        """
        kept = set(np.flatnonzero(probabilities >= np.array(self.least_probability)).tolist())
        return tuple(sorted(kept | {predicted}))
