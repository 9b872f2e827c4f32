"""Conformal slip sets: quantiles and sets calculated by hand, and coverage on exchangeable levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.config import ClinicalConfig, UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.slip_conformal import (
    SPREAD_FLOOR_PERCENT,
    SlipConformal,
    conformal_quantile,
    grade_limits,
    slip_score,
    slip_set,
)

CONFIG = UncertaintyConfig()
BY_LEVEL = UncertaintyConfig(condition="level")
LIMITS = grade_limits(DEFAULT_RULES, np.nan)


def test_the_conformal_quantile_counts_the_new_score_as_part_of_the_sample() -> None:
    scores = np.arange(1.0, 20.0)  # 19 scores: the 18th of 20 ranks
    assert conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(scores[:9], 0.9) == 9
    assert conformal_quantile(scores[:4], 0.9) == 4, "too few scores: the largest"


def test_grade_limits_are_in_percent_or_follow_from_mm() -> None:
    assert LIMITS.tolist() == [0, 5, 25, 50, 75, 100, np.inf]
    assert grade_limits(DEFAULT_RULES, 30.0)[1] == pytest.approx(10)
    assert grade_limits(DEFAULT_RULES, 6.0)[1] == 25, "never beyond grade I"
    assert grade_limits(ClinicalConfig(grade0_rule="percent"), 30.0)[1] == 5


def test_the_same_reach_for_all_grades_gives_one_interval() -> None:
    assert slip_set(15.0, np.full(6, 4.0), LIMITS).pieces_percent == ((11.0, 19.0),)
    assert slip_set(15.0, np.full(6, 12.0), LIMITS).pieces_percent == ((3.0, 27.0),)
    assert slip_set(-2.0, np.full(6, 9.0), LIMITS).pieces_percent == ((-11.0, 7.0),)


def test_a_slip_is_in_the_set_if_within_the_reach_of_its_own_grade() -> None:
    reach = np.array([1.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    slips = slip_set(0.0, reach, LIMITS)
    assert slips.pieces_percent == ((-10.0, -5.0), (-1.0, 1.0), (5.0, 10.0))
    assert (slips.low_percent, slips.high_percent, slips.width_percent) == (-10.0, 10.0, 12.0)
    assert slip_set(0.0, np.array([1.0, 4.9, 4.9, 4.9, 4.9, 4.9]), LIMITS).high_percent == 1.0


@pytest.mark.parametrize("slip", [0.0, 4.0, 5.0, 25.0, 25.5, 50.0, 75.0, 100.0, 140.0, -25.0, -30.0])
def test_a_reach_of_0_gives_the_single_slip(slip: float) -> None:
    slips = slip_set(slip, np.zeros(6), LIMITS)
    assert (slips.pieces_percent, slips.width_percent) == (((slip, slip),), 0.0)


@given(st.floats(-150, 150), st.floats(0, 60), st.floats(0, 30))
def test_a_wider_reach_never_loses_a_slip(slip: float, reach: float, more: float) -> None:
    inner, outer = (slip_set(slip, np.full(6, r), LIMITS) for r in (reach, reach + more))
    assert outer.low_percent <= inner.low_percent <= slip <= inner.high_percent <= outer.high_percent
    assert inner.width_percent <= outer.width_percent <= outer.high_percent - outer.low_percent + 1e-9


def test_a_score_is_in_units_of_spread_with_a_floor() -> None:
    score = slip_score(np.array([10.0, 1.0]), np.array([4.0, 0.0]), np.array([3.0, 0.0]))
    assert score == pytest.approx([2.0, 1 / SPREAD_FLOOR_PERCENT])


def _levels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, slots and grades; upper levels are easier, slipped ones harder than their spread suggests."""
    rng = np.random.default_rng(seed)
    slot, grade = rng.integers(1, 6, count), rng.choice(3, count, p=[0.7, 0.2, 0.1])
    return np.abs(rng.normal(size=count)) * (2.5 - 0.4 * slot) * (1 + grade), slot, grade


def _inside(fitted: SlipConformal, score: np.ndarray, slot: np.ndarray, grade: np.ndarray) -> np.ndarray:
    reach = np.array([fitted.reach_percent(int(s), 1.0)[g] for s, g in zip(slot, grade, strict=True)])
    return np.asarray(score <= reach)


def test_coverage_on_new_levels_is_nominal_at_each_level_and_grade() -> None:
    fitted = SlipConformal.fit(*_levels(4000, 0), CONFIG)
    score, slot, grade = _levels(20000, 1)
    inside = _inside(fitted, score, slot, grade)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for s in np.unique(slot):
        assert inside[slot == s].mean() == pytest.approx(0.9, abs=0.03)
    for g in np.unique(grade):
        assert inside[grade == g].mean() == pytest.approx(0.9, abs=0.03)


def test_calibrating_by_level_alone_covers_slipped_levels_less() -> None:
    fitted = SlipConformal.fit(*_levels(4000, 0), BY_LEVEL)
    score, slot, grade = _levels(20000, 1)
    inside = _inside(fitted, score, slot, grade)
    for s in np.unique(slot):
        assert inside[slot == s].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[grade == 2].mean() < 0.75 < 0.93 < inside[grade == 0].mean()
    assert len(set(fitted.by_grade)) == 1


def test_coverage_over_many_small_calibrations_is_not_below_nominal() -> None:
    covered = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores, ones = np.abs(rng.normal(size=41)), np.ones(41, dtype=int)
        fitted = SlipConformal.fit(scores[:-1], ones[:-1], 0 * ones[:-1], BY_LEVEL)
        covered.append(bool(_inside(fitted, scores[-1:], ones[-1:], 0 * ones[-1:])[0]))
    assert np.mean(covered) >= 0.9 - 3 * np.sqrt(0.09 / 300)


def test_a_rare_level_uses_the_common_factor_and_a_rare_grade_that_of_its_neighbours() -> None:
    score, slot, grade = _levels(500, 2)
    slot[slot == 5] = 4
    slot[:3], grade[:3] = 7, 5
    fitted = SlipConformal.fit(score, slot, grade, CONFIG)
    assert 7 not in fitted.by_level
    assert fitted.reach_percent(7, 2.0) == pytest.approx(2 * fitted.other_levels * np.array(fitted.by_grade))
    assert len(set(fitted.by_grade[2:])) == 1
    assert fitted.by_grade[0] < fitted.by_grade[1] < fitted.by_grade[2]


def test_calibration_without_errors_gives_sets_of_almost_zero_width() -> None:
    ones = np.ones(40, dtype=int)
    fitted = SlipConformal.fit(np.zeros(40), ones, 0 * ones, CONFIG)
    assert (fitted.reach_percent(1, 5.0) < 1e-4).all()


def test_too_few_levels_are_an_error_that_states_how_many_are_needed() -> None:
    few = np.ones(7, dtype=int)
    with pytest.raises(DataError, match="7 measurable levels to calibrate slips on; 30 are needed"):
        SlipConformal.fit(np.ones(7), few, few, CONFIG)
