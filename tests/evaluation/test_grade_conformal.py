"""Conformal sets of grades: limits and sets by hand, coverage at each grade on exchangeable levels."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.grade_conformal import GradeConformal

CONFIG = UncertaintyConfig()


def two_grades(probability_of_i: np.ndarray) -> np.ndarray:
    """(N, 6) probabilities of levels that have the grade 0 or I."""
    made = np.zeros((len(probability_of_i), 6))
    made[:, 0], made[:, 1] = 1 - probability_of_i, probability_of_i
    return made


def levels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and true grades: slips are rare, and look less probable than they are."""
    rng = np.random.default_rng(seed)
    true = (rng.random(count) < 0.15).astype(np.int64)
    return two_grades(np.where(true == 1, rng.beta(1.5, 2.0, count), rng.beta(1.0, 6.0, count))), true


def test_the_limit_is_what_nine_of_ten_true_grades_reach() -> None:
    true = np.repeat([0, 1], 99)
    rising = np.arange(1, 100) / 100
    # grade 0 looks 0.01 to 0.99 probable where it is true, grade I half of that
    probabilities = np.concatenate([two_grades(1 - rising), two_grades(rising / 2)])
    fitted = GradeConformal.fit(probabilities, true, CONFIG)
    # the 90th of 100 places from the most probable down
    assert fitted.least_probability[0] == pytest.approx(0.10)
    assert fitted.least_probability[1] == pytest.approx(0.05)
    assert fitted.least_probability[2:] == fitted.least_probability[1:2] * 4, "unseen grades go with those beside them"
    assert fitted.n_levels == 198


def test_a_set_holds_what_reaches_its_limit_and_always_the_predicted_grade() -> None:
    fitted = GradeConformal(coverage=0.9, least_probability=(0.2, 0.1, 0.3, 0.3, 0.3, 0.3), n_levels=100)
    assert fitted.grade_set(np.array([0.85, 0.15, 0, 0, 0, 0]), 0) == (0, 1)
    assert fitted.grade_set(np.array([0.95, 0.05, 0, 0, 0, 0]), 0) == (0,)
    assert fitted.grade_set(np.array([0.1, 0.1, 0.3, 0.25, 0.25, 0]), 1) == (1, 2)
    assert fitted.grade_set(np.array([0.16, 0.09, 0.25, 0.25, 0.25, 0]), 4) == (4,)


def test_new_levels_are_covered_as_stated_at_each_grade() -> None:
    fitted = GradeConformal.fit(*levels(6000, 0), CONFIG)
    probabilities, true = levels(20000, 1)
    sets = [fitted.grade_set(row, int(row.argmax())) for row in probabilities]
    held = np.array([grade in kept for grade, kept in zip(true, sets, strict=True)])
    # the predicted grade is kept in any case, so that the common one may be held more often
    assert held[true == 1].mean() == pytest.approx(0.9, abs=0.02)
    assert held[true == 0].mean() > 0.89


def test_without_the_grade_as_condition_slips_are_held_less_often_and_fewer_are_referred() -> None:
    both = [GradeConformal.fit(*levels(6000, 0), UncertaintyConfig(condition=c)) for c in ("level_and_grade", "level")]
    probabilities, true = levels(20000, 1)
    held, referred = [], []
    for fitted in both:
        sets = [fitted.grade_set(row, int(row.argmax())) for row in probabilities]
        held.append(np.mean([g in kept for g, kept in zip(true, sets, strict=True) if g == 1]))
        referred.append(np.mean([len(kept) > 1 for kept in sets]))
    assert held[1] < held[0] - 0.1
    assert referred[1] < referred[0]


def test_too_few_levels_are_refused() -> None:
    probabilities, true = levels(29, 0)
    with pytest.raises(DataError, match="29 measurable levels to calibrate grades on; 30 are needed"):
        GradeConformal.fit(probabilities, true, CONFIG)
