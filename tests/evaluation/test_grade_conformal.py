"""Conformal grade sets: limits and sets calculated by hand, and coverage at each grade on exchangeable levels."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.grade_conformal import GradeConformal

CONFIG = UncertaintyConfig()


def two_grades(probability_of_i: np.ndarray) -> np.ndarray:
    """(N, 6) probabilities of levels that have grade 0 or I."""
    probabilities = np.zeros((len(probability_of_i), 6))
    probabilities[:, 0], probabilities[:, 1] = 1 - probability_of_i, probability_of_i
    return probabilities


def levels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and true grades; slips are rare, and their probability is underestimated."""
    rng = np.random.default_rng(seed)
    true = (rng.random(count) < 0.15).astype(np.int64)
    return two_grades(np.where(true == 1, rng.beta(1.5, 2.0, count), rng.beta(1.0, 6.0, count))), true


def test_nine_of_ten_true_grades_reach_the_limit() -> None:
    true = np.repeat([0, 1], 99)
    rising = np.arange(1, 100) / 100
    # where it is true, grade 0 has probabilities of 0.01 to 0.99, and grade I half of that
    probabilities = np.concatenate([two_grades(1 - rising), two_grades(rising / 2)])
    fitted = GradeConformal.fit(probabilities, true, CONFIG)
    # the 90th of 100 ranks, from the most probable down
    assert fitted.least_probability[0] == pytest.approx(0.10)
    assert fitted.least_probability[1] == pytest.approx(0.05)
    assert fitted.least_probability[2:] == fitted.least_probability[1:2] * 4, (
        "grades without data take the limit of their neighbours"
    )
    assert fitted.n_levels == 198


def test_a_set_holds_the_grades_that_reach_their_limit_and_always_the_predicted_one() -> None:
    fitted = GradeConformal(coverage=0.9, least_probability=(0.2, 0.1, 0.3, 0.3, 0.3, 0.3), n_levels=100)
    assert fitted.grade_set(np.array([0.85, 0.15, 0, 0, 0, 0]), 0) == (0, 1)
    assert fitted.grade_set(np.array([0.95, 0.05, 0, 0, 0, 0]), 0) == (0,)
    assert fitted.grade_set(np.array([0.1, 0.1, 0.3, 0.25, 0.25, 0]), 1) == (1, 2)
    assert fitted.grade_set(np.array([0.16, 0.09, 0.25, 0.25, 0.25, 0]), 4) == (4,)


def test_coverage_on_new_levels_is_nominal_at_each_grade() -> None:
    fitted = GradeConformal.fit(*levels(6000, 0), CONFIG)
    probabilities, true = levels(20000, 1)
    sets = [fitted.grade_set(row, int(row.argmax())) for row in probabilities]
    covered = np.array([grade in grade_set for grade, grade_set in zip(true, sets, strict=True)])
    # the predicted grade is always in the set, so the common grade may be covered more often
    assert covered[true == 1].mean() == pytest.approx(0.9, abs=0.02)
    assert covered[true == 0].mean() > 0.89


def test_calibrating_by_level_alone_covers_slips_less_often_and_refers_fewer() -> None:
    calibrations = [
        GradeConformal.fit(*levels(6000, 0), UncertaintyConfig(condition=c)) for c in ("level_and_grade", "level")
    ]
    probabilities, true = levels(20000, 1)
    covered, referred = [], []
    for fitted in calibrations:
        sets = [fitted.grade_set(row, int(row.argmax())) for row in probabilities]
        covered.append(np.mean([g in grade_set for g, grade_set in zip(true, sets, strict=True) if g == 1]))
        referred.append(np.mean([len(grade_set) > 1 for grade_set in sets]))
    assert covered[1] < covered[0] - 0.1
    assert referred[1] < referred[0]


def test_too_few_levels_are_rejected() -> None:
    probabilities, true = levels(29, 0)
    with pytest.raises(DataError, match="29 measurable levels to calibrate grades on; 30 are needed"):
        GradeConformal.fit(probabilities, true, CONFIG)
