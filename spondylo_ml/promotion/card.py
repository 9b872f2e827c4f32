"""The model card of a version, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.catalogue import format_value, metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.promotion.decision import Decision
from spondylo_ml.promotion.pages import HEADINGS

RESULTS = (
    "mre_px512", "sdr_6px", "sdr_24px", "detection_precision", "detection_recall", "slip_mae_percent",
    "slip_withheld_percent", "grade_accuracy_all", "grade_kappa", "listhesis_sensitivity", "listhesis_specificity",
    "slip_set_coverage", "referred_percent", "cobb_smape_percent",
)  # fmt: skip
"""Metrics of a card, in this order."""


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a model and its training.

    Attributes:
        synthetic_training, synthetic_films: whether the films were drawn and not taken.
        origin: digests and versions, by name.
        mean_shape: numbers of the trivial predictor on the same films.
        pictures: paths beside the card, with captions.
        films_seen: how many of the films are of patients that it was trained on; None where that is not known.
    """

    registered_model: str
    model: str
    run_id: str
    parameter_count: int
    training_films: str
    synthetic_training: bool
    synthetic_films: bool
    origin: Mapping[str, str]
    mean_shape: Mapping[str, Estimate]
    guarded: Mapping[str, float]
    pictures: Sequence[tuple[str, str]]
    films_seen: int | None


def model_card(facts: CardFacts, report: EvaluationReport, decision: Decision) -> str:
    """The whole card."""
    parts = (_use(facts), _training(facts), _results(facts, report), _decision(decision), _limits(facts, report),
             _pictures(facts), _origin(facts))  # fmt: skip
    return "\n".join(parts)


def results(numbers: Mapping[str, Estimate]) -> list[tuple[str, str, str]]:
    """Name, label and text of the numbers that a card shows and the model has."""
    return [
        (name, metric_definition(name).heading, estimate_text(name, numbers[name]))
        for name in RESULTS
        if name in numbers and not math.isnan(numbers[name].value)
    ]


def estimate_text(metric: str, estimate: Estimate) -> str:
    """A value with the digits of its metric, its interval, and the number of observations behind it."""
    if math.isnan(estimate.value):
        return "none"
    value, low, high = (format_value(metric, number) for number in (estimate.value, estimate.low, estimate.high))
    between = "" if math.isnan(estimate.low) else f" ({low} to {high})"
    absent = f", {estimate.n_absent} absent" if estimate.n_absent else ""
    return f"{value}{between}, n {estimate.n}{absent}"


def _use(facts: CardFacts) -> str:
    return f"""# {facts.model}, for {facts.registered_model}

Research use. **{DISCLAIMER}**

## Intended use

Research on lateral lumbar radiographs: to propose the four corners of each vertebra, from which slip and Meyerding
grade are measured, with the uncertainty of each. A reader looks at every film; levels that are marked for referral are
read without the model.

Not for the care of any patient, not for other views or other parts of the spine, and not for films of a kind that
neither training nor the films below have seen.
"""


def _training(facts: CardFacts) -> str:
    kind = (
        "These are **synthetic** films, drawn by this project; no real film was used. "
        if facts.synthetic_training
        else ""
    )
    return f"""## Training data

{facts.training_films}. {kind}Training run {facts.run_id}; {facts.parameter_count:,} parameters.
"""


def _results(facts: CardFacts, report: EvaluationReport) -> str:
    drawn = "**Synthetic films**: nothing here says how it does on real ones.\n" if facts.synthetic_films else ""
    shape = facts.mean_shape
    seen = {None: "an unknown number", 0: "none"}.get(facts.films_seen, str(facts.films_seen))
    shown = results(report.numbers)
    rows = [
        f"| {label} | {text} | {estimate_text(name, shape[name]) if name in shape else ''} |"
        for name, label, text in shown
    ]
    guarded = [
        f"| {metric_definition(name).heading} | {format_value(name, value)} |" for name, value in facts.guarded.items()
    ]
    return f"""## Results

{report.dataset}, {report.part} part: {report.n_labelled} labelled films of {report.n_patients} patients; it was
trained on {seen} of them. In brackets the 95 % interval over patients ({report.resamples} draws).
{drawn}
| | this model | mean shape (ignores the film) |
| --- | --- | --- |
{chr(10).join(rows)}

{chr(10).join(f"* {metric_definition(name).heading}: {metric_definition(name).meaning}" for name, _, _ in shown)}

Guarded when another model replaces it, the time as measured on the machine of the promotion:

| | |
| --- | --- |
{chr(10).join(guarded)}
"""


def _decision(decision: Decision) -> str:
    lines = [f"## {HEADINGS[decision.verdict]}", "", *(f"* {reason}" for reason in decision.reasons), ""]
    if decision.against and decision.in_favour:
        lines += ["What speaks for it:", "", *(f"* {reason}" for reason in decision.in_favour), ""]
    return "\n".join(lines)


def _limits(facts: CardFacts, report: EvaluationReport) -> str:
    counts = report.counts
    limits = [
        f"{counts['vertebrae_missing']} of {counts['vertebrae']} vertebrae were not found, "
        f"{counts['vertebrae_false']} were found where none is labelled.",
        f"Of {counts['levels']} levels the slip was withheld at {counts['levels_predicted_slip_withheld']}, and the "
        f"true one was not measurable at {counts['levels_true_slip_withheld']}.",
    ]
    if facts.synthetic_training:
        limits.append("It was trained on synthetic films alone: expect it to fail on real ones until that is measured.")
    if facts.synthetic_films:
        limits.append("It was evaluated on synthetic films alone.")
    if "slip_set_coverage" not in report.numbers:
        limits.append(
            "It states no intervals of slips on these films: its uncertainty was not calibrated, or not judged."
        )
    limits.append("Intervals hold for films like those of its validation part. Where several candidates were evaluated "
                "on the same films, the best one's numbers are a little too good.")  # fmt: skip
    return "\n".join(["## Limits", "", *(f"* {line}" for line in limits), ""])


def _pictures(facts: CardFacts) -> str:
    shown = [f"![{caption}]({path})\n\n*{caption}*\n" for path, caption in facts.pictures]
    return "\n".join(["## Pictures", "", *shown])


def _origin(facts: CardFacts) -> str:
    rows = [f"| {name} | `{value}` |" for name, value in facts.origin.items()]
    return "\n".join(["## Origin", "", "| | |", "| --- | --- |", *rows, ""])
