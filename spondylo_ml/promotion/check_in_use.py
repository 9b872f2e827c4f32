"""Whether a registered version is worse in use than at its promotion, by the corrections of its drafts.

The rule: worse, if the 95 % interval of a metric in use lies wholly on the worse side of its 95 % interval at
promotion. Both are of the same definition (`AS_EVALUATED`), on other films. Intervals that do not touch differ with p
below .05, and below .006 if they are of one width (Schenker and Gentleman, The American Statistician 2001), so that the
rule seldom blames a version that is as good as before. It is not applied with fewer than `LEAST_PATIENTS`, whose
intervals would be too narrow. Drafts lead the person who corrects them, so that "not worse" shows less than "worse".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.evaluation.catalogue import lower_is_better, metric_definition
from spondylo_ml.evaluation.correction_rates import AS_EVALUATED
from spondylo_ml.evaluation.intervals import Estimate

LEAST_PATIENTS = 20
"""Fewest patients, in use and at promotion, whose intervals are compared."""


class UseVerdict(StrEnum):
    """The result of the rule."""

    WORSE = "worse than at promotion"
    NOT_WORSE = "not shown to be worse than at promotion"
    WITHHELD = "not compared with its promotion"


@dataclass(frozen=True)
class UseComparison:
    """The verdict with its reasons.

    Attributes:
        reasons: the metrics with their intervals, those that are worse alone if some are; and why others were not
            compared.
    """

    verdict: UseVerdict
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.verdict}: {'; '.join(self.reasons)}"


def withheld(reason: str) -> UseComparison:
    """Nothing can be compared, for this reason."""
    return UseComparison(UseVerdict.WITHHELD, (reason,))


def compare_use(in_use: Mapping[str, Estimate], at_promotion: Mapping[str, Estimate]) -> UseComparison:
    """Apply the rule.

    Args:
        in_use: estimates of the corrected drafts.
        at_promotion: estimates of the version on the frozen films.
    """
    pairs = {name: (in_use[name], at_promotion[name]) for name in AS_EVALUATED if name in {*in_use} & {*at_promotion}}
    if not pairs:
        return withheld("the report of the promotion has none of the metrics")
    obstacles = {
        name: _obstacle(now, "in use") or _obstacle(then, "at promotion") for name, (now, then) in pairs.items()
    }
    not_compared = [f"{metric_definition(name).label} not compared: {text}" for name, text in obstacles.items() if text]
    compared = {name: pairs[name] for name, text in obstacles.items() if not text}
    if not compared:
        return UseComparison(UseVerdict.WITHHELD, tuple(not_compared))
    worse = [name for name, (now, then) in compared.items() if _is_worse(name, now, then)]
    reasons = (*(_in_words(name, *compared[name]) for name in worse or compared), *not_compared)
    return UseComparison(UseVerdict.WORSE if worse else UseVerdict.NOT_WORSE, reasons)


def _obstacle(estimate: Estimate, when: str) -> str:
    """Why an interval cannot be compared; empty if it can."""
    if estimate.n_patients < LEAST_PATIENTS:
        return f"{estimate.n_patients} patients {when}, {LEAST_PATIENTS} are needed"
    if math.isnan(estimate.low):
        return f"no interval {when}"
    # Resampling equal errors gives no width, however few they are; rates that are all 100 % have exact limits.
    return "" if estimate.low < estimate.high else f"all values are equal {when}"


def _is_worse(name: str, now: Estimate, then: Estimate) -> bool:
    return now.low > then.high if lower_is_better(name) else now.high < then.low


def _in_words(name: str, now: Estimate, then: Estimate) -> str:
    definition = metric_definition(name)
    here, there = (
        f"{e.value:.{definition.digits}f} [{e.low:.{definition.digits}f}, {e.high:.{definition.digits}f}]"
        for e in (now, then)
    )
    return f"{definition.label} {here} {definition.unit} in use, {there} at promotion"
