"""Limits of rates without an event, or without an exception: resampling equal values gives them no width.

Of 20 patients without an event, a rate of up to 17 % would show none in one set of films of forty. The limits are the
exact ones (Clopper and Pearson, Biometrika 1934), with patients as the observations: those of one patient are not
independent. Rates that lie between keep their bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy.stats import binomtest

from spondylo_ml.evaluation.catalogue import find_metric
from spondylo_ml.evaluation.intervals import Estimate, Estimates

NONE_PERCENT, ALL_PERCENT = 0.0, 100.0
NO_RATES = ("cobb_smape_percent", "share_of_error_percent", "share_<cause>", "oks_ap", "oks_ap<number>")
"""In percent, but no share of the observations: weighted by errors, or averages of precision."""

SHARE_OF_CORNERS = "share_of_corners_percent"
"""Of the table of causes: a rate, unlike the shares of the error beside it."""

ROUNDING = 1e-6
"""A weighted mean of values that are all 100 may differ from 100 by rounding."""


def with_exact_limits(estimates: Mapping[str, Estimate], confidence: float = 0.95) -> Estimates:
    """The estimates, with exact limits for rates of 0 and 100 % that have an interval."""
    return {
        name: _exact(one, confidence) if _is_rate(name) and abs(one.high - one.low) < ROUNDING else one
        for name, one in estimates.items()
    }


def _is_rate(name: str) -> bool:
    definition = find_metric(name)
    if definition is None or name in NO_RATES:
        return False
    return name == SHARE_OF_CORNERS or (definition.unit == "%" and definition.name not in NO_RATES)


def _exact(estimate: Estimate, confidence: float) -> Estimate:
    is_none, is_all = (abs(estimate.value - limit) < ROUNDING for limit in (NONE_PERCENT, ALL_PERCENT))
    if not (is_none or is_all):
        return estimate
    n_events = estimate.n_patients if is_all else 0
    limits = binomtest(n_events, estimate.n_patients).proportion_ci(confidence, method="exact")
    return estimate.model_copy(update={"low": 100 * float(limits.low), "high": 100 * float(limits.high)})
