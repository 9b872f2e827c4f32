"""Which of two runs is better, in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spondylo_ml.evaluation.catalogue import lower_is_better, metric_definition, unit_of_differences
from spondylo_ml.evaluation.paired import PairedDifference

METRICS = ("mre_px512", "sdr_6px", "sdr_24px", "instance_sdr_6px", "slip_error_percent", "grade_accuracy_all",
           "nmse", "or_20px704", "or_40px704", "cobb_smape_percent", "cobb_cmae_deg")  # fmt: skip
"""Metrics that decide, of lateral and of AP films."""


SIGNIFICANT_P = 0.05
ROUNDING = 1e-9
"""A smaller difference comes from the order of a sum."""


@dataclass(frozen=True)
class RunVerdict:
    """How one run compares with another.

    Attributes:
        sentence: which is better, and on how many metrics.
        details: the metrics that clearly differ, or the error where none does.
    """

    sentence: str
    details: tuple[str, ...]


def run_verdict(run: str, baseline: str, differences: Sequence[PairedDifference]) -> RunVerdict:
    """The verdict on a run.

    A metric is clearly better or worse if the interval of its difference excludes 0 and its p value is below 0.05 after
    the correction for the number of metrics. With few patients, a bootstrap interval alone is too narrow.
    """
    deciding = [d for d in differences if d.metric in METRICS]
    if not deciding:
        return RunVerdict(f"{run} cannot be compared with {baseline}: no metric has values for both.", ())
    p_values = [d.wilcoxon_p for d in deciding]
    corrected = corrected_p(p_values)
    clear = [(d, p) for d, p in zip(deciding, corrected, strict=True) if excludes_zero(d) and p < SIGNIFICANT_P]
    details = [difference_text(d, p) for d, p in clear or [(deciding[0], corrected[0])]]
    n_patients, n_tests = max(d.difference.n_patients for d in deciding), sum(not math.isnan(p) for p in p_values)
    if not clear and n_tests and n_tests * smallest_p(n_patients) >= SIGNIFICANT_P:
        few = f"{n_patients} are too few for a clear difference on {_counted(len(deciding))}"
        return RunVerdict(f"Too few patients to compare {run} with {baseline}: {few}.", tuple(details))
    return RunVerdict(
        _sentence(run, baseline, [_gain(d) for d in deciding], [_gain(d) for d, _ in clear]), tuple(details)
    )


def _sentence(run: str, baseline: str, gains: Sequence[float], clear_gains: Sequence[float]) -> str:
    """The verdict, from the gains on all metrics that decide and on those that clearly differ."""
    n, better, worse = len(gains), sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    metrics = _counted(n)
    clearly_better, clearly_worse = sum(gain > 0 for gain in clear_gains), sum(gain < 0 for gain in clear_gains)
    if clearly_better and clearly_worse:
        counts = f"clearly better on {clearly_better} of {metrics}, clearly worse on {clearly_worse}"
        return f"{run} is better than {baseline} in some ways and worse in others: {counts}."
    if clearly_better:
        return f"{run} is better than {baseline}: better on {better} of {metrics}, clearly on {clearly_better}."
    if clearly_worse:
        return f"{run} is worse than {baseline}: worse on {worse} of {metrics}, clearly on {clearly_worse}."
    if not better and not worse:
        return f"No difference between {run} and {baseline} on {metrics}: the values are equal."
    return f"No clear difference between {run} and {baseline} on {metrics}."


def _counted(n_metrics: int) -> str:
    return f"{n_metrics} metric" if n_metrics == 1 else f"{n_metrics} metrics"


def smallest_p(n_patients: int) -> float:
    """The smallest two-sided p value of a signed-rank test: that of patients who all change in the same direction."""
    return min(1.0, 2.0 ** (1 - n_patients))


def corrected_p(p_values: Sequence[float]) -> list[float]:
    """P values after Holm's correction for their number (Scandinavian Journal of Statistics 1979); NaN stays NaN."""
    known = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[index] = largest
    return corrected


def difference_text(d: PairedDifference, p: float) -> str:
    """A difference in words, such as `grade right +3.1 points [1.0, 5.2], p = .004`."""
    metric = metric_definition(d.metric)
    digits = digits_of_difference(d, metric.digits)
    interval = (
        "" if math.isnan(d.difference.low) else f" [{d.difference.low:z.{digits}f}, {d.difference.high:z.{digits}f}]"
    )
    value = f"{d.difference.value:+z.{digits}f}"
    return f"{metric.label} {value if float(value) else value[1:]} {unit_of_differences(d.metric)}{interval}{_p_of(p)}"


def digits_of_difference(d: PairedDifference, least: int) -> int:
    """Digits after the point with which a difference whose interval excludes 0 does not look like 0; or `least`."""
    if not excludes_zero(d):
        return least
    smallest = min(abs(x) for x in (d.difference.value, d.difference.low, d.difference.high))
    return max(least, math.ceil(-math.log10(smallest)))


def _p_of(value: float) -> str:
    p = p_text(value)
    return f", p {p}" if p.startswith("<") else f", p = {p}" if p else ""


def p_text(p: float) -> str:
    """A p value as papers write it, such as `.004` or `< .001`; empty if it is NaN."""
    if math.isnan(p):
        return ""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def excludes_zero(d: PairedDifference) -> bool:
    """Whether the interval of a difference lies on one side of 0."""
    return d.difference.low > ROUNDING or d.difference.high < -ROUNDING


def _gain(d: PairedDifference) -> float:
    gain = -d.difference.value if lower_is_better(d.metric) else d.difference.value
    return gain if abs(gain) > ROUNDING else 0.0
