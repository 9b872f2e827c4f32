"""The report of one film as a page that stands alone: no other file, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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

TEMPLATE = "film_report.html"
METHODS = {"endplate": "along the lower superior endplate", "posterior_wall": "from the lower posterior wall"}
ABSENT, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_PLACES = {"%": 1, "mm": 1, "deg": 1, "ratio": 2}


@dataclass
class Footnotes:
    """Reasons why values are absent, each with one number however often it is needed."""

    reasons: list[str] = field(default_factory=list)

    def number(self, reason: str) -> int:
        """Number of a reason, from 1."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason) + 1


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        text: the value, or a dash.
        note: number of the footnote that says why it is absent; 0 where it is not.
    """

    text: str
    note: int = 0


@dataclass(frozen=True)
class Row:
    """One line of a table of values."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class LevelRow:
    """One level: its slip and grade, and the line that it has in the table of discs."""

    name: str
    grade: int | None
    grade_name: str
    slip: Cell
    slip_mm: Cell
    interval: dict[str, str]
    refer: bool
    disc: Row


def film_html(report: FilmReport, pixels: GreyImage) -> str:
    """The page.

    Raises:
        DataError: the pixels are not those of the report's film.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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
    return environment.get_template(TEMPLATE).render(
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
    """Write the page."""
    path.write_text(film_html(report, pixels), encoding="utf-8")
    return path


def _level_row(level: LevelMeasurement, sure: Mapping[int, LevelUncertainty], notes: Footnotes) -> LevelRow:
    """A level; `sure` is by upper slot, and empty where no uncertainty was computed for the film."""
    uncertainty = sure.get(level.upper_slot)
    return LevelRow(
        name=level.name,
        grade=level.grade,
        grade_name=level.grade_name,
        slip=_cell(level.slip, notes, signed=True),
        slip_mm=_cell(level.slip_mm, notes, signed=True),
        interval=_interval(uncertainty),
        refer=uncertainty.refer if uncertainty else bool(sure),
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
    """The rows, or none where all their cells are empty: the footnotes say why."""
    return rows if any(not cell.note for row in rows for cell in row.cells) else []


def _cell(measure: Measure, notes: Footnotes, signed: bool = False, unit: str = "") -> Cell:
    if measure.reason:
        return Cell(ABSENT, notes.number(measure.reason))
    sign = "+" if signed else ""
    text = f"{measure.value:{sign}.{_PLACES[measure.unit]}f}".replace("-", MINUS)
    return Cell(text + unit)


def _interval(uncertainty: LevelUncertainty | None) -> dict[str, str]:
    """Interval, grade probabilities and the verdict, in words; shown where uncertainty was computed at all."""
    if uncertainty is None:
        return {"range": NOT_KNOWN, "grades": ABSENT, "verdict": f"{NOT_KNOWN}, refer"}
    likely = sorted(uncertainty.grade_probabilities.items(), key=lambda item: -item[1])
    stated = f" ({100 * uncertainty.coverage:g} %)" if uncertainty.pieces_percent and uncertainty.coverage else ""
    return {
        "range": f"{format_slip_intervals(uncertainty.pieces_percent)}{stated}".replace("-", MINUS),
        "grades": ", ".join(f"{Grade(g).label}: {100 * p:.0f} %" for g, p in likely if p >= 0.005) or ABSENT,
        "verdict": uncertainty.verdict,
    }
