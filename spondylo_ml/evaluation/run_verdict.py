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


@dataclass(frozen=True)
class RunVerdict:
    """How one run compares with another.

    Attributes:
        sentence: which is better, and on how many metrics.
        details: the metrics whose intervals exclude no difference, or the error where none does.
    """

    sentence: str
    details: tuple[str, ...]


def run_verdict(run: str, baseline: str, differences: Sequence[PairedDifference]) -> RunVerdict:
    """The verdict on a run.

    A metric is clearly better or worse if the interval of its difference excludes 0. The metrics are correlated and
    not corrected for their number, so the count says less than the details.
    """
    deciding = [d for d in differences if d.metric in METRICS]
    if not deciding:
        return RunVerdict(f"{run} cannot be compared with {baseline}: no metric has values for both.", ())
    better = [d for d in deciding if _gain(d) > 0]
    clearly_better, clearly_worse = ([d for d in deciding if _clear(d) and sign * _gain(d) > 0] for sign in (1, -1))
    counts = f"better on {len(better)} of {len(deciding)} metrics, clearly on {len(clearly_better)}"
    if clearly_better and not clearly_worse:
        sentence = f"{run} is better than {baseline}: {counts}."
    elif clearly_worse and not clearly_better:
        sentence = f"{run} is worse than {baseline}: {counts}, clearly worse on {len(clearly_worse)}."
    elif clearly_better:
        sentence = f"{run} is better in some ways and worse in others: {counts}, clearly worse on {len(clearly_worse)}."
    else:
        sentence = f"No clear difference between {run} and {baseline}: every interval includes no difference."
    return RunVerdict(sentence, tuple(difference_text(d) for d in ([d for d in deciding if _clear(d)] or deciding[:1])))


def difference_text(d: PairedDifference) -> str:
    """A difference in words, such as `grade right +3.1 points [1.0, 5.2], p = .004`."""
    metric = metric_definition(d.metric)
    unit = unit_of_differences(d.metric)
    estimate, digits = d.difference, metric.digits
    interval = "" if math.isnan(estimate.low) else f" [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return f"{metric.label} {estimate.value:+.{digits}f} {unit}{interval}{_p_of(d)}"


def _p_of(d: PairedDifference) -> str:
    p = p_text(d.wilcoxon_p)
    return f", p {p}" if p.startswith("<") else f", p = {p}" if p else ""


def p_text(p: float) -> str:
    """A p value as papers write it, such as `.004` or `< .001`; empty if it is NaN."""
    if math.isnan(p):
        return ""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _gain(d: PairedDifference) -> float:
    return -d.difference.value if lower_is_better(d.metric) else d.difference.value


def _clear(d: PairedDifference) -> bool:
    return d.difference.low > 0 or d.difference.high < 0
