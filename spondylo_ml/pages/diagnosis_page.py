"""The page of a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.findings import DiagnosisFinding, dead_in
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import CheckResult
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.pages.figures.anatomy_chart import CAUSES, draw_anatomy
from spondylo_ml.pages.render import jpeg_uri, render_page


@dataclass(frozen=True)
class Subject:
    """The run that was diagnosed.

    Attributes:
        films_looked_at: number of validation films used for the dead channels.
        synthetic: whether the films are synthetic.
    """

    run_name: str
    run_id: str
    model: str
    dataset: str
    n_films: int
    films_looked_at: int
    mre_px512: float
    synthetic: bool


def diagnosis_page(
    subject: Subject,
    findings: Sequence[DiagnosisFinding],
    checks: Sequence[CheckResult],
    anatomy: Mapping[str, Mapping[str, Estimate]],
    level_shifts: Mapping[str, Mapping[str, Estimate]],
    layers: Sequence[LayerChannels],
    census: GradientCensus | None,
) -> str:
    """HTML: the findings, then the evidence for them."""
    dead, channels = dead_in(layers)
    return render_page(
        "diagnosis.html",
        title=f"Diagnosis of {subject.run_name}",
        subject=subject,
        findings=findings,
        checks=checks,
        anatomy=jpeg_uri(draw_anatomy(anatomy)),
        causes=CAUSES,
        shifts=[(name, row["share_of_corners_percent"].value) for name, row in level_shifts.items()],
        layers=sorted((layer for layer in layers if layer.dead), key=lambda layer: -layer.dead_percent),
        n_layers=len(layers),
        dead=dead,
        channels=channels,
        census=census,
    )
