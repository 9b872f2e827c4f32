"""The card of the starter model, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.refusal import Refusal
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.promotion.card import estimate_text, results


@dataclass(frozen=True)
class StarterFacts:
    """What the card states.

    Attributes:
        origin: content of `origin.json`.
        reports: of the model, by part of the films: val and test.
        mean_shape: of the mean shape, the trivial predictor, on the test films.
    """

    origin: Mapping[str, Any]
    reports: Mapping[str, EvaluationReport]
    mean_shape: EvaluationReport


def starter_card(facts: StarterFacts) -> str:
    """The card."""
    return "\n".join((_use(facts.origin), _results(facts), _how_made(facts.origin)))


def _use(origin: Mapping[str, Any]) -> str:
    levels = origin["levels"]
    return f"""# Starter model: {origin["model"]}

Research use. **{DISCLAIMER}**

The model that comes with the package: `spondylo_ml.load("starter")`, `predict --model starter`. It proposes the corners
of {levels[0]} to {levels[-1]} on lateral lumbar films, from which slip and Meyerding grade are measured with their
uncertainty. It was trained on **synthetic films alone**; no film of a patient was used. To go on from it with labelled
films: `train --model.pretrained starter`.

Not for the care of any patient, and not for other views or parts of the spine.
"""


def _results(facts: StarterFacts) -> str:
    val, test = facts.reports["val"], facts.reports["test"]
    rows = [
        f"| {label} | {estimate_text(name, val.numbers[name]) if name in val.numbers else ''} | {text} | "
        f"{estimate_text(name, facts.mean_shape.numbers[name]) if name in facts.mean_shape.numbers else ''} |"
        for name, label, text in results(test.numbers)
    ]
    n_harder = facts.origin.get("calibrated_on", {}).get("harder", 0)
    harder = f", with {n_harder} films that are harder to read," if n_harder else ""
    return f"""## Results on synthetic films

{val.n_labelled} validation films, on which the epoch was chosen and{harder} the uncertainty calibrated, and
{test.n_labelled} test films, which were used for nothing. In parentheses: 95 % intervals over patients. **Synthetic
films say nothing about real ones.**

| | validation | test | mean shape (ignores the film), test |
| --- | --- | --- | --- |
{chr(10).join(rows)}
"""


def _how_made(origin: Mapping[str, Any]) -> str:
    films, training = origin["films"], origin["training"]
    rounding, machine = origin["half_precision"], origin["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in origin["packages"].items())
    rows = [
        ("digest (SHA-256 of the manifest)", f"`{origin['digest']}`"),
        ("made", origin["made"]),
        ("code", _code_text(origin)),
        ("recipes", "`projects/starter/config.yaml`, then `close_up.yaml` laid over it, resolved in `bundle.json`"),
        ("command", "`make starter`"),
        ("parameters", f"{origin['parameters']:,}"),
        ("initial weights", origin["weights_from"]),
        ("films of the close-up", films["name"]),
        *((f"{part} films", f"{films[part]['films']}, digest `{films[part]['sha256']}`")
          for part in ("train", "val", "test")),
        *((f"{part} films as they were evaluated", f"digest `{sha256}`")
          for part, sha256 in origin.get("evaluation", {}).get("films", {}).items()),
        ("training of the close-up", f"{training['epochs']} epochs, {training['threads']} thread(s)"),
        ("half precision", _rounding_text(rounding)),
        ("refuses a film", _refusal_text(origin["refusal"])),
        ("machine", f"{machine['processor']}, {machine['platform']}, Python {machine['python']}"),
        ("packages", packages),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""## How it was made

The same code gives the same digest again on the same machine with the same packages.

| | |
| --- | --- |
{table}
"""


def _code_text(origin: Mapping[str, Any]) -> str:
    training, building = origin["training"], origin["code_commit"]
    parts = [("weights", training["code_commit"]), ("close-up", training["close_up_commit"])]
    if "evaluation" in origin:
        parts += [("calibration", building), ("evaluation", origin["evaluation"]["code_commit"])]
    else:
        parts.append(("calibration and evaluation", building))
    if {commit for _, commit in parts} == {building}:
        return f"commit `{building}`"
    return "; ".join(f"{part}: commit `{commit}`" for part, commit in parts)


def _refusal_text(refusal: Mapping[str, Any] | None) -> str:
    return Refusal.model_validate(refusal).in_words if refusal else "never: too few validation films for a limit"


def _rounding_text(rounding: Mapping[str, Any]) -> str:
    if not rounding["n_corners"]:
        return "no vertebra is found on the validation films, so no corner to compare"
    return (
        f"moves a corner by {rounding['median_px512']:.3f} px512 (median), {rounding['mean_px512']:.3f} on average, at "
        f"most {rounding['largest_px512']:.2f} ({rounding['n_corners']} corners, validation films)"
    )
