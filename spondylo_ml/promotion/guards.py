"""Guarded metrics: those that a new champion must not make worse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from spondylo_ml.config.promotion import MarginsConfig
from spondylo_ml.evaluation.catalogue import format_value, lower_is_better, metric_definition
from spondylo_ml.evaluation.report import EvaluationReport

TINY = 1e-9
"""Smaller differences are rounding: sums of the same numbers in another order differ in their last digits."""


@dataclass(frozen=True)
class Guard:
    """A guarded metric.

    Attributes:
        name: its name in the catalogue of metrics.
        margin: name of its margin in `MarginsConfig`.
        step: unit of a difference.
        relative: whether the margin is a percentage of the champion's value.
    """

    name: str
    margin: str
    step: str
    relative: bool = False


GUARDS = (
    Guard("detection_recall", "detection_recall", "percentage points"),
    Guard("listhesis_sensitivity_all", "listhesis_sensitivity", "percentage points"),
    Guard("worst_source_px512", "worst_source_px512", "px512"),
    Guard("latency_ms", "latency_percent", "percent", relative=True),
    Guard("calibration_error", "calibration", "percentage points"),
)


@dataclass(frozen=True)
class GuardResult:
    """The comparison of a guarded metric between two models.

    Attributes:
        worse: whether the candidate is worse by more than the margin.
    """

    sentence: str
    worse: bool


def guarded_values(
    report: EvaluationReport, levels: pd.DataFrame, latency_ms: float, stated_coverage: float | None
) -> dict[str, float]:
    """The guarded metrics of a model by name; NaN if there is nothing to measure.

    `listhesis_sensitivity_all` counts a listhesis without a predicted slip as missed. `calibration_error` is the
    absolute difference between the measured and the stated coverage of slip intervals.

    Args:
        levels: `PredictionSet.slips` of the films of the report.
        stated_coverage: of the model's slip intervals, as a share; None if it has none.
    """
    numbers = report.numbers
    sources = [row["mre_px512"].value for row in report.tables["by_source"].values()]
    listheses = levels[levels["true_grade"] > 0] if len(levels) else levels
    measured = numbers.get("slip_set_coverage")
    coverage_error = (
        math.nan if measured is None or stated_coverage is None else abs(measured.value - 100 * stated_coverage)
    )
    return {
        "detection_recall": numbers["detection_recall"].value,
        "listhesis_sensitivity_all": 100 * float((listheses["pred_grade"] > 0).mean()) if len(listheses) else math.nan,
        "worst_source_px512": max((value for value in sources if not math.isnan(value)), default=math.nan),
        "latency_ms": latency_ms,
        "calibration_error": coverage_error,
    }


def check_guard(
    guard: Guard,
    candidate: Mapping[str, float],
    champion: Mapping[str, float],
    margins: MarginsConfig,
    champion_name: str,
) -> GuardResult:
    """Compare a guarded metric of the candidate with the champion's.

    A metric that only the candidate lacks is worse; one that the champion lacks is not compared.
    """
    new, old, label = candidate[guard.name], champion[guard.name], metric_definition(guard.name).label
    margin = float(getattr(margins, guard.margin))
    if math.isnan(old):
        return GuardResult(f"{label}: {champion_name} has no such number here, so that nothing was compared", False)
    if math.isnan(new):
        return GuardResult(f"{label}: the candidate has none, {champion_name} has {_value(guard, old)}", True)
    worse = new - old if lower_is_better(guard.name) else old - new
    if guard.relative:
        worse = 100 * worse / old if old else math.inf
    change = f"{label} {_value(guard, new)}, of {champion_name} {_value(guard, old)}"
    if worse > margin + TINY:
        return GuardResult(f"{change}: {worse:.1f} {guard.step} worse, allowed {margin:g}", True)
    return GuardResult(f"{change}: within the margin of {margin:g} {guard.step}", False)


def _value(guard: Guard, value: float) -> str:
    return f"{format_value(guard.name, value)} {metric_definition(guard.name).unit}"
