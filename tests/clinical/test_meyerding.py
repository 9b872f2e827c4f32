"""Meyerding grades: exact limits, grade 0, names, and correct grades of synthetic films."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spines import tilted_film

from spondylo_ml.clinical.meyerding import (
    TOLERANCE,
    Grade,
    direction,
    grade0_range_percent,
    grade_name,
    grade_of,
    grades,
)
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.slip import slip_percent
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError

LIMITS = (25.0, 50.0, 75.0, 100.0)


@pytest.mark.parametrize(
    ("slip", "grade"),
    [
        (0.0, 0), (4.999, 0), (5.0, 1), (24.999, 1), (25.0, 1), (25.001, 2), (50.0, 2), (50.001, 3),
        (75.0, 3), (75.001, 4), (100.0, 4), (100.001, 5), (180.0, 5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sign", [1, -1])
def test_upper_limits_are_inclusive_forward_and_backward(slip: float, grade: int, sign: int) -> None:
    assert grade_of(sign * slip) == grade


@pytest.mark.parametrize(("limit", "grade"), [(5.0, 1), (25.0, 1), (50.0, 2), (75.0, 3), (100.0, 4)])
@pytest.mark.parametrize("rounding", [-1e-12, 1e-12])
def test_rounding_at_a_limit_does_not_change_the_grade(limit: float, grade: int, rounding: float) -> None:
    assert grade_of(limit + rounding) == grade


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_a_larger_slip_never_has_a_smaller_grade(a: float, b: float) -> None:
    small, large = sorted((a, b), key=abs)
    assert grade_of(small) <= grade_of(large)


def test_grade_0_ends_at_3_mm_if_the_slip_is_known_in_mm() -> None:
    assert grade_of(7.0, slip_mm=2.9) == Grade.NONE
    assert grade_of(7.0, slip_mm=3.0) == Grade.I
    assert grade_of(-4.0, slip_mm=-3.2) == Grade.I
    assert grade_of(7.0, slip_mm=float("nan")) == Grade.I
    assert grade_of(7.0, ClinicalConfig(grade0_rule="percent"), slip_mm=2.9) == Grade.I
    assert grade_of(7.0, ClinicalConfig(grade0_mm=2.0), slip_mm=2.9) == Grade.I
    assert grade_of(40.0, slip_mm=2.0) == Grade.II


@pytest.mark.parametrize(
    ("rules", "endplate_mm", "least", "largest"),
    [
        (ClinicalConfig(), 40.0, 7.5, 7.5),
        (ClinicalConfig(), 80.0, 3.75, 3.75),
        (ClinicalConfig(), np.nan, 5.0, 10.0),
        (ClinicalConfig(grade0_percent=12.0), np.nan, 100 / 15, 12.0),
        (ClinicalConfig(grade0_mm=9.0), np.nan, 5.0, 25.0),
        (ClinicalConfig(grade0_rule="percent"), 40.0, 5.0, 5.0),
        (ClinicalConfig(grade0_rule="percent"), np.nan, 5.0, 5.0),
    ],
)
def test_where_grade_0_may_end_in_percent(
    rules: ClinicalConfig, endplate_mm: float, least: float, largest: float
) -> None:
    """3 mm of 40 and 80 mm; without a spacing 5 %, or 3 mm of 45 to 30 mm; never beyond the limit of grade I."""
    assert grade0_range_percent(rules, endplate_mm) == pytest.approx((least, largest))


def test_the_limits_come_from_the_rules() -> None:
    rules = ClinicalConfig(grade_limits_percent=(20.0, 40.0, 60.0, 80.0), grade0_percent=10.0)
    assert [grade_of(s, rules) for s in (9.9, 10.0, 20.0, 20.1, 80.0, 80.1)] == [0, 1, 1, 2, 4, 5]


def test_grades_are_vectorised_and_nan_stays_nan() -> None:
    result = grades(np.array([[3.0, -30.0], [np.nan, 101.0]]), slip_mm=np.array([[3.5, -9.0], [np.nan, np.nan]]))
    np.testing.assert_array_equal(result, [[1.0, 2.0], [np.nan, 5.0]])


def test_nan_has_no_grade() -> None:
    with pytest.raises(DataError, match="a slip that is not measurable has no grade; given NaN"):
        grade_of(float("nan"))


def test_grade_names_include_the_direction() -> None:
    names = [grade_name(s, grade_of(s)) for s in (-3.0, 12.0, -12.0, 101.0)]
    assert names == [
        "no listhesis (grade 0)",
        "grade I anterolisthesis",
        "grade I retrolisthesis",
        "grade V anterolisthesis (spondyloptosis)",
    ]
    assert [direction(s, grade_of(s)) for s in (3.0, 12.0, -12.0)] == ["none", "anterolisthesis", "retrolisthesis"]
    assert [g.label for g in Grade] == ["0", "I", "II", "III", "IV", "V"]


def test_grades_of_2000_tilted_synthetic_films_are_correct_unless_the_slip_is_on_a_limit() -> None:
    grades_seen = set()
    for index in range(2000):
        film = tilted_film(5, index)
        bodies = patient_frame(np.stack([v.corners_xy for v in film.vertebrae]), film.facing)
        from_corners, true = grades(slip_percent(bodies[1:], bodies[:-1])), _by_hand(film.slip_percent)
        clear = np.abs(np.abs(film.slip_percent)[:, None] - np.array([5.0, *LIMITS])).min(axis=1) > TOLERANCE
        np.testing.assert_array_equal(from_corners[clear], true[clear])
        grades_seen |= set(true.tolist())
    assert grades_seen == {0, 1, 2, 3, 4, 5}


def _by_hand(slip: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    size = np.abs(slip)
    return sum((size > limit).astype(int) for limit in LIMITS) + (size >= 5)
