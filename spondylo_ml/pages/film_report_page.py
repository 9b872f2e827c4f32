"""The report of one film as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spondylo_ml.clinical.measure import confidence_in_words
from spondylo_ml.clinical.measurement import (
    NOT_KNOWN,
    LevelMeasurement,
    LevelUncertainty,
    Measure,
    format_slip_intervals,
)
from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.landmarks import GreyImage
from spondylo_ml.pages.figures.film_picture import film_picture
from spondylo_ml.pages.render import render_page

METHODS = {"endplate": "along the lower superior endplate", "posterior_wall": "from the lower posterior wall"}
ABSENT, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_PLACES = {"%": 1, "mm": 1, "deg": 1, "ratio": 2}


@dataclass
class Footnotes:
    """Reasons why values are absent, each numbered once."""

    reasons: list[str] = field(default_factory=list)

    def number(self, reason: str) -> int:
        """The number of a reason, from 1."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason) + 1


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        text: the value, or a dash if it is absent.
        note: number of the footnote with the reason; 0 if the value is there.
    """

    text: str
    note: int = 0


@dataclass(frozen=True)
class Row:
    """One row of a table of values."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class LevelRow:
    """One level: its slip and grade, and its row in the table of angles and discs."""

    name: str
    grade: int | None
    grade_name: str
    slip: Cell
    slip_mm: Cell
    interval: dict[str, str]
    refer: bool
    disc: Row


def film_report_page(report: FilmReport, pixels: GreyImage) -> str:
    """HTML of a film report.

    Raises:
        DataError: the pixels do not have the size of the report's film.
    """
    notes = Footnotes()
    measured = report.measurement
    by_slot = {u.upper_slot: u for u in report.uncertainty}
    levels = [_level_row(level, by_slot, notes) for level in reversed(measured.levels)]
    bodies = [
        Row(b.name, (_cell(b.wedge_ratio, notes), _cell(b.compression_ratio, notes))) for b in reversed(measured.bodies)
    ]
    spine = {
        f"Lumbar lordosis {measured.lordosis_variant}": _cell(measured.lordosis, notes, unit=" °"),
        "Sacral slope": _cell(measured.sacral_slope, notes, unit=" °"),
    }
    return render_page(
        "film_report.html",
        title=f"Film {report.film_key}",
        report=report,
        measured=measured,
        picture=film_picture(report, pixels),
        levels=levels,
        discs=_rows_with_values([row.disc for row in levels]),
        bodies=_rows_with_values(bodies),
        spine=spine,
        uncertain=bool(by_slot),
        methods=METHODS,
        notes=notes.reasons,
        confidence=confidence_in_words,
    )


def write_html(report: FilmReport, pixels: GreyImage, path: Path) -> Path:
    """Write the page to a file."""
    path.write_text(film_report_page(report, pixels), encoding="utf-8")
    return path


def _level_row(level: LevelMeasurement, uncertainties: Mapping[int, LevelUncertainty], notes: Footnotes) -> LevelRow:
    """The row of a level; `uncertainties` are by upper slot, and empty if none was computed for the film."""
    uncertainty = uncertainties.get(level.upper_slot)
    return LevelRow(
        name=level.name,
        grade=level.grade,
        grade_name=level.grade_name,
        slip=_cell(level.slip, notes, signed=True),
        slip_mm=_cell(level.slip_mm, notes, signed=True),
        interval=_interval(uncertainty),
        refer=uncertainty.refer if uncertainty else bool(uncertainties),
        disc=Row(
            level.name,
            (
                _cell(level.other_slip, notes, signed=True),
                _cell(level.segmental_angle, notes, signed=True),
                _cell(level.disc_angle, notes, signed=True),
                _cell(level.disc_height_index, notes),
            ),
        ),
    )


def _rows_with_values(rows: list[Row]) -> list[Row]:
    """The rows, or none if all their cells are absent: the footnotes give the reasons."""
    return rows if any(not cell.note for row in rows for cell in row.cells) else []


def _cell(measure: Measure, notes: Footnotes, signed: bool = False, unit: str = "") -> Cell:
    if measure.reason:
        return Cell(ABSENT, notes.number(measure.reason))
    sign = "+" if signed else ""
    text = f"{measure.value:{sign}z.{_PLACES[measure.unit]}f}".replace("-", MINUS)  # z: no negative zero
    return Cell(text + unit)


def _interval(uncertainty: LevelUncertainty | None) -> dict[str, str]:
    """Interval, grade probabilities and verdict as text; shown if uncertainty was computed for the film."""
    if uncertainty is None:
        return {"range": NOT_KNOWN, "grades": ABSENT, "verdict": f"{NOT_KNOWN}, refer"}
    likely = sorted(uncertainty.grade_probabilities.items(), key=lambda item: -item[1])
    stated = f" ({100 * uncertainty.coverage:g} %)" if uncertainty.pieces_percent and uncertainty.coverage else ""
    return {
        "range": f"{format_slip_intervals(uncertainty.pieces_percent)}{stated}".replace("-", MINUS),
        "grades": ", ".join(f"{Grade(g).label}: {100 * p:.0f} %" for g, p in likely if p >= 0.005) or ABSENT,
        "verdict": uncertainty.verdict,
    }
