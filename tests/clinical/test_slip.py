"""Slip: computed by hand, invariant under mirroring, rotation and scale, and exact on synthetic films."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spines import LOWER, rotated, tilted_film, upper_at

from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.slip import SLIP_FAULTS, SlipMethod, slip_fault, slip_percent
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import MIRRORED_CORNERS, Facing, FloatArray

METHODS: tuple[SlipMethod, ...] = ("endplate", "posterior_wall")

slips = st.floats(-120, 120)


def measured(
    upper: FloatArray,
    lower: FloatArray,
    method: SlipMethod = "endplate",
    facing: Facing = Facing.LEFT,
    pixel_size_xy: tuple[float, float] = (1.0, 1.0),
) -> float:
    pair = patient_frame(np.stack([upper, lower]), facing, pixel_size_xy)
    return float(slip_percent(pair[0], pair[1], method))


def fault(upper: FloatArray, lower: FloatArray, method: SlipMethod = "endplate") -> str:
    pair = patient_frame(np.stack([upper, lower]), Facing.LEFT)
    assert np.isnan(slip_percent(pair[0], pair[1], method))
    return SLIP_FAULTS[int(slip_fault(pair[0], pair[1], method))]


def without(corners: FloatArray, *absent: int) -> FloatArray:
    out = corners.copy()
    out[list(absent)] = np.nan
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("slip", [0.0, 25.0, -12.5, 110.0])
def test_a_shift_in_px_on_an_endplate_of_100_px_is_the_slip_in_percent(slip: float, method: SlipMethod) -> None:
    assert measured(upper_at(slip), LOWER, method) == pytest.approx(slip, abs=1e-12)


def test_slip_is_measured_along_the_lower_endplate_and_not_along_the_image() -> None:
    """Lower plate from (40, 30) back to (0, 0): 50 px long, direction (0.8, 0.6); 3-4-5 by hand.

    Facing right on the image, so x is forward; the upper corner lies at (20, -10): 20 * 0.8 - 10 * 0.6 = 10 px along.
    """
    lower = np.array([[0.0, 0.0], [40.0, 30.0], [-24.0, 32.0], [16.0, 62.0]])
    upper = np.array([[26.0, -50.0], [66.0, -20.0], [20.0, -10.0], [60.0, 20.0]])
    assert measured(upper, lower, facing=Facing.RIGHT) == pytest.approx(100 * 10 / 50)


def test_the_posterior_wall_variant_measures_perpendicular_to_the_wall() -> None:
    """The wall leans: from (200, 200) down to (260, 280), so forward and square to it is (-0.8, 0.6).

    The upper corner (190, 180) lies (-10, -20) from the wall's upper end: 8 - 12 = -4 px of a plate of 100 px.
    """
    lower = np.array([[100.0, 200.0], [200.0, 200.0], [160.0, 280.0], [260.0, 280.0]])
    assert measured(upper_at(10.0), lower, "endplate") == pytest.approx(10.0)
    assert measured(upper_at(10.0), lower, "posterior_wall") == pytest.approx(-4.0)


@given(slips, st.floats(-30, 30), st.floats(0.05, 40), st.sampled_from(METHODS))
def test_rotation_and_scale_change_nothing(slip: float, degrees: float, scale: float, method: SlipMethod) -> None:
    upper, lower = (rotated(c, degrees) * scale for c in (upper_at(slip), LOWER))
    assert measured(upper, lower, method) == pytest.approx(slip, abs=1e-9)


@given(slips, st.floats(-30, 30), st.sampled_from(METHODS))
def test_the_mirrored_film_gives_the_same_sign_and_value(slip: float, degrees: float, method: SlipMethod) -> None:
    pair = [rotated(c, degrees) for c in (upper_at(slip), LOWER)]
    mirrored = [c[list(MIRRORED_CORNERS)] * np.array([-1.0, 1.0]) + np.array([640.0, 0.0]) for c in pair]
    assert measured(mirrored[0], mirrored[1], method, Facing.RIGHT) == pytest.approx(measured(*pair, method), abs=1e-9)


def test_a_stretch_causes_an_apparent_slip_and_undoing_it_removes_that() -> None:
    """A true slip of 0 % at a tilt of 35 degrees, x stretched by 1.225; the plate is 100 px, the gap 35 px.

    Stretched plate: 1.225 cos 35 = 1.00346 and sin 35 = 0.57358 (per px); gap: 1.225 sin 35 = 0.70263 and
    -cos 35 = -0.81915. Slip = 35 % * (1.00346 * 0.70263 - 0.57358 * 0.81915) / (1.00346^2 + 0.57358^2) = 6.16 %.
    """
    stretch = np.array([1.225, 1.0])
    upper, lower = (rotated(c, -35.0) for c in (upper_at(0.0, gap_px=35.0), LOWER))
    assert measured(upper, lower) == pytest.approx(0.0, abs=1e-9)
    stretched_slip = measured(upper * stretch, lower * stretch)
    assert abs(stretched_slip) == pytest.approx(6.16, abs=0.01)
    assert measured(upper * stretch, lower * stretch, pixel_size_xy=(1 / 1.225, 1.0)) == pytest.approx(0.0, abs=1e-9)


def test_an_absent_corner_that_is_needed_is_named() -> None:
    """Facing left: 0 superior anterior, 1 superior posterior, 2 inferior anterior, 3 inferior posterior."""
    upper = upper_at(10.0)
    for corner in (0, 1):
        assert fault(upper, without(LOWER, corner)) == SLIP_FAULTS[1]
    assert fault(without(upper, 3), LOWER) == SLIP_FAULTS[2]
    assert fault(upper, without(LOWER, 3), "posterior_wall") == SLIP_FAULTS[3]
    assert fault(upper, without(LOWER, 2, 3), "posterior_wall") == SLIP_FAULTS[3]


def test_absent_corners_that_are_not_needed_do_not_matter() -> None:
    """A partial S1 has its superior endplate alone."""
    assert measured(without(upper_at(10.0), 0, 1, 2), without(LOWER, 2, 3)) == pytest.approx(10.0)


def test_a_degenerate_endplate_or_wall_is_not_measured() -> None:
    point = LOWER.copy()
    point[0] = point[1]
    assert fault(upper_at(10.0), point) == SLIP_FAULTS[4]
    short = LOWER.copy()
    short[0] = [181.0, 200.0]  # 19 px, under a fifth of the longest edge of the pair
    assert fault(upper_at(10.0), short) == SLIP_FAULTS[4]
    everything = np.zeros((4, 2))
    assert fault(everything, everything) == SLIP_FAULTS[4]
    low = LOWER.copy()
    low[3] = [200.0, 201.0]
    assert fault(upper_at(10.0), low, "posterior_wall") == SLIP_FAULTS[5]
    assert measured(upper_at(10.0), low) == pytest.approx(10.0)


def test_an_outline_that_crosses_itself_is_not_measured() -> None:
    crossed = LOWER[[0, 1, 3, 2]]
    assert fault(upper_at(10.0), crossed) == SLIP_FAULTS[6]
    assert fault(upper_at(10.0)[[0, 1, 3, 2]], LOWER) == SLIP_FAULTS[7]
    inside_out = LOWER[list(MIRRORED_CORNERS)]
    assert fault(upper_at(10.0), inside_out) == SLIP_FAULTS[6]


def test_one_body_with_two_names_is_not_measured() -> None:
    shifted = LOWER + np.array([5.0, -20.0])
    assert fault(shifted, LOWER) == SLIP_FAULTS[8]
    assert fault(LOWER, shifted) == SLIP_FAULTS[8]
    slice_within = LOWER.copy()
    slice_within[2:] = LOWER[:2] + 0.2 * (LOWER[2:] - LOWER[:2])  # its top fifth: only one centre is inside the other
    assert fault(slice_within, LOWER) == SLIP_FAULTS[8]
    fallen = LOWER + np.array([-110.0, 20.0])  # a spondyloptosis lies before the body below, not on it
    assert measured(fallen, LOWER) == pytest.approx(110.0)


def test_many_pairs_at_once_equal_single_pairs() -> None:
    rng = np.random.default_rng(0)
    pairs = np.stack([[upper_at(s) + rng.normal(0, 3, (4, 2)), LOWER + rng.normal(0, 3, (4, 2))] for s in range(20)])
    pairs[3, 1, 0] = np.nan
    bodies = patient_frame(pairs.reshape(4, 5, 2, 4, 2), Facing.LEFT)
    for method in METHODS:
        result = slip_percent(bodies[..., 0, :, :], bodies[..., 1, :, :], method)
        assert result.shape == (4, 5)
        expected = [measured(p[0], p[1], method) for p in pairs]
        np.testing.assert_allclose(result.ravel(), expected, rtol=0, atol=1e-12)
        assert np.isnan(expected).sum() == 1


@pytest.mark.parametrize("facing", [Facing.NONE, Facing.UNKNOWN])
def test_without_an_anterior_side_there_is_no_patient_frame(facing: Facing) -> None:
    with pytest.raises(DataError, match=f"need a film that faces left or right; given '{facing.value}'"):
        patient_frame(LOWER, facing)


def test_true_corners_of_2000_tilted_synthetic_films_give_the_true_slip() -> None:
    errors = []
    for index in range(2000):
        film = tilted_film(5, index)
        bodies = patient_frame(np.stack([v.corners_xy for v in film.vertebrae]), film.facing)
        errors.append(np.abs(slip_percent(bodies[1:], bodies[:-1]) - film.slip_percent))
    result = np.concatenate(errors)
    assert len(result) > 10_000
    assert result.max() < 1e-6
