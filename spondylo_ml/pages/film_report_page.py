"""The report of one film as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from spondylo_ml.landmarks import FloatArray, GreyImage
from spondylo_ml.pages.figures.film_picture import REGION_PERCENT, film_picture
from spondylo_ml.pages.render import render_page

METHODS = {"endplate": "along the lower superior endplate", "posterior_wall": "from the lower posterior wall"}
ABSENT, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"
NARROWEST_AXIS_PERCENT = (-10.0, 30.0)
_PLACES = {"%": 1, "points": 1, "mm": 1, "deg": 1, "ratio": 2}


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
class IntervalBar:
    """The slips of a level that cannot be excluded, drawn on an axis that all levels share.

    Attributes:
        pieces: (start, length) of each interval, percent of the axis.
        slip: place of the measured slip, percent of the axis.
        zero: place of no slip, percent of the axis.
    """

    pieces: tuple[tuple[float, float], ...]
    slip: float
    zero: float


@dataclass(frozen=True)
class LevelRow:
    """One level: its slip and grade, and its row in the table of angles and discs.

    Attributes:
        bar: None where the slip has no value or no interval.
    """

    name: str
    grade: int | None
    grade_name: str
    slip: Cell
    slip_mm: Cell
    interval: dict[str, str]
    bar: IntervalBar | None
    refer: bool
    disc: Row


def film_report_page(
    report: FilmReport, pixels: GreyImage, name: str = "", regions_px2: Mapping[int, FloatArray] | None = None
) -> str:
    """HTML of a film report.

    Args:
        name: of the film, without patient data, such as its pseudonym; the report's `film_key` if empty.
        regions_px2: see `film_picture`.

    Raises:
        DataError: the pixels do not have the size of the report's film.
    """
    notes = Footnotes()
    measured = report.measurement
    by_slot = {u.upper_slot: u for u in report.uncertainty}
    axis = _axis_percent(measured.levels, report.uncertainty)
    levels = [_level_row(level, by_slot, notes, axis) for level in reversed(measured.levels)]
    bodies = [
        Row(b.name, (measure_cell(b.wedge_ratio, notes), measure_cell(b.compression_ratio, notes)))
        for b in reversed(measured.bodies)
    ]
    spine = {
        f"Lumbar lordosis {measured.lordosis_variant}": measure_cell(measured.lordosis, notes, unit=" °"),
        "Sacral slope": measure_cell(measured.sacral_slope, notes, unit=" °"),
    }
    return render_page(
        "film_report.html",
        title=name or f"Film {report.film_key}",
        report=report,
        measured=measured,
        picture=film_picture(report, pixels, regions_px2),
        with_regions=bool(regions_px2),
        region_percent=REGION_PERCENT,
        levels=levels,
        discs=_rows_with_values([row.disc for row in levels]),
        bodies=_rows_with_values(bodies),
        spine=spine,
        uncertain=bool(by_slot),
        methods=METHODS,
        notes=notes.reasons,
        confidence=confidence_in_words,
    )


def write_html(
    report: FilmReport,
    pixels: GreyImage,
    path: Path,
    name: str = "",
    regions_px2: Mapping[int, FloatArray] | None = None,
) -> Path:
    """Write the page to a file; see `film_report_page`."""
    path.write_text(film_report_page(report, pixels, name, regions_px2), encoding="utf-8")
    return path


def _axis_percent(levels: Sequence[LevelMeasurement], uncertainties: Sequence[LevelUncertainty]) -> tuple[float, float]:
    """Lowest and highest slip that the bars of a film show."""
    values = [*NARROWEST_AXIS_PERCENT, *(x for u in uncertainties for piece in u.pieces_percent for x in piece)]
    values += [level.slip.value for level in levels if not level.slip.reason]
    return min(values), max(values)


def _bar(
    level: LevelMeasurement, uncertainty: LevelUncertainty | None, axis: tuple[float, float]
) -> IntervalBar | None:
    if uncertainty is None or not uncertainty.pieces_percent or level.slip.reason:
        return None

    def place(slip: float) -> float:
        return round(100 * (slip - axis[0]) / (axis[1] - axis[0]), 2)

    pieces = tuple((place(low), round(place(high) - place(low), 2)) for low, high in uncertainty.pieces_percent)
    return IntervalBar(pieces, place(level.slip.value), place(0.0))


def _level_row(
    level: LevelMeasurement,
    uncertainties: Mapping[int, LevelUncertainty],
    notes: Footnotes,
    axis: tuple[float, float],
) -> LevelRow:
    """The row of a level; `uncertainties` are by upper slot, and empty if none was computed for the film."""
    uncertainty = uncertainties.get(level.upper_slot)
    return LevelRow(
        name=level.name,
        grade=level.grade,
        grade_name=level.grade_name,
        slip=measure_cell(level.slip, notes, signed=True),
        slip_mm=measure_cell(level.slip_mm, notes, signed=True),
        interval=_interval(uncertainty),
        bar=_bar(level, uncertainty, axis),
        refer=uncertainty.refer if uncertainty else bool(uncertainties),
        disc=Row(
            level.name,
            (
                measure_cell(level.other_slip, notes, signed=True),
                measure_cell(level.segmental_angle, notes, signed=True),
                measure_cell(level.disc_angle, notes, signed=True),
                measure_cell(level.disc_height_index, notes),
            ),
        ),
    )


def _rows_with_values(rows: list[Row]) -> list[Row]:
    """The rows, or none if all their cells are absent: the footnotes give the reasons."""
    return rows if any(not cell.note for row in rows for cell in row.cells) else []


def measure_cell(measure: Measure, notes: Footnotes, signed: bool = False, unit: str = "") -> Cell:
    """A value for a table, or a dash with the number of the footnote that gives the reason."""
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
    stated = (
        f" ({100 * uncertainty.coverage:g}{NO_BREAK}%)" if uncertainty.pieces_percent and uncertainty.coverage else ""
    )
    return {
        "range": f"{format_slip_intervals(uncertainty.pieces_percent)}{stated}".replace("-", MINUS),
        "grades": ", ".join(f"{Grade(g).label}: {100 * p:.0f}{NO_BREAK}%" for g, p in likely if p >= 0.005) or ABSENT,
        "verdict": uncertainty.verdict,
    }
