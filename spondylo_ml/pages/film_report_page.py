"""The report of one film as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.film_report.report_texts import ReportTexts, english_texts
from spondylo_ml.landmarks import FloatArray, GreyImage
from spondylo_ml.pages.figures.film_picture import REGION_PERCENT, film_picture
from spondylo_ml.pages.film_report_content import report_content
from spondylo_ml.pages.render import render_page


def film_report_page(
    report: FilmReport,
    pixels: GreyImage,
    name: str = "",
    regions_px2: Mapping[int, FloatArray] | None = None,
    texts: ReportTexts | None = None,
) -> str:
    """HTML of a film report.

    Args:
        name: of the film, without patient data, such as its pseudonym; the report's `film_key` if empty.
        regions_px2: see `film_picture`.
        texts: in another language than English.

    Raises:
        DataError: the pixels do not have the size of the report's film.
    """
    texts = texts or english_texts()
    return render_page(
        "film_report.html",
        title=name or texts.text("title", name=report.film_key),
        report=report,
        content=report_content(report, texts),
        measured=report.measurement,
        picture=film_picture(report, pixels, regions_px2),
        with_regions=bool(regions_px2),
        region_percent=REGION_PERCENT,
        language=texts.language,
        text=texts.text,
        say=texts.say,
    )


def write_html(
    report: FilmReport,
    pixels: GreyImage,
    path: Path,
    name: str = "",
    regions_px2: Mapping[int, FloatArray] | None = None,
    texts: ReportTexts | None = None,
) -> Path:
    """Write the page to a file; see `film_report_page`."""
    path.write_text(film_report_page(report, pixels, name, regions_px2, texts), encoding="utf-8")
    return path
