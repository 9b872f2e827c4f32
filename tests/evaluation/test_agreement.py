"""Agreement: published values, perfect and degenerate cases, and integer weights that equal repeated rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.evaluation.agreement import (
    area_under_curve,
    intraclass_correlation,
    limits_of_agreement,
    quadratic_kappa,
    slope,
)

SHROUT_AND_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Table 2 of their 1979 paper, with ICC(2,1) = 0.29 and ICC(3,1) = 0.71."""


def test_the_published_example_gives_the_published_correlations() -> None:
    absolute, consistent = intraclass_correlation(SHROUT_AND_FLEISS, np.ones(6))
    assert absolute == pytest.approx(0.29, abs=0.005)
    assert consistent == pytest.approx(0.71, abs=0.005)


def test_a_constant_bias_lowers_agreement_but_not_consistency() -> None:
    true = np.array([0.0, 5, 10, 30])
    absolute, consistent = intraclass_correlation(np.stack([true, true + 10], axis=1), np.ones(4))
    assert consistent == pytest.approx(1.0)
    assert 0.6 < absolute < 0.9
    assert intraclass_correlation(np.stack([true, true], axis=1), np.ones(4)) == (1.0, 1.0)


@pytest.mark.parametrize("ratings", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((5, 2))])
def test_too_few_or_identical_subjects_have_no_correlation(ratings: np.ndarray) -> None:
    assert all(math.isnan(value) for value in intraclass_correlation(ratings, np.ones(len(ratings))))


def test_limits_of_agreement_match_a_hand_calculation() -> None:
    low, high = limits_of_agreement(np.array([1.0, 2.0, 3.0]), np.ones(3))  # mean 2, standard deviation 1
    assert (low, high) == pytest.approx((2 - 1.96, 2 + 1.96))
    assert all(math.isnan(limit) for limit in limits_of_agreement(np.array([1.0]), np.ones(1)))


def test_the_slope_shows_what_the_mean_error_does_not() -> None:
    true = np.array([-10.0, 0.0, 10.0, 20.0])
    assert slope(true, true + 3, np.ones(4)) == pytest.approx(1)
    shrunk = 0.5 * true + 2.5
    assert float(np.mean(shrunk - true)) == 0
    assert slope(true, shrunk, np.ones(4)) == pytest.approx(0.5)
    assert slope(true, np.array([0.0, 5.0, 10.0, 99.0]), np.array([1.0, 2.0, 3.0, 0.0])) == pytest.approx(0.5)
    assert math.isnan(slope(np.full(3, 4.0), np.arange(3.0), np.ones(3)))
    assert math.isnan(slope(true, true, np.zeros(4)))


def test_kappa_matches_a_hand_calculation() -> None:
    true, predicted = np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 2])
    # Mean squared grade difference: observed 1/4; by chance, the mean over all 16 pairs of true and predicted grades.
    expected = np.mean([(a - b) ** 2 for a in true for b in predicted])
    assert quadratic_kappa(true, predicted, np.ones(4)) == pytest.approx(1 - 0.25 / expected)
    assert quadratic_kappa(true, true, np.ones(4)) == 1
    assert math.isnan(quadratic_kappa(np.zeros(3), np.zeros(3), np.ones(3)))


def test_kappa_weights_by_the_difference_of_grades_not_of_their_ranks() -> None:
    true, predicted = np.array([0.0, 0, 4, 4]), np.array([0.0, 4, 4, 4])
    all_grades = np.arange(5.0)
    with_all_grades = quadratic_kappa(
        np.append(true, all_grades), np.append(predicted, all_grades), np.append(np.ones(4), np.zeros(5))
    )
    assert quadratic_kappa(true, predicted, np.ones(4)) == pytest.approx(with_all_grades)


def test_the_area_under_the_curve_is_the_share_of_correctly_ordered_pairs() -> None:
    positive, size = np.array([0.0, 0, 1, 1]), np.array([1.0, 6, 5, 9])
    assert area_under_curve(positive, size, np.ones(4)) == pytest.approx(3 / 4)
    assert math.isnan(area_under_curve(np.ones(3), size[:3], np.ones(3)))


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_an_integer_weight_equals_repeating_the_row(counts: list[int]) -> None:
    rng = np.random.default_rng(0)
    ratings, grades = rng.normal(size=(6, 2)), rng.integers(0, 3, (6, 2)).astype(float)
    weights, repeat = np.array(counts, dtype=float), np.repeat(np.arange(6), counts)
    ones = np.ones(len(repeat))
    pairs = [
        (intraclass_correlation(ratings, weights), intraclass_correlation(ratings[repeat], ones)),
        (slope(*ratings.T, weights), slope(*ratings[repeat].T, ones)),
        (limits_of_agreement(ratings[:, 0], weights), limits_of_agreement(ratings[repeat, 0], ones)),
        (quadratic_kappa(*grades.T, weights), quadratic_kappa(*grades[repeat].T, ones)) if len(repeat) else (0, 0),
    ]
    for weighted, repeated in pairs:
        assert weighted == pytest.approx(repeated, nan_ok=True)
