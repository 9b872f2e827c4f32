"""Radial errors and their quantiles: hand calculations, and errors drawn from a known distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain_films import films_with_noise

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.calibration import (
    FOLDS,
    NOMINAL,
    CornerCalibration,
    calibrated_coverage,
    cross_fitted_coverage,
    mahalanobis_distance,
    normal_coverage,
    patient_folds,
)
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import SlotRange


def test_a_radial_error_is_in_standard_deviations_along_its_direction() -> None:
    covariance = np.diag([4.0, 9.0])
    errors = np.array([[2.0, 0.0], [0.0, 6.0], [2.0, 3.0], [0.0, 0.0]])
    assert mahalanobis_distance(errors, np.broadcast_to(covariance, (4, 2, 2))) == pytest.approx([1, 2, np.sqrt(2), 0])
    correlated = np.array([[2.0, 1.0], [1.0, 2.0]])  # variances 3 along the diagonal and 1 across it
    assert mahalanobis_distance(np.array([3.0, 3.0]), correlated) == pytest.approx(np.sqrt(18 / 3))


def test_the_table_holds_the_true_corners_that_have_a_covariance() -> None:
    film = plain_film(vertebrae=(square(0, 10, 60), square(1, 10, 40), square(5, 10, 5)))
    slots = SlotRange(0, 2)
    prediction = prediction_of(film, slots, shift_xy=(3.0, 4.0))
    assert len(PredictionSet([film], [prediction]).radial_errors) == 0
    corners = prediction.corners_xy.copy()
    corners[1, 2] = np.nan
    with_covariance = type(prediction)(
        film.film_id,
        slots,
        corners,
        prediction.corner_score,
        prediction.presence,
        covariance_px2=np.broadcast_to(4.0 * np.eye(2), (2, 4, 2, 2)),
        heat_share=np.full((2, 4), 0.5),
    )
    table = PredictionSet([film], [with_covariance]).radial_errors
    assert len(table) == 7, "two vertebrae have a slot, one corner was not found"
    assert table["radius"].to_numpy() == pytest.approx(np.full(7, 2.5))
    assert set(table["slot"]) == {0, 1}


def test_a_vertebra_on_another_body_does_not_make_the_regions_larger() -> None:
    film = plain_film(vertebrae=(square(0, 10, 60), square(1, 10, 40)))
    side = film.vertebrae[0].corners_xy[1, 0] - film.vertebrae[0].corners_xy[0, 0] if film.vertebrae else 0
    slots = SlotRange(0, 2)

    def rows(shift_px: float) -> int:
        exact = prediction_of(film, slots)
        corners = exact.corners_xy.copy()
        corners[1, :, 1] += shift_px
        moved = replace(
            exact,
            corners_xy=corners,
            covariance_px2=np.broadcast_to(np.eye(2), (2, 4, 2, 2)),
            heat_share=np.full((2, 4), 0.5),
        )
        return len(PredictionSet([film], [moved]).radial_errors)

    assert rows(0.49 * side) == 8
    assert rows(-0.51 * side) == 4


def test_normal_errors_have_nominal_coverage() -> None:
    radius = np.sqrt(np.random.default_rng(0).chisquare(2, 20000))
    for nominal, share in normal_coverage(radius).items():
        assert share == pytest.approx(nominal, abs=0.015)
    assert all(np.isnan(share) for share in normal_coverage(np.zeros(0)).values())


def test_calibration_corrects_covariances_that_are_too_small_on_new_films() -> None:
    calibration_errors, test_errors = (PredictionSet(*films_with_noise(40, seed)).radial_errors for seed in (1, 2))
    before = normal_coverage(test_errors["radius"].to_numpy())
    calibration = CornerCalibration.fit(
        calibration_errors["radius"].to_numpy(), calibration_errors["heat_share"].to_numpy()
    )
    after = calibrated_coverage(test_errors, calibration)
    assert before[0.9] < 0.7, "errors are 1.5 times the predicted standard deviation"
    for nominal in NOMINAL:
        assert after[nominal] == pytest.approx(nominal, abs=0.04)
        assert cross_fitted_coverage(test_errors)[nominal] == pytest.approx(nominal, abs=0.04)


def test_each_bin_has_its_own_quantiles() -> None:
    rng = np.random.default_rng(3)
    heat = np.repeat([0.1, 0.9], 1000)
    radius = np.where(heat < 0.5, 10.0, 1.0) * rng.random(2000)
    calibration = CornerCalibration.fit(radius, heat)
    assert calibration.radius(np.array([0.5, 0.5]), np.array([0.1, 0.9])) == pytest.approx([5, 0.5], rel=0.1)
    assert calibration.radius(np.array(1.0), np.array(0.1)) == pytest.approx(radius[heat < 0.5].max())
    assert calibration.n_corners == 2000


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.5, 1.0]), min_size=1, max_size=600), st.integers(0, 5))
@settings(max_examples=50)
def test_no_bin_is_empty_even_when_many_shares_are_equal(heat: list[float], seed: int) -> None:
    radius = np.random.default_rng(seed).random(len(heat))
    calibration = CornerCalibration.fit(radius, np.array(heat))
    assert len(calibration.radii) == len(calibration.edges) + 1
    table = np.array(calibration.radii)
    assert np.isfinite(table).all()
    assert (np.diff(table, axis=1) >= 0).all()


def test_a_calibration_round_trips_through_json() -> None:
    calibration = CornerCalibration.fit(np.random.default_rng(0).random(500), np.linspace(0, 1, 500))
    assert CornerCalibration.model_validate_json(calibration.model_dump_json()) == calibration


def test_calibrating_without_data_is_an_error() -> None:
    with pytest.raises(DataError, match="no true corner has a predicted one with a covariance on its own body"):
        CornerCalibration.fit(np.zeros(0), np.zeros(0))


def test_a_patient_is_in_one_fold_only() -> None:
    patients = [f"p{i // 3}" for i in range(30)]
    table = pd.DataFrame({"patient": patients, "fold": patient_folds(patients)})
    assert table["fold"].nunique() == FOLDS
    assert (table.groupby("patient")["fold"].nunique() == 1).all()
    assert patient_folds(["a", "a"]).tolist() == [0, 0]
    one_patient = pd.DataFrame({"patient": ["a"], "radius": [1.0], "heat_share": [0.5]})
    assert np.isnan(list(cross_fitted_coverage(one_patient).values())).all()
