"""Summary of a promotion or a rollback."""

from __future__ import annotations

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.promotion.history import Event
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.workflows.promote import Promotion


def promotion_summary(result: Promotion | Event) -> str:
    """Summary of a promotion, with the decision on each candidate and its reasons, or of a rollback."""
    if isinstance(result, Event):
        return f"version {result.version} ({result.model}) is champion again, instead of version {result.former}"
    blocks = []
    for outcome in result.outcomes:
        version = "" if outcome.version is None else f", version {outcome.version} of {result.registered_model}"
        reasons = [f"  - {reason}" for reason in outcome.decision.against]
        reasons += [f"  + {reason}" for reason in outcome.decision.in_favour]
        blocks.append("\n".join([f"{outcome.candidate}: {outcome.decision.verdict}{version}", *reasons]))
    champion = "none" if result.champion is None else f"version {result.champion}"
    lines = [*blocks, f"champion: {champion}", f"run {result.run_id}"]
    if result.champion is not None:
        lines.append(next_steps.read_films(result.registered_model, REGISTERED_MODEL))
    return "\n".join([*lines, where_to_see(result.run_id)])
