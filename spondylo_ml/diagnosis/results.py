"""Results of checks, and how they are reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.errors import PreflightError
from spondylo_ml.nan import finite_or_none


class CheckOutcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        finding: what was measured, in words; names no film.
        value: the number compared with the limit; NaN if there is none.
        unit: of value and limit.
        advice: what to change if the check failed.
        listed: names counted in the finding.
    """

    name: str
    outcome: CheckOutcome
    finding: str
    value: float = float("nan")
    limit: float = float("nan")
    unit: str = ""
    advice: str = ""
    listed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; absent numbers are null."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "finding": self.finding,
            "value": finite_or_none(self.value),
            "limit": finite_or_none(self.limit),
            "unit": self.unit,
            "advice": self.advice,
            "listed": list(self.listed),
        }


def check_result(
    name: str,
    passed: bool,
    finding: str,
    value: float,
    limit: float,
    unit: str,
    advice: str,
    listed: Sequence[str] = (),
) -> CheckResult:
    """The result of a check that passed or failed; only a failed check keeps its advice."""
    outcome = CheckOutcome.PASSED if passed else CheckOutcome.FAILED
    return CheckResult(name, outcome, finding, value, limit, unit, "" if passed else advice, tuple(listed))


def not_applicable(name: str, reason: str) -> CheckResult:
    """The result of a check that cannot be run, which is not a pass."""
    return CheckResult(name, CheckOutcome.NOT_APPLICABLE, reason)


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The failed checks."""
    return [result for result in results if result.outcome is CheckOutcome.FAILED]


def inapplicable(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The checks that could not be run."""
    return [result for result in results if result.outcome is CheckOutcome.NOT_APPLICABLE]


def no_usable_corner(name: str) -> CheckResult:
    """The failure of a check on films without any usable corner."""
    return CheckResult(
        name,
        CheckOutcome.FAILED,
        "the films examined have no usable corner inside the input",
        advice="Check the labels with the command audit: a model cannot learn from them.",
    )


def require_passed(results: Sequence[CheckResult]) -> None:
    """Raise an error if a check failed.

    Raises:
        PreflightError: a check failed; gives the finding and advice of each failed check.
    """
    if failures := failed(results):
        raise PreflightError([(result.name, result.finding, result.advice) for result in failures], len(results))


def summary_line(results: Sequence[CheckResult]) -> str:
    """All checks with their numbers on one line, such as `oracle ok 0.04 cells`."""
    return ", ".join(f"{result.name} {_brief(result)}" for result in results)


def _brief(result: CheckResult) -> str:
    if result.outcome is CheckOutcome.NOT_APPLICABLE:
        return result.outcome.value
    nothing_to_count = math.isnan(result.value) or result.value == result.limit == 0
    number = "" if nothing_to_count else f" {result.value:.3g} {result.unit}".rstrip()
    return f"{'FAILED' if result.outcome is CheckOutcome.FAILED else 'ok'}{number}"
