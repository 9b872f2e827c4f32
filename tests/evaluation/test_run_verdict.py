"""The verdict of a comparison."""

from __future__ import annotations

import math

import pytest

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.run_verdict import difference_text, run_verdict


def difference(metric: str, value: float, low: float, high: float, p: float = 0.004) -> PairedDifference:
    return PairedDifference(metric, Estimate(value=value, low=low, high=high, n=9, n_patients=5), p, 0.5, 3, 1, 1)


ERROR_FALLS = difference("mre_px512", -1.2, -2.0, -0.4)
ACCURACY_RISES = difference("grade_accuracy_all", 3.1, 1.0, 5.2)
UNCLEAR = difference("sdr_6px", -0.5, -2.0, 1.0, 0.6)
OTHER = difference("mre_mm", 9.0, 8.0, 10.0)


def test_a_lower_error_and_a_higher_accuracy_are_better() -> None:
    verdict = run_verdict("B", "A", [ERROR_FALLS, UNCLEAR, ACCURACY_RISES, OTHER])
    assert verdict.sentence == "B is better than A: better on 2 of 3 metrics, clearly on 2."
    assert verdict.details == (
        "MRE -1.20 px512 [-2.00, -0.40], p = .004",
        "grade right +3.1 points [1.0, 5.2], p = .004",
    )


def test_the_mirror_image_is_worse() -> None:
    verdict = run_verdict("A", "B", [difference("mre_px512", 1.2, 0.4, 2.0), UNCLEAR])
    assert verdict.sentence == "A is worse than B: better on 0 of 2 metrics, clearly on 0, clearly worse on 1."


def test_mixed_and_unclear_differences_are_called_so() -> None:
    mixed = run_verdict("B", "A", [ERROR_FALLS, difference("grade_accuracy_all", -3.0, -5.0, -1.0)])
    assert mixed.sentence.startswith("B is better in some ways and worse in others: better on 1 of 2 metrics")
    unclear = run_verdict("B", "A", [UNCLEAR])
    assert unclear.sentence == "No clear difference between B and A: every interval includes no difference."
    assert unclear.details == ("SDR@6 -0.5 points [-2.0, 1.0], p = .600",)


def test_without_an_interval_nothing_is_clear() -> None:
    one_patient = difference("mre_px512", -1.2, math.nan, math.nan)
    assert run_verdict("B", "A", [one_patient]).sentence.startswith("No clear difference")
    assert run_verdict("B", "A", []).sentence == "B cannot be compared with A: no metric has values for both."


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, ", p < .001"), (0.0312, ", p = .031"), (1.0, ", p = 1.000"), (math.nan, "")]
)
def test_p_values_are_written_as_in_papers(p: float, text: str) -> None:
    assert difference_text(difference("mre_px512", -1.2, -2.0, -0.4, p)) == f"MRE -1.20 px512 [-2.00, -0.40]{text}"
