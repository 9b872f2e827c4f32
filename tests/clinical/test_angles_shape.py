"""Angles and ratios, worked out by hand on bodies 100 px deep and 80 px high."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spines import LOWER, rotated, upper_at

from spondylo_ml.clinical.angles import (
    between_deg,
    direction_deg,
    disc_angle_deg,
    sacral_slope_deg,
    segmental_angle_deg,
)
from spondylo_ml.clinical.patient_frame import has_impossible_outline, longest_edge, patient_frame
from spondylo_ml.clinical.shape import depth, disc_height_index, posterior_height, wedge_ratio
from spondylo_ml.landmarks import Facing, FloatArray


def left(corners_xy: FloatArray) -> FloatArray:
    return patient_frame(corners_xy, Facing.LEFT)


@pytest.mark.parametrize("degrees", [0.0, 10.0, -10.0, 90.0])
def test_tilting_a_body_up_in_front_adds_lordosis(degrees: float) -> None:
    """The film faces left: a clockwise turn lifts the left, anterior end."""
    upper = rotated(upper_at(0), degrees, (150, 140))
    assert segmental_angle_deg(left(upper), left(LOWER)) == pytest.approx(degrees)
    assert disc_angle_deg(left(upper), left(LOWER)) == pytest.approx(degrees)


def test_the_disc_angle_uses_the_inferior_and_the_segmental_angle_the_superior_endplate() -> None:
    upper = upper_at(0)
    upper[0, 1] -= 100 * np.tan(np.radians(6))  # the body's roof rises in front, its floor stays level
    assert segmental_angle_deg(left(upper), left(LOWER)) == pytest.approx(6)
    assert disc_angle_deg(left(upper), left(LOWER)) == pytest.approx(0)


@given(st.floats(-60, 60))
def test_sacral_slope_is_positive_down_and_forward(degrees: float) -> None:
    turned = rotated(LOWER, -degrees)
    assert sacral_slope_deg(left(turned)) == pytest.approx(degrees, abs=1e-9)


def test_a_zero_vector_has_no_direction_and_rotations_stay_within_180_degrees() -> None:
    np.testing.assert_array_equal(direction_deg(np.array([[0.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])), [np.nan, 90, 180])
    np.testing.assert_allclose(
        between_deg(np.array([170.0, -170.0, 10.0]), np.array([-170.0, 170.0, 30.0])), [20, -20, 20]
    )


@given(st.floats(-60, 60), st.floats(-30, 30), st.floats(0.1, 20))
def test_disc_height_does_not_depend_on_slip_rotation_or_scale(slip: float, degrees: float, scale: float) -> None:
    """A gap of 20 px over a depth of 100 px."""
    upper, lower = (left(rotated(c, degrees) * scale) for c in (upper_at(slip), LOWER))
    assert disc_height_index(upper, lower) == pytest.approx(0.2)


def test_disc_height_is_the_mean_of_front_and_back() -> None:
    """The floor turned by 2 * 5 degrees about its own middle, 20 px up: square to the half angle, 20 cos 5."""
    upper = rotated(upper_at(0), 10.0, (150, 180))
    assert disc_height_index(left(upper), left(LOWER)) == pytest.approx(0.2 * np.cos(np.radians(5)))


def test_wedge_depth_and_height() -> None:
    wedge = LOWER.copy()
    wedge[0, 1] += 20  # 60 px in front, 80 px behind
    bodies = left(np.stack([LOWER, wedge]))
    np.testing.assert_allclose(wedge_ratio(bodies), [1.0, 0.75])
    np.testing.assert_allclose(posterior_height(bodies), [80, 80])
    np.testing.assert_allclose(depth(bodies), [100, np.hypot(100, 10)])
    flat = LOWER.copy()
    flat[3] = flat[1]
    assert np.isnan(wedge_ratio(left(flat)))


def test_impossible_outlines_and_longest_edges() -> None:
    crossed, partial = LOWER[[0, 1, 3, 2]], LOWER.copy()
    partial[2:] = np.nan
    bodies = left(np.stack([LOWER, crossed, partial, np.full((4, 2), np.nan)]))
    np.testing.assert_array_equal(has_impossible_outline(bodies), [False, True, False, False])
    np.testing.assert_allclose(longest_edge(bodies), [100, np.hypot(100, 80), 100, np.nan])
