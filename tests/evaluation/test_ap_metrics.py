"""Metrics of AP films: hand calculations, missed corners, and films of any size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import ap_corners, plain_film, prediction_of, square
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.ap_metrics import ap_estimates
from spondylo_ml.evaluation.cobb import T1_TO_L5
from spondylo_ml.evaluation.paired import paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, SlotRange, Vertebra, vertebrae_from_sacrum

SIZE_HW = (1408, 600)  # one px704 is two px
DIAGONAL_PX = math.hypot(*SIZE_HW)
CORNERS_PER_FILM = 68
OF_CORNERS = ("nmse", "or_20px704", "or_40px704")
NEAR = ("sdr_0.55percent_of_diagonal", "sdr_1.1percent_of_diagonal", "sdr_1.66percent_of_diagonal")
OF_ANGLES = ("cobb_smape_percent", "cobb_cmae_deg", "cobb_ed_deg", "cobb_md_deg")


def ap_film(size_hw: tuple[int, int] = SIZE_HW, name: str = "a", corners_xy: FloatArray | None = None) -> Film:
    corners = ap_corners(size_hw) if corners_xy is None else corners_xy
    return plain_film(name, vertebrae_from_sacrum(corners[::-1], first_slot=1), size_hw, facing=Facing.NONE)


def values(films: list[Film], predictions: list[FilmPrediction]) -> dict[str, float]:
    both = PredictionSet(films, predictions)
    return {name: estimate.value for name, estimate in ap_estimates(both, both.bootstrap(resamples=0)).items()}


def one_corner_off(x_px: float, y_px: float, size_hw: tuple[int, int] = SIZE_HW) -> dict[str, float]:
    film = ap_film(size_hw)
    prediction = prediction_of(film, T1_TO_L5)
    prediction.corners_xy[4, 2] += (x_px, y_px)
    return values([film], [prediction])


def test_a_perfect_prediction_of_a_straight_spine_has_no_error() -> None:
    film = ap_film()
    result = values([film], [prediction_of(film, T1_TO_L5)])
    assert [result[name] for name in (*OF_CORNERS, *NEAR, *OF_ANGLES)] == [0, 0, 0, 100, 100, 100, 0, 0, 0, 0]


def test_one_corner_off_by_30_and_40_px_matches_a_hand_calculation() -> None:
    # 50 px are 25 px704, and 3.27 % of the diagonal of 1530.5 px.
    result = one_corner_off(30, 40)
    assert result["nmse"] == pytest.approx(((30 / 600) ** 2 + (40 / 1408) ** 2) / CORNERS_PER_FILM)
    assert result["or_20px704"] == pytest.approx(100 / CORNERS_PER_FILM)
    assert result["or_40px704"] == 0
    assert [result[name] for name in NEAR] == pytest.approx([100 * 67 / 68] * 3)


@pytest.mark.parametrize(("off_px", "outliers"), [(40.0, (0, 0)), (40.1, (1, 0)), (80.0, (1, 0)), (80.1, (1, 1))])
@pytest.mark.parametrize("scale", [1, 2])
def test_an_outlier_is_more_than_20_or_40_px_off_at_a_height_of_704(
    off_px: float, outliers: tuple[int, int], scale: int
) -> None:
    result = one_corner_off(0, scale * off_px, (scale * SIZE_HW[0], scale * SIZE_HW[1]))
    assert [result[f"or_{k}px704"] * CORNERS_PER_FILM / 100 for k in (20, 40)] == pytest.approx(outliers)


def test_corners_are_near_by_the_diagonal_of_their_film() -> None:
    result = one_corner_off(0.011 * DIAGONAL_PX, 0)
    assert [result[name] for name in NEAR] == pytest.approx([100 * 67 / 68, 100, 100])
    # 5 px of 640 x 640 px are 0.5524 % of the diagonal.
    assert [one_corner_off(x, 0, (640, 640))[NEAR[0]] for x in (4.97, 5.0)] == pytest.approx([100, 100 * 67 / 68])


def test_a_level_that_the_model_lacks_is_missed_and_has_no_angles() -> None:
    film = ap_film()
    both = PredictionSet([film], [prediction_of(film, SlotRange(1, 16))])
    result = ap_estimates(both, both.bootstrap(resamples=0))
    assert result["nmse"].value == pytest.approx(2 * 4 / CORNERS_PER_FILM)
    assert [result[name].value for name in OF_CORNERS[1:]] == pytest.approx([100 * 4 / 68] * 2)
    assert [result[name].value for name in NEAR] == pytest.approx([100 * 64 / 68] * 3)
    assert [(result[name].n, result[name].n_absent) for name in ("nmse", *OF_ANGLES)] == [(68, 0), *[(0, 1)] * 4]
    assert all(math.isnan(result[name].value) for name in OF_ANGLES)


def test_films_of_different_sizes_are_averaged_over_corners_and_the_interval_is_over_patients() -> None:
    films = [ap_film(name="a"), ap_film((704, 300), "b")]
    both = PredictionSet(films, [prediction_of(films[0], T1_TO_L5, (60, 0)), prediction_of(films[1], T1_TO_L5)])
    nmse = ap_estimates(both, both.bootstrap(resamples=400))["nmse"]
    assert nmse.value == pytest.approx((60 / 600) ** 2 / 2)
    assert (nmse.low, nmse.high) == pytest.approx((0, 0.01))
    assert (nmse.n, nmse.n_patients) == (136, 2)


def test_only_ap_films_are_measured() -> None:
    lateral = plain_film("lateral", (square(0, 100, 100, 50),), (512, 400))
    film = ap_film()
    both = PredictionSet([lateral, film], [prediction_of(lateral, T1_TO_L5), prediction_of(film, T1_TO_L5)])
    result = ap_estimates(both, both.bootstrap(resamples=0))
    assert (result["nmse"].value, result["nmse"].n) == (0, 68)
    only_lateral = both.select([0])
    assert ap_estimates(only_lateral, only_lateral.bootstrap(resamples=0)) == {}
    assert not {"nmse", "cobb_cmae_deg"} & set(paired_values(only_lateral, ClinicalConfig()))


def test_an_ap_film_without_vertebrae_has_neither_corners_nor_angles() -> None:
    film = plain_film("a", (), SIZE_HW, facing=Facing.NONE)
    result = values([film], [prediction_of(film, T1_TO_L5)])
    assert all(math.isnan(value) for value in result.values())


def test_the_compared_values_have_the_evaluated_means() -> None:
    film = ap_film()
    both = PredictionSet([film], [prediction_of(film, T1_TO_L5)])
    both.predictions[0].corners_xy[3:9, :2] += (5.0, 17.0)
    compared = paired_values(both, ClinicalConfig())
    result = ap_estimates(both, both.bootstrap(resamples=0))
    names = result.keys() - {"cobb_main_icc_2_1"}
    assert names <= compared.keys()
    assert {name: compared[name].values.mean() for name in names} == pytest.approx(
        {name: result[name].value for name in names}
    )


errors_px = st.lists(st.tuples(st.floats(-150, 150), st.floats(-150, 150)), min_size=68, max_size=68)


@pytest.mark.slow
@given(errors_px, st.integers(1, 6), st.integers(1, 6))
def test_nmse_is_the_same_on_a_stretched_film_and_rates_on_an_enlarged_one(
    errors: list[tuple[float, float]], x: int, y: int
) -> None:
    def measured(film: Film, x: int, y: int) -> dict[str, float]:
        size_hw = (y * film.size_hw[0], x * film.size_hw[1])
        vertebrae = tuple(Vertebra(v.slot, v.corners_xy * (x, y)) for v in film.vertebrae or ())
        scaled = replace(film, size_hw=size_hw, vertebrae=vertebrae)
        prediction = prediction_of(scaled, T1_TO_L5)
        prediction.corners_xy[:] += np.array(errors).reshape(17, 4, 2) * (x, y)
        return values([scaled], [prediction])

    film = ap_film()
    original = measured(film, 1, 1)
    assert measured(film, x, y)["nmse"] == pytest.approx(original["nmse"])
    enlarged = measured(film, x, x)
    # A corner within rounding of a limit may change sides.
    assert [enlarged[name] for name in (*OF_CORNERS, *NEAR)] == pytest.approx(
        [original[name] for name in (*OF_CORNERS, *NEAR)], abs=100 / 68 + 1e-9 if _on_a_limit(errors) else 1e-9
    )


def _on_a_limit(errors: list[tuple[float, float]]) -> bool:
    limits = (40, 80, *(percent * DIAGONAL_PX / 100 for percent in (0.55, 1.1, 1.66)))
    return any(abs(math.hypot(*error) - limit) < 1e-6 for error in errors for limit in limits)
