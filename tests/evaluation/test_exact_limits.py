"""Rates of 0 and 100 % have the exact limits of their patients; all other estimates stay."""

from __future__ import annotations

import math

import pytest

from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap


def estimate(value: float, low: float, high: float, patients: int = 20) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=100, n_patients=patients)


def test_no_event_in_20_patients() -> None:
    """The upper limit is the rate p at which (1 - p)**20 is .025."""
    (given,) = with_exact_limits({"slip_withheld_percent": estimate(0, 0, 0)}).values()
    assert with_exact_limits({"share_of_corners_percent": estimate(0, 0, 0)})["share_of_corners_percent"] == given
    assert (given.low, given.high) == (0, pytest.approx(100 * (1 - 0.025 ** (1 / 20))))
    assert given.high == pytest.approx(16.84, abs=0.01)
    assert (given.value, given.n, given.n_patients) == (0, 100, 20)


def test_no_exception_mirrors_no_event_and_follows_the_confidence() -> None:
    (given,) = with_exact_limits({"sdr_6px": estimate(100, 100, 100)}, 0.9).values()
    assert (given.low, given.high) == (pytest.approx(100 * 0.05 ** (1 / 20)), 100)


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("sdr_6px", estimate(50, 40, 60)),
        ("sdr_6px", estimate(0, math.nan, math.nan, patients=1)),
        ("mre_px512", estimate(0, 0, 0)),
        ("slip_mae_percent", estimate(0, 0, 0)),
        ("cobb_smape_percent", estimate(0, 0, 0)),
        ("share_of_error_percent", estimate(0, 0, 0)),
        ("share_level_shift", estimate(0, 0, 0)),
        ("oks_ap", estimate(100, 100, 100)),
        ("oks_ap50", estimate(100, 100, 100)),
        ("a_name_of_no_metric", estimate(0, 0, 0)),
    ],
)
def test_errors_and_rates_with_an_interval_or_without_one_stay(name: str, one: Estimate) -> None:
    assert with_exact_limits({name: one})[name] is one


def test_rounding_does_not_hide_a_rate_of_100_percent() -> None:
    (given,) = with_exact_limits({"sdr_6px": estimate(99.99999999999999, 99.99999999999999, 100)}).values()
    assert given.low == pytest.approx(83.16, abs=0.01)


def test_the_bootstrap_gives_such_rates_no_width() -> None:
    patients = [f"p{i}" for i in range(20)]
    rate = PatientBootstrap(patients).mean([100.0] * 20, patients)
    assert (rate.low, rate.high) == (100, 100)
    assert with_exact_limits({"detection_recall": rate})["detection_recall"].low == pytest.approx(83.16, abs=0.01)
