"""The report of one film on one A4 sheet, for printing; the page of the report has more room and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.film_report.report_texts import ReportTexts, english_texts
from spondylo_ml.landmarks import GreyImage
from spondylo_ml.pages.figures.film_picture import ENDPLATE, film_picture
from spondylo_ml.pages.figures.printed_film import draw_printed_film
from spondylo_ml.pages.film_report_content import ABSENT, Cell, LevelRow, ReportContent, report_content
from spondylo_ml.pages.printed_sheet import (
    HEIGHT_PT,
    LINE,
    MARGIN_PT,
    TEXT_PT,
    WIDTH_PT,
    Box,
    Column,
    PrintedSheet,
    Table,
    paragraphs_height,
)

TITLE_PT, HEADING_PT = 14.0, 9.5
GAP_PT = 7.0
INNER_PT = WIDTH_PT - 2 * MARGIN_PT
LOWEST_PT = HEIGHT_PT - MARGIN_PT - 2 * TEXT_PT
"""Upper edge of the last line of the sheet."""

PICTURE_PT = 225.0
"""Width of the picture and its caption."""

LEAST_MIDDLE_PT = 250.0
"""Height that is kept for the picture and what stands beside it."""

LEAST_FOOT_PT = 70.0
"""Height that is kept for the model, its digest and the first reasons."""


def film_report_sheet(
    report: FilmReport,
    pixels: GreyImage,
    name: str = "",
    digest: str = "",
    texts: ReportTexts | None = None,
    refused: bool = False,
) -> PrintedSheet:
    """The sheet of a film report.

    Args:
        name: of the film, without patient data, such as its pseudonym; the report's `film_key` if empty.
        digest: SHA-256 of the model's manifest; empty if unknown.
        texts: in another language than English.
        refused: whether the model takes the film for no lateral lumbar film; its corners are then not drawn.

    Raises:
        DataError: the pixels do not have the size of the report's film.
    """
    texts = texts or english_texts()
    content = report_content(report, texts)
    sheet = PrintedSheet()
    top = _head(sheet, content, texts.text("title", name=name or report.film_key))
    top = _levels(sheet, content, texts, top)
    foot = _foot_lines(report, content, digest, texts)
    foot_height = min(paragraphs_height(foot, INNER_PT), LOWEST_PT - top - LEAST_MIDDLE_PT - GAP_PT)
    height = LOWEST_PT - foot_height - GAP_PT - top
    shown = replace(report, corners=()) if refused else report
    _picture(sheet, shown, pixels, texts, Box(MARGIN_PT, top, PICTURE_PT, height))
    left = MARGIN_PT + PICTURE_PT + 2 * GAP_PT
    _beside(sheet, content, texts, Box(left, top, WIDTH_PT - MARGIN_PT - left, height))
    sheet.paragraphs(foot, Box(MARGIN_PT, top + height + GAP_PT, INNER_PT, foot_height), texts)
    sheet.rule(MARGIN_PT, LOWEST_PT + 2, INNER_PT)
    sheet.paragraph(report.software, Box(MARGIN_PT, LOWEST_PT + 5, INNER_PT, 0))
    return sheet


def _head(sheet: PrintedSheet, content: ReportContent, title: str) -> float:
    top = sheet.paragraph(title, Box(MARGIN_PT, MARGIN_PT, INNER_PT, 0), TITLE_PT, bold=True)
    top = sheet.paragraph(content.lead, Box(MARGIN_PT, top, INNER_PT, 0)) + 3
    sheet.rule(MARGIN_PT, top, INNER_PT, 1.0)
    top = sheet.paragraph(content.notice, Box(MARGIN_PT, top + 2, INNER_PT, 0), HEADING_PT, bold=True) + 2
    sheet.rule(MARGIN_PT, top, INNER_PT, 1.0)
    return top + GAP_PT


def _levels(sheet: PrintedSheet, content: ReportContent, texts: ReportTexts, top: float) -> float:
    if not content.levels:
        return sheet.paragraph(texts.text("no_levels"), Box(MARGIN_PT, top, INNER_PT, 0)) + GAP_PT
    heads = [texts.text(name) for name in ("level", "grade", "slip_percent", "slip_mm", "interval", "verdict")]
    widths: tuple[float, ...]
    if content.uncertain:
        widths = (54.0, 108.0, 42.0, 48.0, 112.0, INNER_PT - 364.0)
        rows = [_level_cells(row) for row in content.levels]
    else:
        widths = (120.0, 200.0, 80.0, 80.0)
        rows = [_level_cells(row)[:4] for row in content.levels]
    columns = [Column(head, width, head in heads[2:4]) for head, width in zip(heads, widths, strict=False)]
    room = LOWEST_PT - LEAST_MIDDLE_PT - LEAST_FOOT_PT - 2 * GAP_PT - top
    table = _lowest_levels(columns, rows, room)
    top = sheet.table(table, MARGIN_PT, top)
    if left_out := len(rows) - len(table.rows):
        top = sheet.paragraph(texts.text("levels_elsewhere", count=left_out), Box(MARGIN_PT, top, INNER_PT, 0))
    return top + GAP_PT


def _lowest_levels(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: float) -> Table:
    """The table of as many levels as there is room for; the lowest ones, where most slips are."""
    table = Table(columns, rows)
    while len(table.rows) > 1 and table.height > room:
        table = Table(columns, table.rows[1:])
    return table


def _level_cells(row: LevelRow) -> tuple[str, ...]:
    interval = row.interval
    verdict = interval["verdict"] + (f" ({interval['grades']})" if interval["grades"] != ABSENT else "")
    return (row.short_name, row.grade_name, _noted(row.slip), _noted(row.slip_mm), interval["range"], verdict)


def _noted(cell: Cell) -> str:
    return f"{cell.text} [{cell.note}]" if cell.note else cell.text


def _caption(report: FilmReport, texts: ReportTexts) -> str:
    if not report.corners:
        return texts.text("caption_no_corners")
    source = "labels" if report.corners_from == "labels" else "model"
    names = [f"caption_printed_{source}"]
    drawn = [level for level in report.measurement.levels if not level.slip.reason and level.slip_method == ENDPLATE]
    names += ["caption_printed_arrow"] if drawn else []
    names += [] if report.measurement.levels_known else ["caption_unnamed"]
    return " ".join(map(texts.text, names))


def _picture(sheet: PrintedSheet, report: FilmReport, pixels: GreyImage, texts: ReportTexts, box: Box) -> None:
    """The film as large as it fits, and its caption below."""
    picture, by_model = film_picture(report, pixels), report.corners_from != "labels"
    caption, (width, height) = _caption(report, texts), picture.size_wh
    room = box.height - paragraphs_height([caption], box.width) - 3
    scale = min(box.width / width, room / height)
    frame = Box(box.left, box.top, width * scale, height * scale)
    draw_printed_film(sheet.axes(frame), picture, by_model, texts.say)
    sheet.paragraph(caption, Box(box.left, frame.bottom + 3, box.width, 0))


def _beside(sheet: PrintedSheet, content: ReportContent, texts: ReportTexts, box: Box) -> None:
    """Warnings, above the angles if there is room for both."""
    heading, angles = LINE * HEADING_PT + 2, _angles(content, texts, box.width)
    spine = [f"{row.name}: {_noted(row.cells[0])}" for row in content.spine]
    warnings = heading + paragraphs_height(content.warnings, box.width) + GAP_PT if content.warnings else 0.0
    if angles and warnings + heading + angles.height + 2 + paragraphs_height(spine, box.width) > box.height:
        angles, spine = None, [*spine, texts.text("angles_elsewhere")]
    below = heading + (angles.height + 2 if angles else 0) + paragraphs_height(spine, box.width)
    top = box.top
    if content.warnings:
        top = sheet.paragraph(texts.text("warnings"), box, HEADING_PT, bold=True) + 2
        room = Box(box.left, top, box.width, box.bottom - below - GAP_PT - top)
        top = sheet.paragraphs(content.warnings, room, texts) + GAP_PT
    top = sheet.paragraph(texts.text("angles"), Box(box.left, top, box.width, 0), HEADING_PT, bold=True) + 2
    if angles:
        top = sheet.table(angles, box.left, top) + 2
    sheet.paragraphs(spine, Box(box.left, top, box.width, box.bottom - top + 1), texts)


def _angles(content: ReportContent, texts: ReportTexts, width: float) -> Table | None:
    if not content.discs:
        return None
    heads = [
        texts.text("level"),
        content.other_slip,
        *map(texts.text, ("segmental_angle", "disc_angle", "disc_height")),
    ]
    widths = (54.0, 66.0, 66.0, 46.0, width - 232.0)
    columns = [Column(head, room, number > 0) for number, (head, room) in enumerate(zip(heads, widths, strict=True))]
    rows = [(level.short_name, *map(_noted, level.disc.cells)) for level in content.levels]
    return Table(columns, rows)


def _foot_lines(report: FilmReport, content: ReportContent, digest: str, texts: ReportTexts) -> list[str]:
    """The model, why values are absent, and how the others were measured."""
    model = texts.text("how_model_text", model=report.corners_from, digest=digest)
    if not digest:
        model = texts.text("how_model_unknown", model=report.corners_from)
    lines = [] if report.corners_from == "labels" else [f"{texts.text('how_model')}: {model}"]
    lines += [f"[{number}] {reason}" for number, reason in enumerate(content.notes, 1)]
    how = " · ".join(f"{term}: {text}" for term, text in content.how)
    return [*lines, f"{texts.text('how')}: {how}"] + ([texts.text("bodies_elsewhere")] if content.bodies else [])
