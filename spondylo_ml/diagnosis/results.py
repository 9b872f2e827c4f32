"""What a check found, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.errors import PreflightError


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    DOES_NOT_APPLY = "does not apply"


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
            "value": _or_none(self.value),
            "limit": _or_none(self.limit),
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


def does_not_apply(name: str, reason: str) -> CheckResult:
    """A check for which there is nothing to look at."""
    return CheckResult(name, Outcome.DOES_NOT_APPLY, reason)


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Those that failed."""
    return [result for result in results if result.outcome is Outcome.FAILED]


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
    if result.outcome is Outcome.DOES_NOT_APPLY:
        return result.outcome.value
    nothing_to_count = result.value != result.value or result.value == result.limit == 0
    number = "" if nothing_to_count else f" {result.value:.3g} {result.unit}".rstrip()
    return f"{'FAILED' if result.outcome is Outcome.FAILED else 'ok'}{number}"


def _or_none(value: float) -> float | None:
    return None if value != value else value
