"""The verdict of a comparison."""

from __future__ import annotations

import math

import pytest

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.run_verdict import (
    corrected_p,
    difference_text,
    digits_of_difference,
    run_verdict,
    smallest_p,
)


def difference(
    metric: str, value: float, low: float, high: float, p: float = 0.004, n_patients: int = 20
) -> PairedDifference:
    estimate = Estimate(value=value, low=low, high=high, n=90, n_patients=n_patients)
    return PairedDifference(metric, estimate, p, 0.5, n_patients - 2, 1, 1)


ERROR_FALLS = difference("mre_px512", -1.2, -2.0, -0.4)
ACCURACY_RISES = difference("grade_accuracy_all", 3.1, 1.0, 5.2)
UNCLEAR = difference("sdr_6px", -0.5, -2.0, 1.0, 0.6)
OTHER = difference("mre_mm", 9.0, 8.0, 10.0)


def test_a_lower_error_and_a_higher_accuracy_are_better() -> None:
    verdict = run_verdict("B", "A", [ERROR_FALLS, UNCLEAR, ACCURACY_RISES, OTHER])
    assert verdict.sentence == "B is better than A: better on 2 of 3 metrics, clearly on 2."
    assert verdict.details == (
        "MRE -1.20 px512 [-2.00, -0.40], p = .012",  # 3 x .004
        "grade right +3.1 points [1.0, 5.2], p = .012",
    )


def test_the_mirror_image_is_worse() -> None:
    verdict = run_verdict("A", "B", [difference("mre_px512", 1.2, 0.4, 2.0), UNCLEAR])
    assert verdict.sentence == "A is worse than B: worse on 2 of 2 metrics, clearly on 1."


def test_mixed_and_unclear_differences_are_called_so() -> None:
    mixed = run_verdict("B", "A", [ERROR_FALLS, difference("grade_accuracy_all", -3.0, -5.0, -1.0)])
    counts = "clearly better on 1 of 2 metrics, clearly worse on 1"
    assert mixed.sentence == f"B is better than A in some ways and worse in others: {counts}."
    unclear = run_verdict("B", "A", [UNCLEAR])
    assert unclear.sentence == "No clear difference between B and A on 1 metric."
    assert unclear.details == ("SDR@6 -0.5 points [-2.0, 1.0], p = .600",)


def test_an_interval_without_0_is_not_enough_where_the_test_finds_no_difference() -> None:
    tie = difference("mre_px512", -0.003, -0.005, -0.0008, 0.125)
    verdict = run_verdict("B", "A", [tie, UNCLEAR])
    assert verdict.sentence == "No clear difference between B and A on 2 metrics."
    assert verdict.details == ("MRE -0.0030 px512 [-0.0050, -0.0008], p = .250",)


def test_one_metric_of_many_that_differs_by_chance_is_no_clear_difference() -> None:
    others = [difference(name, 0.1, -1.0, 1.2, 0.8) for name in ("sdr_6px", "sdr_24px", "grade_accuracy_all")]
    by_chance = run_verdict("B", "A", [difference("mre_px512", -0.5, -0.9, -0.1, 0.03), *others])
    assert by_chance.sentence == "No clear difference between B and A on 4 metrics."
    assert by_chance.details == ("MRE -0.50 px512 [-0.90, -0.10], p = .120",)  # 4 x .03


def test_with_few_patients_nothing_can_be_clear() -> None:
    # Five patients who all change in the same direction: p = 2 / 2^5. Six: 2 / 2^6, but twice that on two metrics.
    assert [smallest_p(n) for n in (1, 5, 6)] == [1.0, 0.0625, 0.03125]
    five = run_verdict("B", "A", [difference("mre_px512", 90.0, 80.0, 99.0, 0.0625, n_patients=5)])
    assert five.sentence == "Too few patients to compare B with A: 5 are too few for a clear difference on 1 metric."
    assert five.details == ("MRE +90.00 px512 [80.00, 99.00], p = .062",)
    of_six = [difference(name, 90.0, 80.0, 99.0, 0.03125, n_patients=6) for name in ("mre_px512", "nmse")]
    assert run_verdict("B", "A", of_six[:1]).sentence == "B is worse than A: worse on 1 of 1 metric, clearly on 1."
    assert run_verdict("B", "A", of_six).sentence.startswith("Too few patients to compare B with A: 6 are too few")


def test_equal_values_are_no_difference() -> None:
    sum_order = difference("mre_px512", -1e-15, -2e-15, -1e-16, math.nan)
    equal = run_verdict("B", "A", [sum_order, difference("sdr_6px", 0.0, 0.0, 0.0, math.nan)])
    assert equal.sentence == "No difference between B and A on 2 metrics: the values are equal."
    assert equal.details == ("MRE 0.00 px512 [0.00, 0.00]",)


def test_without_an_interval_nothing_is_clear() -> None:
    one_patient = difference("mre_px512", -1.2, math.nan, math.nan)
    assert run_verdict("B", "A", [one_patient]).sentence.startswith("No clear difference")
    assert run_verdict("B", "A", []).sentence == "B cannot be compared with A: no metric has values for both."


def test_a_difference_that_excludes_0_is_written_with_enough_digits() -> None:
    assert digits_of_difference(difference("mre_px512", -0.003, -0.005, -0.0008), 2) == 4
    assert digits_of_difference(difference("mre_px512", 0.5, 0.01, 0.9), 2) == 2
    assert digits_of_difference(difference("mre_px512", -0.003, -0.2, 0.1), 2) == 2


def test_p_values_are_corrected_as_holm_did() -> None:
    corrected = corrected_p([0.01, math.nan, 0.04, 0.03])
    assert corrected[0] == pytest.approx(0.03)
    assert math.isnan(corrected[1])
    assert corrected[2:] == pytest.approx([0.06, 0.06]), "2 x .03, and no smaller one for the larger p"
    assert corrected_p([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, ", p < .001"), (0.0312, ", p = .031"), (1.0, ", p = 1.000"), (math.nan, "")]
)
def test_p_values_are_written_as_in_papers(p: float, text: str) -> None:
    assert difference_text(difference("mre_px512", -1.2, -2.0, -0.4), p) == f"MRE -1.20 px512 [-2.00, -0.40]{text}"
