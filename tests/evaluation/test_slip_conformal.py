"""The conformal set of slips: limits and sets calculated by hand, properties, and coverage on exchangeable levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.clinical.meyerding import DEFAULT_RULES, grade0_range_percent, grades
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.slip_conformal import (
    CalibrationLevels,
    SlipConformal,
    conformal_quantile,
    fit_limits,
    grade_groups,
)
from spondylo_ml.evaluation.slip_distribution import SLIP_GRID, SlipDistribution
from spondylo_ml.evaluation.slip_set import SIGNED_GRADES, LevelPrediction, grade_limits, signed_grade_index
from spondylo_ml.evaluation.verdict import grades_touched, level_verdict

CONFIG = UncertaintyConfig()
COVERAGE_ALONE = UncertaintyConfig(kept_accuracy=0.5)
LIMITS = grade_limits(DEFAULT_RULES, np.nan)
ZERO, FORWARD = (int(np.flatnonzero(SIGNED_GRADES == grade)[0]) for grade in (0, 1))


def calibration_levels(
    predicted: np.ndarray, true: np.ndarray, difficulty: np.ndarray | None = None
) -> CalibrationLevels:
    """Levels of as many patients, all at L5/S1."""
    count = len(true)
    return CalibrationLevels(
        patients=[f"patient {i}" for i in range(count)],
        slot=np.ones(count, dtype=np.int64),
        difficulty=np.zeros((count, 1)) if difficulty is None else difficulty[:, None],
        predicted_percent=predicted,
        true_percent=true,
        predicted_grade=grades(predicted).astype(np.int64),
        true_grade=grades(true).astype(np.int64),
        limits_percent=np.tile(LIMITS, (count, 1)),
        grade0_range_percent=np.full((count, 2), 5.0),
    )


def doubtful(of_forward: np.ndarray) -> np.ndarray:
    """(N, 11) probabilities of levels that have grade 0 or I forward."""
    probability = np.zeros((len(of_forward), len(SIGNED_GRADES)))
    probability[:, ZERO], probability[:, FORWARD] = 1 - of_forward, of_forward
    return probability


def drawn(count: int, seed: int) -> CalibrationLevels:
    """Slips of 0 to 40 %, forward and backward, a third of them below 5 %, with errors that their difficulty scales."""
    rng = np.random.default_rng(seed)
    size = np.where(rng.random(count) < 0.4, rng.uniform(0, 5, count), rng.uniform(5, 40, count))
    true, difficulty = size * rng.choice([-1, 1], count), rng.normal(size=count)
    return calibration_levels(true + 2 * np.exp(0.5 * difficulty) * rng.normal(size=count), true, difficulty)


def prediction_of(levels: CalibrationLevels, i: int) -> LevelPrediction:
    return LevelPrediction(
        upper_slot=int(levels.slot[i]),
        slip_percent=float(levels.predicted_percent[i]),
        grade=int(levels.predicted_grade[i]),
        limits_percent=levels.limits_percent[i],
        grade0_range_percent=(5.0, 5.0),
        spread_percent=1.0,
        difficulty=tuple(levels.difficulty[i]),
        sampled_probabilities={},
    )


def measured(fitted: SlipConformal, levels: CalibrationLevels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each level whether its set holds the true slip, its verdict the true grade, and whether it is referred."""
    rows = []
    for i, true in enumerate(levels.true_percent):
        found = fitted.level_set(prediction_of(levels, i))
        verdict = level_verdict(found.slips, found.grades, LIMITS)
        rows.append((found.slips.holds(true), int(levels.true_grade[i]) in verdict.grades, verdict.refer))
    inside, in_grades, referred = np.array(rows).T
    return inside, in_grades, referred


def fixed(least: tuple[float, ...], reach: tuple[float, ...], log_scale: float = 0.0) -> SlipConformal:
    """A calibration with these limits for levels that are all equally difficult."""
    distribution = SlipDistribution(
        centre=(0.0,), deviation=(1.0,), weights=(0.0,), by_slot={}, log_scale=log_scale, degrees_of_freedom=50.0,
        density=(1.0,) * len(SLIP_GRID),
    )  # fmt: skip
    return SlipConformal(coverage=0.9, distribution=distribution, least_probability=least, reach=reach, n_levels=99)


def level_at(slip: float) -> LevelPrediction:
    return prediction_of(calibration_levels(np.array([slip]), np.array([slip])), 0)


def test_the_conformal_quantile_counts_the_new_score_as_part_of_the_sample() -> None:
    scores = np.arange(1.0, 20.0)  # 19 scores: the 18th of 20 ranks
    assert conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(scores[:9], 0.9) == 9
    assert conformal_quantile(scores[:4], 0.9) == 4, "too few scores: the largest"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_the_conformal_quantile_rises_with_the_coverage(scores: list[float], one: float, other: float) -> None:
    low, high = (conformal_quantile(np.array(scores), coverage) for coverage in sorted((one, other)))
    assert low <= high


def test_rare_grades_are_pooled_with_their_neighbours() -> None:
    assert grade_groups(np.repeat([0, 1, 2, 3], [50, 20, 15, 3]), 30).tolist() == [0, 1, 1, 1, 1, 1]
    assert grade_groups(np.repeat([0, 1], [50, 20]), 30).tolist() == [0] * 6


def test_without_a_wrong_grade_no_other_grade_is_kept_and_the_reach_is_the_quantile_of_the_errors() -> None:
    """19 levels without a slip, measured 0.1 to 1.9 % too high with a scale of 0.5 %: errors of 0.2 to 3.8 scales."""
    levels = calibration_levels(np.arange(1, 20) / 10, np.zeros(19))
    config = UncertaintyConfig(kept_accuracy=0.5, least_levels=10)
    least, reach = fit_limits(levels, np.full(19, 0.5), doubtful(np.full(19, 0.1)), config)
    assert least.tolist() == [0.5] * 6
    assert reach == pytest.approx(np.full(6, 3.6)), "the 18th of 20 ranks"


@pytest.mark.parametrize("seed", range(12))
def test_every_reach_is_finite_where_both_limits_are_of_the_same_rank(seed: int) -> None:
    """Of 66 levels of grade I, 61 must have a grade that is probable enough, and 61 must be near enough."""
    falling = np.concatenate([np.random.default_rng(seed).uniform(0.02, 0.3, 66), np.zeros(100)])
    true = np.concatenate([np.linspace(5.1, 9, 66), np.zeros(100)])
    levels = calibration_levels(np.where(true > 0, 4.9, 0.0), true)
    least, reach = fit_limits(levels, np.ones(len(true)), doubtful(falling), COVERAGE_ALONE)
    assert np.isfinite(reach).all()
    assert (falling[:66] >= least[1]).sum() == 61


def test_limits_are_of_the_grades_that_a_set_distinguishes() -> None:
    """8.7 % of a true endplate of 35 mm are 3.04 mm, grade I; by the predicted endplate grade 0 ends at 8.8 %."""
    true = np.concatenate([np.full(66, 8.7), np.zeros(100)])
    levels = calibration_levels(np.zeros(len(true)), true)
    limits = np.tile(grade_limits(DEFAULT_RULES, 34.0), (len(true), 1))
    levels = replace(levels, limits_percent=limits, true_grade=(true > 0).astype(np.int64))
    _, reach = fit_limits(levels, np.ones(len(true)), doubtful(np.full(len(true), 0.1)), COVERAGE_ALONE)
    assert reach == pytest.approx(np.full(6, 8.7)), "all are grade 0 by the limits of their sets"


def test_levels_that_the_limit_in_mm_refers_do_not_count_as_accurate() -> None:
    """Without a spacing, all of 400 levels at 7.5 % are referred: they must not make up for wrong grades of others."""
    rng = np.random.default_rng(0)

    def without_spacing(count: int) -> CalibrationLevels:
        true = np.where(rng.random(count) < 0.15, rng.normal(0, 1.5, count), rng.normal(7.5, 1.0, count))
        levels = calibration_levels(true + rng.normal(0, 2.0, count), true)
        return replace(levels, grade0_range_percent=np.tile(grade0_range_percent(DEFAULT_RULES, np.nan), (count, 1)))

    fitted, new = SlipConformal.fit(without_spacing(500), CONFIG), without_spacing(2000)
    right = []
    for i in range(2000):
        level = replace(prediction_of(new, i), grade0_range_percent=(5.0, 10.0))
        found = fitted.level_set(level)
        if not level_verdict(found.slips, found.grades, LIMITS, level.grade0_range_percent).refer:
            right.append(new.predicted_grade[i] == new.true_grade[i])
    assert 100 < len(right) < 400, "of some 300 levels without a slip"
    assert np.mean(right) > 0.94


def test_nine_tenths_of_the_misses_are_slips_whose_grade_is_too_improbable() -> None:
    """99 levels of grade I are all measured as 4.9 %, with probabilities of grade I of 0.01 to 0.99: at a coverage of
    90 %, 9 of 100 may be excluded by their probability. One more is excluded by its distance. 200 levels without a slip
    are measured without an error.
    """
    true = np.concatenate([4.9 + np.arange(1, 100) / 10, np.zeros(200)])
    levels = calibration_levels(np.where(true > 0, 4.9, 0.0), true)
    falling = np.concatenate([np.arange(99, 0, -1) / 100, np.zeros(200)])
    least, reach = fit_limits(levels, np.ones(299), doubtful(falling), COVERAGE_ALONE)
    assert least == pytest.approx([0.5, *[0.09] * 5]), "the 91st of 100 ranks, from the most probable down"
    assert reach == pytest.approx([0.0, *[9.0] * 5]), "the 90th, of errors that rise as the probability falls"


def test_more_levels_are_referred_until_enough_of_the_others_are_right() -> None:
    """100 levels are measured as 4 %: 95 rightly, with a probability of grade I of 5 %, and 5 wrongly, with 30 %.

    The coverage needs no other grade, but with the next level counted as wrong, 6 of 101 are above 5 %. Keeping grade I
    at 30 % refers the 5 wrong ones.
    """
    true = np.where(np.arange(100) < 95, 1.5, 6.0)
    levels = calibration_levels(np.full(100, 4.0), true)
    probability = doubtful(np.where(true > 5, 0.30, 0.05))
    pooled = {"condition": "level", "least_levels": 10}
    least, _ = fit_limits(levels, np.ones(100), probability, UncertaintyConfig(kept_accuracy=0.9, **pooled))
    assert least[1] == 0.5
    least, _ = fit_limits(levels, np.ones(100), probability, UncertaintyConfig(kept_accuracy=0.95, **pooled))
    assert least[1] == pytest.approx(0.30)


def test_a_grade_that_is_more_probable_than_not_is_never_excluded() -> None:
    """A slip of 5.3 % with a scale of 1 is grade I by its size, and more probably grade 0, which most levels have."""
    even = fixed((1.0,) * 6, (2.0,) * 6)
    mostly_0 = even.distribution.model_copy(update={"density": tuple(np.where(np.abs(SLIP_GRID) < 5, 10.0, 1.0))})
    sets = [each.level_set(level_at(5.3)) for each in (even, even.model_copy(update={"distribution": mostly_0}))]
    assert [found.probabilities[0] > 0.5 for found in sets] == [False, True]
    assert sets[0].slips.pieces_percent == pytest.approx(np.array([[5.0, 7.3]]))
    assert sets[1].slips.pieces_percent == pytest.approx(np.array([[3.3, 7.3]]))


def test_a_grade_between_two_that_are_kept_is_kept() -> None:
    """Backward and forward slips of grade I are kept by their low limit, grade 0 only for lying between them."""
    level = level_at(6.0)
    found = fixed((0.5, 0.0, 1.0, 1.0, 1.0, 1.0), (20.0,) * 6).level_set(level)
    assert found.probabilities[0] < 0.5
    assert found.slips.pieces_percent == ((-14.0, 25.0),)


def test_a_grade_between_two_that_are_near_enough_is_kept_whole() -> None:
    """Slips of grade I may be 20 off, and those of grade 0 only half of one: without a slip is nearer than backward."""
    found = fixed((0.5, 0.0, 1.0, 1.0, 1.0, 1.0), (0.5, 20.0, 1.0, 1.0, 1.0, 1.0)).level_set(level_at(6.0))
    assert found.slips.pieces_percent == ((-14.0, 25.0),)
    near = fixed((0.5, 0.0, 1.0, 1.0, 1.0, 1.0), (1.5, 20.0, 1.0, 1.0, 1.0, 1.0)).level_set(level_at(6.0))
    assert near.slips.pieces_percent == ((-14.0, -5.0), (4.5, 25.0))


def test_a_set_ends_at_the_limit_of_an_excluded_grade() -> None:
    """The predicted slip of 4 % has a scale of 1: grade I has a probability of about 1 in 6."""
    excluded = fixed((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), (3.0,) * 6).level_set(level_at(4.0))
    assert excluded.slips.pieces_percent == ((1.0, 5.0),)
    kept = fixed((0.5, 0.1, 0.5, 0.5, 0.5, 0.5), (3.0, 1.5, 3.0, 3.0, 3.0, 3.0)).level_set(level_at(4.0))
    assert kept.slips.pieces_percent == ((1.0, 5.5),)
    out_of_reach = fixed((0.5, 0.1, 0.5, 0.5, 0.5, 0.5), (3.0, 0.9, 3.0, 3.0, 3.0, 3.0)).level_set(level_at(4.0))
    assert out_of_reach.slips.pieces_percent == ((1.0, 5.0),)
    assert kept.grades == (0,)
    assert kept.probabilities[1] == pytest.approx(0.17, abs=0.05)
    assert sum(kept.probabilities.values()) == pytest.approx(1)


@given(
    st.floats(-130, 130),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
    st.lists(st.floats(0, 40), min_size=6, max_size=6),
    st.floats(-2, 3),
)
def test_slips_grades_and_verdict_never_contradict_each_other(
    slip: float, least: list[float], reach: list[float], log_scale: float
) -> None:
    level = level_at(slip)
    found = fixed(tuple(least), tuple(reach), log_scale).level_set(level)
    verdict = level_verdict(found.slips, found.grades, LIMITS)
    assert found.slips.holds(slip)
    touched = grades_touched(found.slips, LIMITS) | grades_touched(found.slips, LIMITS, backward=True)
    if verdict.slips_known:
        assert set(verdict.grades) == touched | {level.grade}
        directions = [bool(grades_touched(found.slips, LIMITS, backward=b) - {0}) for b in (False, True)]
        assert verdict.refer == (len(verdict.grades) > 1 or all(directions))
    else:
        assert verdict.refer
    if not verdict.refer:
        ends = np.array(found.slips.pieces_percent)
        middles = ends.mean(axis=1)
        assert set(grades(middles).astype(int)) == {level.grade}


@given(st.floats(-130, 130), st.floats(0, 1), st.floats(0, 1), st.floats(0, 20), st.floats(0, 20))
def test_a_lower_limit_of_probability_and_a_longer_reach_never_lose_a_slip(
    slip: float, least: float, share: float, reach: float, more: float
) -> None:
    inner = fixed((least,) * 6, (reach,) * 6).level_set(level_at(slip)).slips
    outer = fixed((least * share,) * 6, (reach + more,) * 6).level_set(level_at(slip)).slips
    assert all(outer.holds(low) and outer.holds(high) for low, high in inner.pieces_percent)
    assert inner.width_percent <= outer.width_percent + 1e-9


@pytest.mark.parametrize("seed", [0, 1])
def test_coverage_on_new_levels_is_nominal_at_each_grade(seed: int) -> None:
    calibration, new = drawn(1500, seed), drawn(3000, 100 + seed)
    fitted = SlipConformal.fit(calibration, CONFIG)
    inside, in_grades, referred = measured(fitted, new)
    for grade in range(3):
        counts = [(levels.true_grade == grade).sum() for levels in (calibration, new)]
        noise = np.sqrt(0.09 * sum(1 / n for n in counts))
        of_grade = new.true_grade == grade
        assert inside[of_grade].mean() == pytest.approx(0.9, abs=3 * noise)
        assert (in_grades >= inside)[of_grade].mean() > 0.99
    right = (new.predicted_grade == new.true_grade)[~referred.astype(bool)]
    assert right.mean() > 0.95 - 3 * np.sqrt(0.05 * 0.95 / len(right))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_coverage_width_and_referral_rise_with_the_stated_coverage(seed: int) -> None:
    calibration, new = drawn(400, seed), drawn(200, seed + 5000)
    results = []
    for coverage in (0.6, 0.8, 0.95):
        fitted = SlipConformal.fit(calibration, UncertaintyConfig(coverage=coverage, kept_accuracy=0.5))
        inside, _, referred = measured(fitted, new)
        results.append((inside.mean(), referred.mean()))
    covered, share_referred = np.array(results).T
    assert (np.diff(covered) > 0).all()
    assert (np.diff(share_referred) >= 0).all()


def test_pooled_grades_cover_a_rare_grade_less_and_refer_fewer() -> None:
    """Levels of grade II have three times the error that their difficulty suggests."""

    def harder(levels: CalibrationLevels) -> CalibrationLevels:
        error = levels.predicted_percent - levels.true_percent
        predicted = levels.true_percent + np.where(levels.true_grade == 2, 3.0, 1.0) * error
        return replace(levels, predicted_percent=predicted, predicted_grade=grades(predicted).astype(np.int64))

    calibration, new = harder(drawn(1500, 3)), harder(drawn(1500, 4))
    of_ii, covered = new.true_grade == 2, []
    for condition in ("level_and_grade", "level"):
        fitted = SlipConformal.fit(calibration, UncertaintyConfig(condition=condition, kept_accuracy=0.5))
        covered.append(measured(fitted, new)[0][of_ii].mean())
        assert len(set(fitted.reach)) == (1 if condition == "level" else 3)
    assert covered[1] < covered[0] - 0.05


def test_a_fitted_calibration_keeps_the_signed_grade_of_the_prediction_and_round_trips() -> None:
    fitted = SlipConformal.fit(drawn(300, 5), CONFIG)
    assert fitted.n_levels == 300
    assert SlipConformal.model_validate_json(fitted.model_dump_json()) == fitted
    for slip in (-30.0, 0.0, 5.0, 24.9, 90.0):
        slips = fitted.level_set(level_at(slip)).slips
        index = signed_grade_index(np.array([slip]), LIMITS[None])[0]
        inner = [x for low, high in slips.pieces_percent for x in (low + 1e-6, high - 1e-6)]
        assert index in signed_grade_index(np.array(inner), np.tile(LIMITS, (len(inner), 1)))


def test_levels_of_a_single_patient_can_be_calibrated_on() -> None:
    levels = drawn(60, 6)
    fitted = SlipConformal.fit(replace(levels, patients=["one"] * 60), CONFIG)
    assert np.isfinite(fitted.reach).all()


def test_too_few_levels_are_an_error_that_states_how_many_are_needed() -> None:
    with pytest.raises(DataError, match="7 measurable levels to calibrate slips on; 30 are needed"):
        SlipConformal.fit(drawn(7, 0), CONFIG)
