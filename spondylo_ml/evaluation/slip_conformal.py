"""One conformal set of signed slips per level, from which the grades that cannot be excluded follow.

A slip belongs to the set if

* its signed grade (`slip_set.SIGNED_GRADES`) is probable enough, or is that of the predicted slip, or lies between two
  such grades, and
* it is near enough to the predicted slip, in units of the level's own scale (`slip_distribution`).

Both limits depend on the grade that the slip has (label-conditional conformal prediction: Vovk et al., Algorithmic
Learning in a Random World, 2005, section 4.5; Sadinle, Lei and Wasserman, Least Ambiguous Set-Valued Classifiers, JASA
2019), so that the many levels without a slip do not hide the few with one. The limit of probability takes most of the
misses that the coverage allows, because a set that ends at the limit of a grade refers fewer levels than one that
crosses it by little; the limit of distance takes the rest. A common limit of probability, below which every limit of a
grade is lowered if need be, is the highest with which enough of the levels not referred are graded correctly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import t as student_t

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.calibration import patient_folds
from spondylo_ml.evaluation.slip_distribution import SlipDistribution
from spondylo_ml.evaluation.slip_set import (
    GRADE_OF_SIGNED,
    SIGNED_GRADES,
    LevelPrediction,
    LevelSet,
    SlipSet,
    joined,
    signed_edges,
    signed_grade_index,
)
from spondylo_ml.landmarks import FloatArray

IMPROBABLE_SHARE = 0.9
"""Share of the misses that the coverage allows for slips whose grade is too improbable."""

MOST_EXCLUDED = 0.5
"""A grade at least this probable is never excluded. Nearly all levels have grade 0 and are predicted so; from those
that are not, it could be excluded without loss of coverage, however probable it is."""

COMMON_LIMITS = np.concatenate([np.arange(100 * MOST_EXCLUDED, 0, -1) / 100, [0.005, 0.0025, 0.001, 0.0]])


@dataclass(frozen=True)
class CalibrationLevels:
    """N levels whose true slip is known.

    Attributes:
        patients: of each level.
        slot: (N,) slot of the upper vertebra.
        difficulty: (N, D) `level_difficulty.DIFFICULTY`.
        predicted_percent: (N,) predicted slips.
        true_percent: (N,) true slips.
        predicted_grade: (N,) 0 to 5.
        true_grade: (N,) 0 to 5.
        limits_percent: (N, 7) of `grade_limits`.
        grade0_range_percent: (N, 2) of `meyerding.grade0_range_percent`.
    """

    patients: Sequence[str]
    slot: NDArray[np.int64]
    difficulty: FloatArray
    predicted_percent: FloatArray
    true_percent: FloatArray
    predicted_grade: NDArray[np.int64]
    true_grade: NDArray[np.int64]
    limits_percent: FloatArray
    grade0_range_percent: FloatArray


class SlipConformal(BaseModel):
    """The calibrated limits.

    Attributes:
        kind: distinguishes it from `separate_sets.SeparateSets`.
        coverage: share of true slips that the sets should hold.
        distribution: of the true slip of a level.
        least_probability: by grade, 0 to 5: a signed grade at least this probable is not excluded.
        reach: by grade: distance from the predicted slip, in scales, within which a slip of it is not excluded.
        n_levels: number of levels it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["single"] = "single"
    coverage: float
    distribution: SlipDistribution
    least_probability: tuple[float, ...]
    reach: tuple[float, ...]
    n_levels: int

    @classmethod
    def fit(cls, levels: CalibrationLevels, config: UncertaintyConfig) -> SlipConformal:
        """Fit the distribution on all levels, and the limits on levels whose distribution was fitted on other patients.

        Grades with fewer than `config.least_levels` levels are pooled with adjacent ones; all are pooled if
        `config.condition` is `level`.

        Raises:
            DataError: fewer than `config.least_levels` levels in all.
        """
        count = len(levels.true_percent)
        if count < config.least_levels:
            raise DataError(f"{count} measurable levels to calibrate slips on; {config.least_levels} are needed")
        scale, probability = np.empty(count), np.empty((count, len(SIGNED_GRADES)))
        for train, held_out in _folds(levels.patients):
            distribution = _distribution(levels, train)
            scale[held_out] = distribution.scale_percent(levels.difficulty[held_out], levels.slot[held_out])
            probability[held_out] = distribution.probabilities(
                levels.predicted_percent[held_out], scale[held_out], levels.limits_percent[held_out]
            )
        limits = fit_limits(levels, scale, probability, config)
        return cls(
            coverage=config.coverage,
            distribution=_distribution(levels, np.arange(count)),
            least_probability=tuple(limits[0].tolist()),
            reach=tuple(limits[1].tolist()),
            n_levels=count,
        )

    def half_width_percent(self, level: LevelPrediction) -> float:
        """Half-width of the interval around the predicted slip that the distribution of its error alone gives.

        It takes no account of which slips are frequent, so that it may be compared between films; the set may not,
        since it often ends at the limit of a grade.
        """
        scale = self.distribution.scale_percent(np.array([level.difficulty]), np.array([level.upper_slot]))
        return float(student_t.ppf((1 + self.coverage) / 2, self.distribution.degrees_of_freedom) * scale[0])

    def level_set(self, level: LevelPrediction) -> LevelSet:
        """The slips of a level that cannot be excluded."""
        limits, slip = level.limits_percent[None], np.array([level.slip_percent])
        scale = self.distribution.scale_percent(np.array([level.difficulty]), np.array([level.upper_slot]))
        probability = self.distribution.probabilities(slip, scale, limits)[0]
        least = np.minimum(self.least_probability, MOST_EXCLUDED)  # those of older models may be higher
        kept = probability >= least[GRADE_OF_SIGNED]
        kept[signed_grade_index(slip, limits)] = True
        _fill_gaps(kept)
        edges, reach_percent = signed_edges(limits)[0], scale[0] * np.array(self.reach)[GRADE_OF_SIGNED]
        starts = np.maximum(edges[:-1], level.slip_percent - reach_percent)
        ends = np.minimum(edges[1:], level.slip_percent + reach_percent)
        near = kept & (starts < ends)
        all_near = near.copy()
        _fill_gaps(all_near)
        between = all_near & ~near
        starts[between], ends[between] = edges[:-1][between], edges[1:][between]
        pieces = [(level.slip_percent, level.slip_percent)]
        pieces += zip(starts[all_near].tolist(), ends[all_near].tolist(), strict=True)
        by_grade = np.bincount(GRADE_OF_SIGNED, weights=probability, minlength=len(Grade))
        return LevelSet(SlipSet(joined(pieces)), (level.grade,), dict(enumerate(by_grade.tolist())))


def fit_limits(
    levels: CalibrationLevels, scale_percent: FloatArray, probability: FloatArray, config: UncertaintyConfig
) -> tuple[FloatArray, FloatArray]:
    """(6,) least probabilities and (6,) reaches by grade, for (N,) scales and (N, 11) probabilities of the levels."""
    rows = np.arange(len(scale_percent))
    predicted = signed_grade_index(levels.predicted_percent, levels.limits_percent)
    true = signed_grade_index(levels.true_percent, levels.limits_percent)
    # By the limits that the set of a level has: where they are in mm, those of the predicted endplate.
    true_grade = GRADE_OF_SIGNED[true]
    distance = np.abs(levels.true_percent - levels.predicted_percent) / scale_percent
    groups = grade_groups(true_grade, config.least_levels if config.condition == "level_and_grade" else len(rows))
    doubt = -np.where(true == predicted, 1.0, probability[rows, true])
    of_grades = -_by_grade(doubt, true_grade, groups, 1 - (1 - config.coverage) * IMPROBABLE_SHARE)
    nearest = _distance_of_grades(levels, scale_percent)
    right = levels.predicted_grade == levels.true_grade
    for common in COMMON_LIMITS:
        least = np.minimum(of_grades, common)
        kept = probability >= least[GRADE_OF_SIGNED]
        kept[rows, predicted] = True
        score = np.where(kept[rows, true], distance, np.inf)
        reach = _by_grade(score, true_grade, groups, config.coverage)
        signed_reach = reach[GRADE_OF_SIGNED]
        near = kept & (nearest < signed_reach)
        alone = (near.sum(axis=1) <= 1) & ~_between_limits(levels, scale_percent[:, None] * signed_reach, near)
        # The next level counts as an error, so that few levels promise no more than they can.
        if (np.sum(alone & ~right) + 1) / (alone.sum() + 1) <= 1 - config.kept_accuracy:
            break
    return least, reach


def _between_limits(levels: CalibrationLevels, reach_percent: FloatArray, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether a set holds slips that the limits in percent and in mm may grade differently.

    Args:
        reach_percent: (N, 11) distance from the predicted slip within which a slip of each signed grade belongs to it.
        near: (N, 11) the signed grades in the set.
    """
    edges, slip = signed_edges(levels.limits_percent), levels.predicted_percent[:, None]
    starts, ends = np.maximum(edges[:, :-1], slip - reach_percent), np.minimum(edges[:, 1:], slip + reach_percent)
    low, high = levels.grade0_range_percent[:, :1], levels.grade0_range_percent[:, 1:]
    forward, backward = (starts < high) & (ends > low), (starts < -low) & (ends > -high)
    return np.asarray((near & (low < high) & (forward | backward)).any(axis=1))


def conformal_quantile(scores: FloatArray, coverage: float) -> float:
    """The score that new ones do not exceed with this coverage: the ceil((n + 1) coverage)-th of n, at most the
    last."""
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def grade_groups(true_grade: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """(6,) group of each grade: adjacent grades are pooled until a group has `least` of the (N,) true grades."""
    counts = np.bincount(true_grade, minlength=len(Grade))
    groups = np.zeros(len(Grade), dtype=np.int64)
    group, filled = 0, 0
    for grade in range(len(Grade)):
        if filled >= least and counts[grade:].sum() >= least:
            group, filled = group + 1, 0
        groups[grade] = group
        filled += int(counts[grade])
    return groups


def _by_grade(
    scores: FloatArray, true_grade: NDArray[np.int64], groups: NDArray[np.int64], coverage: float
) -> FloatArray:
    """(6,) conformal quantile of the scores of each grade's group."""
    of_group = [conformal_quantile(scores[groups[true_grade] == g], coverage) for g in range(groups.max() + 1)]
    return np.array(of_group)[groups]


def _fill_gaps(signed_grades: NDArray[np.bool_]) -> None:
    """Set what lies between the first and the last; else a level may read "forward or backward, but not in place"."""
    if signed_grades.any():
        first, last = np.flatnonzero(signed_grades)[[0, -1]]
        signed_grades[first : last + 1] = True


def _distance_of_grades(levels: CalibrationLevels, scale_percent: FloatArray) -> FloatArray:
    """(N, 11) distance of each signed grade from the predicted slip, in scales; below 0 for the slip's own."""
    edges, slip = signed_edges(levels.limits_percent), levels.predicted_percent[:, None]
    return np.asarray(np.maximum(edges[:, :-1] - slip, slip - edges[:, 1:]) / scale_percent[:, None])


def _distribution(levels: CalibrationLevels, rows: NDArray[np.int64]) -> SlipDistribution:
    return SlipDistribution.fit(
        levels.difficulty[rows], levels.slot[rows], levels.predicted_percent[rows], levels.true_percent[rows]
    )


def _folds(patients: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows held out, by patient; with a single patient both are all rows."""
    fold = patient_folds(patients)
    for held_out in np.unique(fold):
        rows = fold == held_out
        yield np.flatnonzero(~rows if not rows.all() else rows), np.flatnonzero(rows)
