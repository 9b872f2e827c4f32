"""Values as text beside limits: never on another side of a limit than the value itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.config import ClinicalConfig

LIMITS = [5.0, 25.0, 50.0, 75.0, 100.0]


@pytest.mark.parametrize(
    ("value", "digits", "limits", "text"),
    [
        (25.04, 1, LIMITS, "25.04"),
        (25.0, 1, LIMITS, "25.0"),
        (24.96, 1, LIMITS, "24.96"),
        (-4.96, 1, LIMITS, "-4.96"),
        (4.996, 1, LIMITS, "4.996"),
        (12.34, 1, LIMITS, "12.3"),
        (-0.04, 1, LIMITS, "0.0"),
        (2.98, 1, [3.0], "2.98"),
        (99.51, 0, [0.0, 100.0], "99.5"),
        (0.5, 0, [0.0, 100.0], "0.5"),
        (100.0, 0, [0.0, 100.0], "100"),
        (25.0 + 1e-9, 1, LIMITS, "25.0"),
    ],
)
def test_digits_are_added_only_beside_a_limit(value: float, digits: int, limits: list[float], text: str) -> None:
    assert rounded_beside(value, digits, limits) == text


@given(st.floats(-130, 130))
def test_the_text_lies_on_the_side_of_the_value(value: float) -> None:
    shown = abs(float(rounded_beside(value, 1, LIMITS)))
    for limit in LIMITS:
        if abs(abs(value) - limit) > 1e-4:
            assert (shown > limit) == (abs(value) > limit)
            assert (shown < limit) == (abs(value) < limit)
    assert abs(shown - abs(value)) <= 0.05 + 1e-9


def test_the_limits_of_a_slip_are_those_of_the_rules() -> None:
    assert slip_limits_percent(ClinicalConfig().model_dump(mode="json")) == LIMITS
