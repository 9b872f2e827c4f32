"""The model card of a version, as a page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.evaluation.catalogue import format_value, metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.render import jpeg_uri, render_page
from spondylo_ml.promotion.decision import Decision
from spondylo_ml.promotion.registry_pages import HEADINGS

RESULTS = (
    "mre_px512", "sdr_6px", "sdr_24px", "detection_precision", "detection_recall", "slip_mae_percent", "slip_slope",
    "slip_withheld_percent", "grade_accuracy_all", "grade_kappa", "listhesis_sensitivity", "listhesis_specificity",
    "slip_set_coverage", "referred_percent", "grade_accuracy_not_referred", "nmse", "or_20px704", "or_40px704",
    "cobb_smape_percent", "cobb_cmae_deg", "cobb_ed_deg", "cobb_md_deg",
)  # fmt: skip
"""Metrics of a card, in this order."""


@dataclass(frozen=True)
class CardFacts:
    """Facts of a model card about the model and its training run.

    Attributes:
        synthetic_training, synthetic_films: whether the films of training, and of the evaluation, are synthetic.
        origin: digests and versions, by name.
        mean_shape: metrics of the mean shape, the trivial predictor, on the same films.
        pictures: films with their captions.
        films_seen: number of films of patients that it was trained on; None if unknown.
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
    pictures: Sequence[tuple[str, Picture]]
    films_seen: int | None


def model_card(facts: CardFacts, report: EvaluationReport, decision: Decision) -> str:
    """HTML of the model card."""
    return render_page(
        "model_card.html",
        title=f"{facts.model}, for {facts.registered_model}",
        facts=facts,
        report=report,
        seen={None: "an unknown number", 0: "none"}.get(facts.films_seen, str(facts.films_seen)),
        results=_result_rows(facts, report),
        guarded=_guarded_rows(facts),
        why=HEADINGS[decision.verdict],
        decision=decision,
        intended_use=_intended_use(report),
        limits=_limits(facts, report),
        pictures=[(caption, jpeg_uri(picture)) for caption, picture in facts.pictures],
    )


def _intended_use(report: EvaluationReport) -> str:
    cobb = report.numbers.get("cobb_smape_percent")
    if cobb is not None and cobb.n:
        return (
            "Research on frontal radiographs of the whole spine: the model proposes the four corners of each vertebra, "
            "from which Cobb angles are measured. A reader checks every film."
        )
    return (
        "Research on lateral lumbar radiographs: the model proposes the four corners of each vertebra, from which slip "
        "and Meyerding grade are measured with their uncertainty. A reader checks every film, and reads levels marked "
        "for referral without the model."
    )


def results(numbers: Mapping[str, Estimate]) -> list[tuple[str, str, str]]:
    """Name, heading and text of the metrics on the card, without those that have no value."""
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


def _result_rows(facts: CardFacts, report: EvaluationReport) -> list[list[str]]:
    rows = [["metric", "this model", "mean shape (ignores the film)", "meaning"]]
    for name, label, text in results(report.numbers):
        beside = estimate_text(name, facts.mean_shape[name]) if name in facts.mean_shape else ""
        rows.append([label, _two_lines(text), _two_lines(beside), metric_definition(name).meaning])
    return rows


def _two_lines(estimate: str) -> str:
    """The value, and its interval and number of observations below it, as the tables of pages take it."""
    return re.sub(",? ", "\n", estimate, count=1)


def _guarded_rows(facts: CardFacts) -> list[list[str]]:
    rows = [[metric_definition(name).heading, format_value(name, value)] for name, value in facts.guarded.items()]
    return [["metric", "value"], *rows]


def _limits(facts: CardFacts, report: EvaluationReport) -> list[str]:
    counts = report.counts
    limits = [
        f"{counts['vertebrae_missing']} of {counts['vertebrae']} vertebrae were missed, "
        f"{counts['vertebrae_false']} were detected where none is labelled.",
        f"Of {counts['levels']} levels the slip was withheld at {counts['levels_predicted_slip_withheld']}, and the "
        f"true one was not measurable at {counts['levels_true_slip_withheld']}.",
    ]
    if facts.synthetic_training:
        limits.append(
            "It was trained on synthetic films alone: expect it to fail on real ones until measured otherwise."
        )
    if facts.synthetic_films:
        limits.append("It was evaluated on synthetic films alone.")
    if "slip_set_coverage" not in report.numbers:
        limits.append("It gives no slip intervals on these films: its uncertainty was not calibrated or not evaluated.")
    limits.append(
        "Intervals hold for films like those of its validation part. If several candidates were evaluated "
        "on the same films, the metrics of the best one are slightly optimistic."
    )
    return limits
