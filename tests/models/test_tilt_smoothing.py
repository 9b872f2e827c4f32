"""Smoothing of tilts along the spine: hand calculations, no change without noise, and films turned and mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.readers.text import read_csv_rows
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.cobb import cobb_angles_deg, smape_percent
from spondylo_ml.landmarks import MIRRORED_CORNERS, FloatArray
from spondylo_ml.models.tilt_smoothing import LEAST_SD_DEG, CornerNoise, SpineCurve, directions_rad, smooth_tilts

UNKNOWN_PX = 1e9  # noise that makes the lines of centres worthless


def spine(tilts_deg: FloatArray, widths_px: FloatArray | float = 40.0) -> FloatArray:
    """(V, 4, 2) bodies of 20 px height from the sacrum up, stacked at distances of 30 px, each tilted."""
    tilts = np.radians(np.asarray(tilts_deg, dtype=np.float64))
    centre, bodies = np.array([200.0, 700.0]), []
    for tilt, width in zip(tilts, np.broadcast_to(widths_px, tilts.shape), strict=True):
        across, down = np.array([np.cos(tilt), np.sin(tilt)]), np.array([-np.sin(tilt), np.cos(tilt)])
        bodies.append([centre + width / 2 * a * across + 10 * d * down for d in (-1, 1) for a in (-1, 1)])
        centre = centre - 30 * down
    return np.array(bodies)


def tilts_deg(corners_xy: FloatArray) -> FloatArray:
    across = corners_xy[:, [1, 3]].mean(axis=1) - corners_xy[:, [0, 2]].mean(axis=1)
    return np.degrees(np.arctan2(across[:, 1], across[:, 0]))


def curve(sd_deg: float, count: int) -> SpineCurve:
    """Independent directions."""
    return SpineCurve(np.radians(sd_deg) ** 2 * np.eye(2 * count - 1))


def curved_spines(count: int, seed: int = 0) -> FloatArray:
    """(count, 17, 4, 2) spines whose tilts are waves of random height and phase."""
    rng, along = np.random.default_rng(seed), np.linspace(0, 1, 17)
    waves = np.stack([rng.normal(0, 15, count), rng.uniform(0.5, 1.5, count), rng.uniform(0, 1, count)], axis=1)
    return np.stack([spine(height * np.sin(2 * np.pi * (turns * along + phase))) for height, turns, phase in waves])


CURVE = SpineCurve.fit(curved_spines(300))
NOISE = CornerNoise.independent(2.0)
NOISY = curved_spines(1, seed=5)[0] + np.random.default_rng(6).normal(0, 2.0, (17, 4, 2))


def test_two_bodies_of_a_rigid_spine_get_their_mean_tilt() -> None:
    smoothed = smooth_tilts(spine([4, 10]), curve(1e-6, 2), CornerNoise(2.0, UNKNOWN_PX))
    assert tilts_deg(smoothed) == pytest.approx([7, 7], abs=1e-4)


def test_a_body_of_twice_the_width_counts_four_times() -> None:
    # The tilt of a body is as uncertain as its corners over its width: (4 + 4 * 10) / 5 = 8.8.
    smoothed = smooth_tilts(spine([4, 10], [40.0, 80.0]), curve(1e-6, 2), CornerNoise(2.0, UNKNOWN_PX))
    assert tilts_deg(smoothed) == pytest.approx([8.8, 8.8], abs=1e-4)


def test_bodies_that_vary_as_much_as_the_noise_go_half_the_way_to_the_mean() -> None:
    noise_px = 40 * np.radians(3.0)
    smoothed = smooth_tilts(spine([4, 10]), curve(3.0, 2), CornerNoise(noise_px, UNKNOWN_PX))
    assert tilts_deg(smoothed) == pytest.approx([5.5, 8.5], abs=1e-4)


def test_the_tilt_follows_the_line_of_centres_where_that_is_certain() -> None:
    # The bodies are level, and the line that joins their centres leans by atan(5 / 30).
    corners = spine([0, 0])
    corners[1] += (5.0, 0.0)
    smoothed = smooth_tilts(corners, curve(1e-6, 2), CornerNoise(2.0, 1e-6))
    assert tilts_deg(smoothed) == pytest.approx(np.degrees(np.arctan2(5, 30)), abs=1e-3)


def test_without_noise_nothing_changes_and_with_little_noise_little() -> None:
    assert smooth_tilts(NOISY, CURVE, CornerNoise(0.0, 0.0)) == pytest.approx(NOISY, abs=0)
    assert smooth_tilts(NOISY, CURVE, CornerNoise.independent(1e-4)) == pytest.approx(NOISY, abs=1e-3)
    assert np.abs(smooth_tilts(NOISY, CURVE, NOISE) - NOISY).max() > 0.5


def test_bodies_turn_about_their_centres_and_keep_their_shape() -> None:
    smoothed = smooth_tilts(NOISY, CURVE, NOISE)
    assert smoothed.mean(axis=1) == pytest.approx(NOISY.mean(axis=1))
    sides, before = (np.linalg.norm(c[:, :, None] - c[:, None], axis=-1) for c in (smoothed, NOISY))
    assert sides == pytest.approx(before)


@given(st.floats(-180, 180), st.floats(-300, 300), st.floats(0.2, 5))
def test_a_film_that_is_turned_moved_and_enlarged_is_smoothed_alike(angle: float, shift: float, scale: float) -> None:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    moved = smooth_tilts(NOISY @ turn + shift, CURVE, CornerNoise.independent(2.0 * scale))
    assert moved == pytest.approx(smooth_tilts(NOISY, CURVE, NOISE) @ turn + shift, abs=1e-6)


def test_the_mirrored_film_is_smoothed_alike() -> None:
    def mirrored(corners: FloatArray) -> FloatArray:
        return (corners * (-1, 1))[:, MIRRORED_CORNERS, :]

    assert smooth_tilts(mirrored(NOISY), CURVE, NOISE) == pytest.approx(mirrored(smooth_tilts(NOISY, CURVE, NOISE)))


def test_bodies_without_a_corner_stay_and_do_not_disturb_the_others() -> None:
    corners = NOISY.copy()
    corners[4, 2] = np.nan
    corners[16] = np.nan
    smoothed = smooth_tilts(corners, CURVE, NOISE)
    np.testing.assert_array_equal(smoothed[[4, 16]], corners[[4, 16]])
    others = np.delete(np.arange(17), [4, 16])
    whole = smooth_tilts(NOISY, CURVE, NOISE)
    assert np.abs(tilts_deg(smoothed[others]) - tilts_deg(whole[others])).max() < 2
    assert np.abs(tilts_deg(smoothed[others]) - tilts_deg(NOISY[others])).max() > 2
    assert np.isnan(smooth_tilts(np.full((17, 4, 2), np.nan), CURVE, NOISE)).all()


def test_a_body_of_zero_width_has_no_tilt() -> None:
    corners = NOISY.copy()
    corners[4] = corners[4].mean(axis=0)
    assert np.flatnonzero(np.isnan(directions_rad(corners))).tolist() == [4]
    assert np.isfinite(smooth_tilts(corners, CURVE, NOISE)).all()


def test_the_curve_is_learned_from_complete_films() -> None:
    films = curved_spines(60)
    incomplete = np.concatenate([films, np.full((1, 17, 4, 2), np.nan)])
    learned = SpineCurve.fit(films).covariance_rad2
    np.testing.assert_allclose(SpineCurve.fit(incomplete).covariance_rad2, learned)
    directions = np.array([directions_rad(film) for film in films])
    deviations = directions - directions.mean(axis=1, keepdims=True)
    assert np.diag(learned) == pytest.approx((deviations**2).mean(axis=0) + np.radians(LEAST_SD_DEG) ** 2)


def test_noise_is_measured_by_the_median_so_that_bodies_a_level_off_do_not_count() -> None:
    true = curved_spines(100)
    predicted = true + np.random.default_rng(2).normal(0, 2.0, true.shape)
    predicted[:10, :-1] = true[:10, 1:]
    predicted[20, 3] = np.nan
    noise = CornerNoise.measured(true, predicted)
    assert (noise.across_px, noise.centre_px) == pytest.approx((2.0, 1.0), rel=0.12)
    assert CornerNoise.measured(true, true) == CornerNoise(0, 0)


def test_impossible_input_is_rejected() -> None:
    with pytest.raises(DataError, match=r"corners of films must be \(N, V, 4, 2\) .* given \(17, 4, 2\)"):
        SpineCurve.fit(NOISY)
    with pytest.raises(DataError, match=r"50 of 50 films .* 17 vertebrae: to smooth tilts, learn from at least 51"):
        SpineCurve.fit(curved_spines(50))
    with pytest.raises(DataError, match=r"the curve is of 17 vertebrae .* given corners of shape \(16, 4, 2\)"):
        smooth_tilts(NOISY[:16], CURVE, NOISE)
    with pytest.raises(DataError, match="must be finite and at least 0 px"):
        CornerNoise(-1.0, 0.0)
    with pytest.raises(DataError, match="no vertebra has all true and predicted corners"):
        CornerNoise.measured(NOISY, np.full_like(NOISY, np.nan))
    with pytest.raises(DataError, match=r"must be \(..., V, 4, 2\), alike"):
        CornerNoise.measured(NOISY, NOISY[:3])


@pytest.mark.parametrize(("corner_error_px512", "before", "after"), [(1.5, 7.58, 6.63), (2.5, 12.16, 8.43)])
def test_cobb_angles_of_real_spines_with_noisy_corners_are_closer_to_the_truth(
    real_data: Path, corner_error_px512: float, before: float, after: float
) -> None:
    """The curve is of the films of other patients."""
    root = real_data / "spineweb16"
    if not root.is_dir():
        pytest.skip(f"no SpineWeb-16 films: {root} does not exist")
    films = read_csv_rows(root / "films.csv")
    columns = [films[0].index(name) for name in ("patient", "width_px", "height_px")]
    patients, widths, heights = np.array(films[1:])[:, columns].T
    size_wh = np.stack([widths, heights], axis=1).astype(float)
    size_wh *= 512 / size_wh.max(axis=1, keepdims=True)
    fractions = np.array(read_csv_rows(root / "landmarks.csv"), dtype=float).reshape(-1, 2, 68).transpose(0, 2, 1)
    true = (fractions * size_wh[:, None]).reshape(-1, 17, 4, 2)[:, ::-1]
    sd_px = corner_error_px512 / np.sqrt(np.pi / 2)  # the mean length of an error of this standard deviation
    noisy = true + np.random.default_rng(1).normal(0, sd_px, true.shape)
    held_out = np.array([int(patient[1:]) % 2 for patient in patients]) == 0
    curve = SpineCurve.fit(true[~held_out])
    noise = CornerNoise.measured(true[~held_out], noisy[~held_out])

    def angles(corners_xy: FloatArray) -> FloatArray:
        pairs = zip(corners_xy[held_out], size_wh[held_out, 1], strict=True)
        return np.array([cobb_angles_deg(film[::-1], height) for film, height in pairs])

    smoothed = np.array([smooth_tilts(film, curve, noise) for film in noisy])
    errors = [smape_percent(angles(true), angles(corners)).mean() for corners in (noisy, smoothed)]
    assert errors == pytest.approx([before, after], abs=0.1)
    unchanged = np.array([smooth_tilts(film, curve, CornerNoise(0.0, 0.0)) for film in true])
    assert smape_percent(angles(true), angles(unchanged)).max() == 0
