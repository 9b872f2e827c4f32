"""What a check found, and how it is reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.errors import PreflightError
from spondylo_ml.nan import finite_or_none


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class CheckResult:
    """One check.

    Attributes:
        finding: what was found, in words that name no film.
        value: the number that was held against the limit; NaN where there is none.
        unit: of value and limit.
        advice: what to change, where it failed.
        listed: names that the finding counts.
    """

    name: str
    outcome: Outcome
    finding: str
    value: float = float("nan")
    limit: float = float("nan")
    unit: str = ""
    advice: str = ""
    listed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """All of it; absent numbers are null."""
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


def judged(
    name: str,
    passed: bool,
    finding: str,
    value: float,
    limit: float,
    unit: str,
    advice: str,
    listed: Sequence[str] = (),
) -> CheckResult:
    """A check that passed or failed; only a failed one keeps its advice."""
    outcome = Outcome.PASSED if passed else Outcome.FAILED
    return CheckResult(name, outcome, finding, value, limit, unit, "" if passed else advice, tuple(listed))


def not_applicable(name: str, reason: str) -> CheckResult:
    """A check that cannot be made, which is no pass: nothing is known of what it looks for."""
    return CheckResult(name, Outcome.NOT_APPLICABLE, reason)


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Those that failed."""
    return [result for result in results if result.outcome is Outcome.FAILED]


def not_made(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Those that could not be made."""
    return [result for result in results if result.outcome is Outcome.NOT_APPLICABLE]


def no_usable_corner(name: str) -> CheckResult:
    """The failure of a check that found no corner at all to look at."""
    return CheckResult(
        name, Outcome.FAILED, "the films that were looked at have no usable corner inside the input",
        advice="Look at the labels with the command audit: nothing can be learnt from them.",
    )  # fmt: skip


def require_passed(results: Sequence[CheckResult]) -> None:
    """Stop where a check failed.

    Raises:
        PreflightError: with the finding and the advice of each that failed.
    """
    if wrong := failed(results):
        raise PreflightError([(result.name, result.finding, result.advice) for result in wrong], len(results))


def in_one_line(results: Sequence[CheckResult]) -> str:
    """Each check with its number, such as `oracle 0.04 cells`."""
    return ", ".join(f"{result.name} {_brief(result)}" for result in results)


def _brief(result: CheckResult) -> str:
    if result.outcome is Outcome.NOT_APPLICABLE:
        return result.outcome.value
    nothing_to_count = math.isnan(result.value) or result.value == result.limit == 0
    number = "" if nothing_to_count else f" {result.value:.3g} {result.unit}".rstrip()
    return f"{'FAILED' if result.outcome is Outcome.FAILED else 'ok'}{number}"
