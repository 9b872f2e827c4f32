"""The page of a diagnosis: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.findings import DiagnosisFinding, dead_in
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import CheckResult
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.pages.audit_page import as_data_uri
from spondylo_ml.pages.figures.anatomy_chart import draw_anatomy

TEMPLATE = Path(__file__).parent / "templates" / "diagnosis.html"


@dataclass(frozen=True)
class Subject:
    """What was diagnosed.

    Attributes:
        films_looked_at: validation films on which channels were watched.
        synthetic: whether the films are drawn by the project.
    """

    run_name: str
    run_id: str
    model: str
    dataset: str
    n_films: int
    films_looked_at: int
    mre_px512: float
    synthetic: bool


def build_page(
    subject: Subject,
    found: Sequence[DiagnosisFinding],
    checks: Sequence[CheckResult],
    anatomy: Mapping[str, Mapping[str, Estimate]],
    level_shifts: Mapping[str, Mapping[str, Estimate]],
    layers: Sequence[LayerChannels],
    census: GradientCensus | None,
) -> str:
    """The HTML: findings first, then what they rest on."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    dead, channels = dead_in(layers)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        subject=subject,
        findings=found,
        checks=checks,
        anatomy=as_data_uri(draw_anatomy(anatomy)),
        shifts=[(name, row["share_of_corners_percent"].value) for name, row in level_shifts.items()],
        layers=sorted((layer for layer in layers if layer.dead), key=lambda layer: -layer.dead_percent),
        n_layers=len(layers),
        dead=dead,
        channels=channels,
        census=census,
    )
