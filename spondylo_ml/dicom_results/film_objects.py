"""Both DICOM objects of a film, from its report and its prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydicom import Dataset

from spondylo_ml.clinical.measurement import format_slip_intervals
from spondylo_ml.dicom_results.content import Algorithm, measurement_report
from spondylo_ml.dicom_results.instances import overlay_image, structured_report
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.pages.figures.overlay import draw_film

HEIGHT_PX = 1024
"""Height of the film in an overlay."""

LONGEST_LINE = 110
"""Characters of a line below the picture; the report has the whole text."""


def objects_of(
    report: FilmReport, film: Film, prediction: FilmPrediction, source: Dataset, algorithm: Algorithm
) -> tuple[Dataset, Dataset]:
    """The Structured Report of a film, and the Secondary Capture; the latter shows no corners if the film was refused.

    Args:
        source: the elements of its file, from `source.read_source`.
    """
    content = measurement_report(report, prediction, source, algorithm)
    shown = replace(prediction, presence=np.zeros_like(prediction.presence)) if prediction.refusal else prediction
    lines = (DISCLAIMER, f"{report.software}, {algorithm.name}", *level_lines(report))
    picture = draw_film(film, shown, HEIGHT_PX, caption=[line[:LONGEST_LINE] for line in lines])
    return structured_report(content, source, algorithm), overlay_image(picture, source, algorithm)


def level_lines(report: FilmReport) -> list[str]:
    """A line for each level, topmost first: slip, interval and verdict, or why it has none; one if all are withheld."""
    if withheld := report.measurement.withheld:
        return [f"not measured: {withheld}"]
    by_slot = {one.upper_slot: one for one in report.uncertainty}
    lines = []
    for level in reversed(report.measurement.levels):
        one = by_slot.get(level.upper_slot)
        if level.slip.reason:
            lines.append(f"{level.name}: {level.slip}")
        elif one is None:
            lines.append(f"{level.name}: slip {level.slip.value:+z.1f} %, {level.grade_name}")
        else:
            interval = format_slip_intervals(one.pieces_percent)
            lines.append(f"{level.name}: slip {level.slip.value:+z.1f} % ({interval}), {one.verdict}")
    return lines
