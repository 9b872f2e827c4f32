"""The rule by which a version is worse in use than at its promotion."""

from __future__ import annotations

import math

import pytest

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.promotion.check_in_use import UseVerdict, compare_use


def error(low: float, high: float, patients: int = 20) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, n=400, n_patients=patients)


AT_PROMOTION = {"instance_mre_px512": error(4.0, 5.0), "detection_f1": error(95.0, 97.0)}


@pytest.mark.parametrize(
    ("in_use", "verdict", "n_reasons"),
    [
        ({"instance_mre_px512": error(5.1, 7.0), "detection_f1": error(95.0, 99.0)}, UseVerdict.WORSE, 1),
        ({"instance_mre_px512": error(5.1, 7.0), "detection_f1": error(80.0, 94.9)}, UseVerdict.WORSE, 2),
        ({"instance_mre_px512": error(4.9, 7.0), "detection_f1": error(94.0, 95.1)}, UseVerdict.NOT_WORSE, 2),
        ({"instance_mre_px512": error(5.0, 7.0)}, UseVerdict.NOT_WORSE, 1),
        ({"instance_mre_px512": error(1.0, 2.0)}, UseVerdict.NOT_WORSE, 1),
        ({"detection_f1": error(98.0, 99.0)}, UseVerdict.NOT_WORSE, 1),
        ({"instance_mre_px512": error(9.0, 9.5, patients=19)}, UseVerdict.WITHHELD, 1),
        ({"instance_mre_px512": error(math.nan, math.nan)}, UseVerdict.WITHHELD, 1),
        ({"detection_f1": error(90.0, 90.0)}, UseVerdict.WITHHELD, 1),
        ({"instance_mre_px512": error(5.1, 7.0), "detection_f1": error(90.0, 90.0)}, UseVerdict.WORSE, 2),
        ({}, UseVerdict.WITHHELD, 1),
    ],
)
def test_worse_where_the_intervals_do_not_touch(
    in_use: dict[str, Estimate], verdict: UseVerdict, n_reasons: int
) -> None:
    comparison = compare_use(in_use, AT_PROMOTION)
    assert (comparison.verdict, len(comparison.reasons)) == (verdict, n_reasons)


def test_few_patients_at_promotion_withhold_it_too() -> None:
    comparison = compare_use(
        {"instance_mre_px512": error(9.0, 9.5)}, {"instance_mre_px512": error(4.0, 5.0, patients=8)}
    )
    assert str(comparison) == (
        "not compared with its promotion: instance MRE not compared: 8 patients at promotion, 20 are needed"
    )


def test_the_reasons_state_both_intervals() -> None:
    comparison = compare_use({"instance_mre_px512": error(5.1, 7.0)}, AT_PROMOTION)
    assert str(comparison) == (
        "worse than at promotion: instance MRE 6.05 [5.10, 7.00] px512 in use, 4.50 [4.00, 5.00] at promotion"
    )
