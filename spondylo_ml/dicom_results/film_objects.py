"""Both DICOM objects of a film, from its report and its prediction."""

from __future__ import annotations

import textwrap

from pydicom import Dataset

from spondylo_ml.clinical.measurement import format_slip_intervals
from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.dicom_results.content import Algorithm, measurement_report
from spondylo_ml.dicom_results.instances import overlay_image, structured_report
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.pages.figures.overlay import draw_measured_film

HEIGHT_PX = 1024
"""Height of the film in an overlay."""

LONGEST_LINE = 110
"""Characters of a line below the picture; longer ones are wrapped."""


def objects_of(
    report: FilmReport, film: Film, prediction: FilmPrediction, source: Dataset, algorithm: Algorithm
) -> tuple[Dataset, Dataset]:
    """The Structured Report of a film, and the Secondary Capture; the latter shows no corners if the film was refused.

    Args:
        source: the elements of its file, from `source.read_source`.
    """
    content = measurement_report(report, prediction, source, algorithm)
    lines = (DISCLAIMER, f"{report.software}, {algorithm.name}", *level_lines(report))
    caption = [part for line in lines for part in textwrap.wrap(line, LONGEST_LINE, subsequent_indent="    ")]
    picture = draw_measured_film(film, prediction, report.measurement, HEIGHT_PX, caption)
    return structured_report(content, source, algorithm), overlay_image(picture, source, algorithm)


def level_lines(report: FilmReport) -> list[str]:
    """A line for each level, topmost first: slip, interval and verdict, or why it has none; one if all are withheld."""
    if withheld := report.measurement.withheld:
        return [f"not measured: {withheld}"]
    by_slot = {one.upper_slot: one for one in report.uncertainty}
    limits = slip_limits_percent(report.measurement.rules)
    lines = []
    for level in reversed(report.measurement.levels):
        one = by_slot.get(level.upper_slot)
        if level.slip.reason:
            lines.append(f"{level.name}: {level.slip}")
            continue
        slip = rounded_beside(level.slip.value, 1, limits, "+")
        if one is None:
            lines.append(f"{level.name}: slip {slip} %, {level.grade_name}")
        else:
            interval = format_slip_intervals(one.pieces_percent)
            lines.append(f"{level.name}: slip {slip} % ({interval}), {one.verdict}")
    return lines
