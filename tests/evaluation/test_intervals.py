"""Intervals: what is in them, what they rest on, and that they are what they are called."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap, _weighted_quantile


def test_equal_values_have_an_interval_of_no_width() -> None:
    names = ["a", "b", "c"]
    made = PatientBootstrap(names).mean([4.0, 4.0, 4.0], names)
    assert made == Estimate(value=4, low=4, high=4, n=3, n_absent=0, n_patients=3)


def test_absent_values_are_left_out_and_counted() -> None:
    made = PatientBootstrap(["a", "b"]).mean([1.0, math.nan, 3.0], ["a", "a", "b"])
    assert (made.value, made.n, made.n_absent, made.n_patients) == (2.0, 2, 1, 2)


def test_two_patients_worked_out_by_hand() -> None:
    # Half of the draws hold each patient once (mean 2), a quarter one of them twice: 0 or 4.
    made = PatientBootstrap(["a", "b"], resamples=2000).mean([0.0, 4.0], ["a", "b"])
    assert (made.value, made.low, made.high) == (2.0, 0.0, 4.0)


def test_films_of_one_patient_are_drawn_together() -> None:
    values = np.tile([0.0, 10.0], 50)
    alone = [f"p{i}" for i in range(100)]
    paired = np.repeat(["low", "high"], 50)
    wide = PatientBootstrap(paired).mean(np.sort(values), paired)
    narrow = PatientBootstrap(alone).mean(values, alone)
    assert (wide.low, wide.high) == (0.0, 10.0)
    assert 3.5 < narrow.low < 4.5
    assert 5.5 < narrow.high < 6.5


def test_one_patient_has_a_value_and_no_interval() -> None:
    made = PatientBootstrap(["a"]).mean([1.0, 3.0], ["a", "a"])
    assert (made.value, made.n) == (2.0, 2)
    assert math.isnan(made.low)
    assert math.isnan(made.high)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_nothing_to_measure_is_nan_with_counts(values: list[float]) -> None:
    names = ["a", "b"][: len(values)]
    bootstrap = PatientBootstrap(["a", "b"])
    for made in (bootstrap.mean(values, names), bootstrap.quantile(values, 0.5, names)):
        assert math.isnan(made.value)
        assert math.isnan(made.low)
        assert (made.n, made.n_absent, made.n_patients) == (0, len(values), 0)


def test_a_number_that_few_draws_define_has_no_interval() -> None:
    # Only one of three patients has an observation: a third of the draws miss him.
    made = PatientBootstrap(["a", "b", "c"]).ratio([1, 0, 0], [2, 0, 0], ["a", "b", "c"])
    assert (made.value, made.n) == (0.5, 2)
    assert math.isnan(made.low)


def test_the_seed_decides_the_draws() -> None:
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(30)]
    values = rng.normal(size=30)
    a, b, c = (PatientBootstrap(names, seed=s).mean(values, names) for s in (1, 1, 2))
    assert a == b
    assert a != c


def test_the_mean_of_many_patients_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=200)
    names = [f"p{i:03d}" for i in range(200)]
    made = PatientBootstrap(names, resamples=4000).mean(values, names)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert made.low == pytest.approx(theirs.low, abs=0.03)
    assert made.high == pytest.approx(theirs.high, abs=0.03)


def test_a_nominal_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(5), 0
    for trial in range(200):
        patients = np.repeat([f"p{i}" for i in range(40)], 3)
        values = np.repeat(rng.normal(size=40), 3) + 0.3 * rng.normal(size=120)
        made = PatientBootstrap(patients, resamples=300, seed=trial).mean(values, patients)
        hits += made.low <= 0 <= made.high
    assert 178 <= hits <= 198  # 95 % of 200, within what chance allows


def test_a_statistic_of_weights_is_the_same_number_as_the_mean() -> None:
    values, names = np.array([1.0, 2.0, 6.0]), ["a", "b", "b"]
    bootstrap = PatientBootstrap(names)
    made = bootstrap.statistic(lambda w: float(w @ values / w.sum()), names, n_absent=2)
    assert made == bootstrap.mean(values, names).model_copy(update={"n_absent": 2})


def test_rows_of_an_unknown_patient_are_refused() -> None:
    for names in (["a", "b"], []):
        with pytest.raises(DataError, match="a row belongs to a patient without films in this set"):
            PatientBootstrap(names).mean([1.0], ["aa"])


@settings(max_examples=60)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1), st.data())
def test_weighted_quantiles_are_those_of_the_repeated_values(
    values: list[float], share: float, data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))
    ordered = np.sort(values)
    (made,) = _weighted_quantile(ordered, np.array([counts]), share)
    repeated = np.repeat(ordered, counts)
    if len(repeated):
        assert made == pytest.approx(np.quantile(repeated, share), abs=1e-9)
    else:
        assert math.isnan(made)


def test_an_estimate_goes_through_json_with_its_absent_values() -> None:
    made = Estimate(value=1.5, low=math.nan, high=2.0, n=3)
    text = made.model_dump_json()
    assert '"low":null' in text
    again = Estimate.model_validate_json(text)
    assert (again.value, again.high, math.isnan(again.low)) == (1.5, 2.0, True)
