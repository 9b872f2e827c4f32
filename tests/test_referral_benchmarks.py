"""The measuring scripts of referral: a linear program solved by hand, and a table of known levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.least_referral import least_referral
from benchmarks.referral import simulate, summary


def test_the_least_referral_of_a_case_solved_by_hand() -> None:
    """80 levels have grade 0 for certain, and 20 have grade 0 or I equally often.

    If a share k of all levels is graded among the latter, k / 2 are wrong, which may be 5 % of 0.8 + k: k = 4 / 45.
    """
    bins, true = np.repeat([0, 1], [80, 20]), np.repeat([5, 5, 6], [80, 10, 10])
    referred, right = least_referral(bins, true)
    assert referred == pytest.approx(0.2 - 4 / 45)
    assert right == pytest.approx(0.95)
    assert least_referral(bins, np.repeat([5, 6], [80, 20])) == pytest.approx((0, 1))


def test_the_summary_counts_levels_by_their_true_grade() -> None:
    levels = pd.DataFrame(
        {"true_slip_percent": [0, 1, 9, np.nan], "true_grade": [0, 0, 1, np.nan], "pred_grade": [0, 1, np.nan, 0],
         "refer": [False, False, True, True], "in_set": [1, 0, np.nan, np.nan], "in_grade_set": [1, 0, np.nan, np.nan]}
    )  # fmt: skip
    lines = summary(levels).splitlines()
    assert lines[2] == "| all | 3 | 50.0% | 50.0% | 33.3% | 50.0% |"
    assert lines[3] == "| grade 0 | 2 | 50.0% | 50.0% | 0.0% | 50.0% |"
    assert lines[-1] == "Not measured: 33.3%; grade right of all others: 50.0%."


def test_simulated_corners_have_the_given_error() -> None:
    predictions = simulate(40, 3, "even", 2.0)
    errors = predictions.corners
    assert 0.02 < predictions.radial_errors["heat_share"].min() < predictions.radial_errors["heat_share"].max() < 1
    assert errors["film_id"].nunique() == 40
    radius = predictions.radial_errors["radius"]
    # with stated deviations of 0.6 of the true ones: the median of Rayleigh's distribution, 1.18, over 0.6
    assert radius.median() == pytest.approx(1.18 / 0.6, rel=0.15)
