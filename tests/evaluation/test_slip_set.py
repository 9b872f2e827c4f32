"""Sets of slips and signed grades, against hand calculations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.clinical.meyerding import DEFAULT_RULES, grade_of
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.slip_set import (
    SIGNED_GRADES,
    SlipSet,
    grade_limits,
    joined,
    signed_edges,
    signed_grade_index,
)

LIMITS = grade_limits(DEFAULT_RULES, np.nan)


def test_grade_limits_are_in_percent_or_follow_from_mm() -> None:
    assert LIMITS.tolist() == [0, 5, 25, 50, 75, 100, np.inf]
    assert grade_limits(DEFAULT_RULES, 30.0)[1] == pytest.approx(10)
    assert grade_limits(DEFAULT_RULES, 6.0)[1] == 25, "never beyond grade I"
    assert grade_limits(ClinicalConfig(grade0_rule="percent"), 30.0)[1] == 5


def test_a_set_holds_the_slips_of_its_pieces_and_their_ends() -> None:
    slips = SlipSet(((-10.0, -5.0), (-1.0, 1.0), (5.0, 10.0)))
    assert (slips.low_percent, slips.high_percent, slips.width_percent) == (-10.0, 10.0, 12.0)
    assert [slips.holds(x) for x in (-10.1, -10, -5, -4.9, 0, 1, 1.1, 5, 10, 11)] == [
        False, True, True, False, True, True, False, True, True, False,
    ]  # fmt: skip
    assert joined([(5, 10), (-1, 5), (20, 20)]) == ((-1.0, 10.0), (20.0, 20.0))


def test_the_edges_of_the_signed_grades_are_those_of_the_grades_on_both_sides() -> None:
    inf = np.inf
    assert signed_edges(LIMITS).tolist() == [-inf, -100, -75, -50, -25, -5, 5, 25, 50, 75, 100, inf]
    assert SIGNED_GRADES.tolist() == list(range(-5, 6))


@pytest.mark.parametrize(
    ("slip", "signed"),
    [(0, 0), (4.99, 0), (-4.99, 0), (5, 1), (-5, -1), (25, 1), (25.1, 2), (-50, -2), (75, 3), (100, 4), (-100.1, -5)],
)
def test_the_signed_grade_of_a_slip(slip: float, signed: int) -> None:
    assert SIGNED_GRADES[signed_grade_index(np.array([slip]), LIMITS[None])[0]] == signed


@given(st.floats(-150, 150), st.floats(8, 60))
def test_a_signed_grade_agrees_with_the_clinical_one(slip: float, endplate_mm: float) -> None:
    index = signed_grade_index(np.array([slip]), grade_limits(DEFAULT_RULES, endplate_mm)[None])[0]
    slip_mm = slip / 100 * endplate_mm
    if abs(abs(slip_mm) - DEFAULT_RULES.grade0_mm) > 1e-6:  # on the limit, rounding decides
        assert abs(SIGNED_GRADES[index]) == grade_of(slip, slip_mm=slip_mm)
    assert SIGNED_GRADES[index] * slip >= 0
