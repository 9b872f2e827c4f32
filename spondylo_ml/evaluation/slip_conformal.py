"""Split-conformal sets of the true slip: how many Monte Carlo spreads the true slip may be from the predicted one.

Lei et al., Distribution-Free Predictive Inference for Regression (JASA 2018). A single number for all levels would
cover the many levels without listhesis too often, and too rarely the few with one, whose slips networks underestimate.
The reach is therefore the product of a factor of the level and a factor of the grade that the *true* slip would have: a
slip belongs to the set if it is within the reach of its own grade (label-conditional: Vovk et al., Algorithmic Learning
in a Random World, 2005, section 4.5). Both factors are fitted in turn until each level and each grade are covered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.config import ClinicalConfig, UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray

SPREAD_FLOOR_PERCENT = 0.5
"""Least spread that is assumed, percent: a spread of almost 0 must not give an almost infinite score."""

ROUNDS = 20
LEAST_FACTOR = 1e-6


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


class SlipConformal(BaseModel):
    """Factors of the reach.

    Attributes:
        coverage: share of true slips that the sets should hold.
        by_level: factor by slot of the upper vertebra; `other_levels` is for those not listed.
        by_grade: factor of each grade, 0 to 5.
        n_levels: number of levels it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: float
    by_level: dict[int, float]
    other_levels: float
    by_grade: tuple[float, ...]
    n_levels: int

    @classmethod
    def fit(
        cls,
        score: FloatArray,
        slot: NDArray[np.int64],
        true_grade: NDArray[np.int64],
        config: UncertaintyConfig,
    ) -> SlipConformal:
        """Fit (N,) calibration levels: `slip_score`, slot of the upper vertebra, grade of the true slip.

        A level with fewer than `config.least_levels` observations gets the factor of all; such grades are pooled with
        adjacent ones.

        Raises:
            DataError: fewer than `config.least_levels` observations in all.
        """
        least, coverage = config.least_levels, config.coverage
        if len(score) < least:
            raise DataError(f"{len(score)} measurable levels to calibrate slips on; {least} are needed")
        grade_group = grade_groups(true_grade, least if config.condition == "level_and_grade" else len(score))
        group = grade_group[true_grade]
        slots, count = np.unique(slot, return_counts=True)
        frequent = [int(s) for s, n in zip(slots, count, strict=True) if n >= least]
        other, group_factor = 1.0, np.ones(int(group.max()) + 1)
        by_level: dict[int, float] = {}
        for _ in range(ROUNDS):
            relative = score / group_factor[group]
            other = conformal_quantile(relative, coverage)
            by_level = {s: conformal_quantile(relative[slot == s], coverage) for s in frequent}
            # A factor of 0, from calibration films without any error, would hide the errors on new films.
            relative = score / np.array([max(by_level.get(int(s), other), LEAST_FACTOR) for s in slot])
            group_factor = np.array([conformal_quantile(relative[group == g], coverage) for g in np.unique(group)])
            group_factor = np.maximum(group_factor, LEAST_FACTOR)
        return cls(
            coverage=coverage,
            by_level=by_level,
            other_levels=other,
            n_levels=len(score),
            by_grade=tuple(float(group_factor[g]) for g in grade_group),
        )

    def reach_percent(self, slot: int, spread_percent: float) -> FloatArray:
        """(6,) distance that a true slip of each grade may have from the predicted one."""
        factor = self.by_level.get(slot, self.other_levels) * max(spread_percent, SPREAD_FLOOR_PERCENT)
        return factor * np.array(self.by_grade)


def slip_score(true_percent: FloatArray, predicted_percent: FloatArray, spread_percent: FloatArray) -> FloatArray:
    """(N,) distance of true from predicted slips, in Monte Carlo spreads."""
    return np.asarray(np.abs(true_percent - predicted_percent) / np.maximum(spread_percent, SPREAD_FLOOR_PERCENT))


def conformal_quantile(scores: FloatArray, coverage: float) -> float:
    """The score that new ones do not exceed with this coverage: the ceil((n + 1) coverage)-th of n, at most the
    last."""
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def grade_limits(rules: ClinicalConfig, endplate_mm: float) -> FloatArray:
    """(7,) limits of the grades 0 to 5 in percent, from 0 to infinity.

    Args:
        endplate_mm: length of the lower superior endplate, to convert mm to percent; NaN without a spacing.
    """
    first = rules.grade0_percent
    if rules.grade0_rule == "mm_if_spacing" and endplate_mm > 0:
        first = min(100 * rules.grade0_mm / endplate_mm, rules.grade_limits_percent[0])
    return np.array([0.0, first, *rules.grade_limits_percent, np.inf])


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
    return SlipSet(_joined(pieces))


def _joined(pieces: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The pieces from low to high, with touching ones merged."""
    joined: list[tuple[float, float]] = []
    for low, high in sorted(pieces):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], float(high)))
        else:
            joined.append((float(low), float(high)))
    return tuple(joined)


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
