"""The result of a promotion, as values and as the description of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.promotion.decision import Decision
from spondylo_ml.serving.trained_run import TrainedRun
from spondylo_ml.workflows.promote.frozen_films import FrozenFilms


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


def plan_text(
    champion: ModelVersion | None, candidates: Sequence[TrainedRun], frozen: FrozenFilms, noise_floor: float | None
) -> str:
    """What will be compared, in a line: the candidates, the champion, the films and the noise floor."""
    names = ", ".join(candidate.name for candidate in candidates)
    against = (
        "the mean shape, as there is no champion" if champion is None else f"the champion, {version_name(champion)}"
    )
    floor = "not known" if noise_floor is None else f"{noise_floor:.3g}"
    return f"comparing {names} with {against}, on {len(frozen.labelled)} films of {frozen.name}; noise floor {floor}"


def version_name(version: ModelVersion) -> str:
    """A registered version, as messages call it."""
    return f"version {version.version} ({version.tags.get('model', 'unknown')})"


def promotion_description(outcomes: Sequence[PromotionOutcome]) -> str:
    """Markdown for the page of the run: the decision on each candidate and its reasons."""
    blocks = []
    for outcome in outcomes:
        version = "" if outcome.version is None else f", version {outcome.version}"
        reasons = "\n".join(f"* {reason}" for reason in outcome.decision.reasons)
        blocks.append(f"**{outcome.candidate}: {outcome.decision.verdict}{version}**\n\n{reasons}\n")
    return "\n".join([*blocks, DISCLAIMER])
