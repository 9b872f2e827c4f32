"""Paired comparison of two models on the same films, against hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from scipy import stats

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.paired import PairedDifference, PairedValues, film_means, paired_differences, paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import FilmPrediction, SlotRange

SLOTS = SlotRange(0, 2)
NAMES = [f"f{i}" for i in range(8)]
FILMS = [plain_film(name, (square(0, 100, 300, 50), square(1, 100, 200, 50)), (512, 400)) for name in NAMES]
PATIENT_OF = {name: name for name in NAMES}


def shifted(*shifts_px: float) -> list[FilmPrediction]:
    return [prediction_of(film, SLOTS, (x, 0.0)) for film, x in zip(FILMS, shifts_px, strict=True)]


def differences(model: list[FilmPrediction], baseline: list[FilmPrediction]) -> dict[str, PairedDifference]:
    rules = ClinicalConfig()
    values = [paired_values(PredictionSet(FILMS, predictions), rules) for predictions in (model, baseline)]
    bootstrap = PatientBootstrap(NAMES, 500)
    return {d.metric: d for d in paired_differences(values[0], values[1], PATIENT_OF, bootstrap)}


def test_a_model_compared_with_itself_has_no_difference() -> None:
    for difference in differences(shifted(*range(8)), shifted(*range(8))).values():
        assert (difference.difference.value, difference.difference.low, difference.difference.high) == (0, 0, 0)
        assert math.isnan(difference.wilcoxon_p)
        assert math.isnan(difference.rank_biserial)
        assert (difference.n_better, difference.n_worse, difference.n_same) == (0, 0, 8)


def test_a_model_that_is_better_on_all_films_has_the_largest_effect() -> None:
    result = differences(shifted(*[1.0] * 8), shifted(*range(2, 10)))["mre_px512"]
    assert result.difference.value == pytest.approx(1 - 5.5)
    assert result.difference.high < 0
    assert (result.rank_biserial, result.n_better) == (1.0, 8)
    assert result.wilcoxon_p == pytest.approx(2 / 2**8)


def test_mixed_differences_match_a_hand_calculation() -> None:
    # Errors change by -1, -2, -3, -4, -5, +6, 0, 0: ranks 1 to 5 better, 6 worse.
    result = differences(shifted(9, 8, 7, 6, 5, 16, 3, 3), shifted(10, 10, 10, 10, 10, 10, 3, 3))["mre_px512"]
    assert result.difference.value == pytest.approx((-15 + 6) / 8)
    assert (result.n_better, result.n_worse, result.n_same) == (5, 1, 2)
    assert result.rank_biserial == pytest.approx((15 - 6) / 21)
    assert result.wilcoxon_p == pytest.approx(stats.wilcoxon([1, 2, 3, 4, 5, -6]).pvalue)


def test_higher_is_better_for_rates() -> None:
    result = differences(shifted(*[5.0] * 8), shifted(*[7.0] * 8))["sdr_6px"]
    assert result.difference.value == 100
    assert result.rank_biserial == 1


def test_films_of_one_patient_count_as_one_observation() -> None:
    values = {"mre_px512": PairedValues(np.array([1.0, 3.0, 0.0]), ("a", "b", "c"))}
    baseline = {"mre_px512": PairedValues(np.zeros(3), ("a", "b", "c"))}
    (result,) = paired_differences(
        values, baseline, {"a": "p", "b": "p", "c": "q"}, PatientBootstrap(["p", "p", "q"], 50)
    )
    assert (result.n_worse, result.n_same) == (1, 1)
    assert result.difference.n_patients == 2


def test_metrics_without_values_are_left_out_and_unpaired_values_count_as_absent() -> None:
    by_metric = differences(shifted(*range(8)), shifted(*range(8)))
    assert "mre_mm" not in by_metric, "no film has a spacing"
    values = {"slip_error_percent": PairedValues(np.array([1.0, math.nan]), ("f0", "f1"))}
    other = {"slip_error_percent": PairedValues(np.array([2.0, 2.0]), ("f0", "f1"))}
    (result,) = paired_differences(values, other, PATIENT_OF, PatientBootstrap(NAMES, 50))
    assert (result.difference.value, result.difference.n, result.difference.n_absent) == (-1, 1, 1)


def test_models_measured_on_different_films_are_rejected() -> None:
    values = {"mre_px512": PairedValues(np.zeros(2), ("a", "b"))}
    for other in ({"mre_px512": PairedValues(np.zeros(2), ("a", "c"))}, {}):
        with pytest.raises(DataError, match="mre_px512: the two models were not measured on the same films"):
            paired_differences(values, other, {"a": "a", "b": "b"}, PatientBootstrap(["a", "b"]))


def test_film_means_keep_the_order_of_the_films() -> None:
    means = film_means(PairedValues(np.array([3.0, 1.0, 5.0]), ("b", "a", "b")))
    assert dict(means) == {"b": 4.0, "a": 1.0}
    assert list(means.index) == ["b", "a"]
