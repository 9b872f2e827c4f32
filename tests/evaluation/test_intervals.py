"""Bootstrap intervals: values, counts and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap, _weighted_quantile


def test_equal_values_have_an_interval_of_zero_width() -> None:
    names = ["a", "b", "c"]
    estimate = PatientBootstrap(names).mean([4.0, 4.0, 4.0], names)
    assert estimate == Estimate(value=4, low=4, high=4, n=3, n_absent=0, n_patients=3)


def test_absent_values_are_left_out_and_counted() -> None:
    estimate = PatientBootstrap(["a", "b"]).mean([1.0, math.nan, 3.0], ["a", "a", "b"])
    assert (estimate.value, estimate.n, estimate.n_absent, estimate.n_patients) == (2.0, 2, 1, 2)


def test_the_interval_of_two_patients_matches_a_hand_calculation() -> None:
    # Half of the draws hold each patient once (mean 2), a quarter each patient twice (0 or 4).
    estimate = PatientBootstrap(["a", "b"], resamples=2000).mean([0.0, 4.0], ["a", "b"])
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 0.0, 4.0)


def test_films_of_one_patient_are_resampled_together() -> None:
    values = np.tile([0.0, 10.0], 50)
    one_film_each = [f"p{i}" for i in range(100)]
    two_patients = np.repeat(["low", "high"], 50)
    wide = PatientBootstrap(two_patients).mean(np.sort(values), two_patients)
    narrow = PatientBootstrap(one_film_each).mean(values, one_film_each)
    assert (wide.low, wide.high) == (0.0, 10.0)
    assert 3.5 < narrow.low < 4.5
    assert 5.5 < narrow.high < 6.5


def test_one_patient_has_a_value_and_no_interval() -> None:
    estimate = PatientBootstrap(["a"]).mean([1.0, 3.0], ["a", "a"])
    assert (estimate.value, estimate.n) == (2.0, 2)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_without_values_the_estimate_is_nan_with_counts(values: list[float]) -> None:
    names = ["a", "b"][: len(values)]
    bootstrap = PatientBootstrap(["a", "b"])
    for estimate in (bootstrap.mean(values, names), bootstrap.quantile(values, 0.5, names)):
        assert math.isnan(estimate.value)
        assert math.isnan(estimate.low)
        assert (estimate.n, estimate.n_absent, estimate.n_patients) == (0, len(values), 0)


def test_a_statistic_undefined_in_many_draws_has_no_interval() -> None:
    # Only one of three patients has an observation: a third of the draws miss this patient.
    estimate = PatientBootstrap(["a", "b", "c"]).ratio([1, 0, 0], [2, 0, 0], ["a", "b", "c"])
    assert (estimate.value, estimate.n) == (0.5, 2)
    assert math.isnan(estimate.low)


def test_the_seed_determines_the_draws() -> None:
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(30)]
    values = rng.normal(size=30)
    a, b, c = (PatientBootstrap(names, seed=s).mean(values, names) for s in (1, 1, 2))
    assert a == b
    assert a != c


def test_the_mean_of_many_patients_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=200)
    names = [f"p{i:03d}" for i in range(200)]
    estimate = PatientBootstrap(names, resamples=4000).mean(values, names)
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert estimate.low == pytest.approx(expected.low, abs=0.03)
    assert estimate.high == pytest.approx(expected.high, abs=0.03)


def test_intervals_have_about_their_nominal_coverage() -> None:
    rng, hits = np.random.default_rng(5), 0
    for trial in range(200):
        patients = np.repeat([f"p{i}" for i in range(40)], 3)
        values = np.repeat(rng.normal(size=40), 3) + 0.3 * rng.normal(size=120)
        estimate = PatientBootstrap(patients, resamples=300, seed=trial).mean(values, patients)
        hits += estimate.low <= 0 <= estimate.high
    assert 178 <= hits <= 198  # 95 % of 200, within chance


def test_a_weighted_mean_as_a_statistic_equals_the_mean() -> None:
    values, names = np.array([1.0, 2.0, 6.0]), ["a", "b", "b"]
    bootstrap = PatientBootstrap(names)
    estimate = bootstrap.statistic(lambda w: float(w @ values / w.sum()), names, n_absent=2)
    assert estimate == bootstrap.mean(values, names).model_copy(update={"n_absent": 2})


def test_rows_of_an_unknown_patient_are_rejected() -> None:
    for names in (["a", "b"], []):
        with pytest.raises(DataError, match="a row belongs to a patient without films in this set"):
            PatientBootstrap(names).mean([1.0], ["aa"])


@settings(max_examples=60)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1), st.data())
def test_weighted_quantiles_equal_those_of_repeated_values(
    values: list[float], share: float, data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    ordered = np.sort(values)
    (quantile,) = _weighted_quantile(ordered, np.array([counts]), share)
    repeated = np.repeat(ordered, counts)
    if len(repeated):
        assert quantile == pytest.approx(np.quantile(repeated, share), abs=1e-9)
    else:
        assert math.isnan(quantile)


def test_an_estimate_with_nan_round_trips_through_json() -> None:
    estimate = Estimate(value=1.5, low=math.nan, high=2.0, n=3)
    text = estimate.model_dump_json()
    assert '"low":null' in text
    loaded = Estimate.model_validate_json(text)
    assert (loaded.value, loaded.high, math.isnan(loaded.low)) == (1.5, 2.0, True)
