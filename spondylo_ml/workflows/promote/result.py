"""The result of a promotion, as values and as the description of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.promotion.decision import Decision


@dataclass(frozen=True)
class PromotionOutcome:
    """The decision on one candidate.

    Attributes:
        version: its version in the registry; None if it was refused.
    """

    candidate: str
    decision: Decision
    version: int | None


@dataclass(frozen=True)
class Promotion:
    """The result of `promote`.

    Attributes:
        run_id: the run that records the promotion.
        outcomes: one per candidate, the best one first.
        champion: version of the champion after the promotion.
    """

    run_id: str
    registered_model: str
    outcomes: tuple[PromotionOutcome, ...]
    champion: int | None


def promotion_description(outcomes: Sequence[PromotionOutcome]) -> str:
    """Markdown for the page of the run: the decision on each candidate and its reasons."""
    blocks = []
    for outcome in outcomes:
        version = "" if outcome.version is None else f", version {outcome.version}"
        reasons = "\n".join(f"* {reason}" for reason in outcome.decision.reasons)
        blocks.append(f"**{outcome.candidate}: {outcome.decision.verdict}{version}**\n\n{reasons}\n")
    return "\n".join([*blocks, DISCLAIMER])
