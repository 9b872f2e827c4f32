"""What the report of one film shows, in the order and the words in which its page and its PDF show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spondylo_ml.clinical.measure import confidence_in_words
from spondylo_ml.clinical.measurement import NOT_KNOWN, LevelMeasurement, LevelUncertainty, Measure
from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.evaluation.verdict import UNKNOWN
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.film_report.report_texts import ReportTexts
from spondylo_ml.pages.body_names import short_name

ABSENT, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
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
        short_name: the name where there is little room.
        interval: the slips that cannot be excluded, the probabilities of the grades, and the verdict, as text.
        bar: None where the slip has no value or no interval.
    """

    name: str
    short_name: str
    grade: int | None
    grade_name: str
    slip: Cell
    slip_mm: Cell
    interval: dict[str, str]
    bar: IntervalBar | None
    refer: bool
    disc: Row


@dataclass(frozen=True)
class ReportContent:
    """The content of a report in one language.

    Attributes:
        levels: topmost first, as are `discs` and `bodies`; these two are empty if none of their cells has a value.
        uncertain: whether uncertainty was computed for the film.
        notes: reasons why values are absent, by the number of the footnote.
        how: terms, and how the film was measured.
    """

    lead: str
    notice: str
    warnings: tuple[str, ...]
    levels: tuple[LevelRow, ...]
    uncertain: bool
    other_slip: str
    discs: tuple[Row, ...]
    spine: tuple[Row, ...]
    bodies: tuple[Row, ...]
    notes: tuple[str, ...]
    how: tuple[tuple[str, str], ...]


def report_content(report: FilmReport, texts: ReportTexts) -> ReportContent:
    """The content of a report."""
    notes, measured = Footnotes(), report.measurement
    by_slot = {u.upper_slot: u for u in report.uncertainty}
    axis = _axis_percent(measured.levels, report.uncertainty)
    levels = [_level_row(level, by_slot, notes, axis, texts, measured.rules) for level in reversed(measured.levels)]
    bodies = [
        Row(texts.say(b.name), (measure_cell(b.wedge_ratio, notes), measure_cell(b.compression_ratio, notes)))
        for b in reversed(measured.bodies)
    ]
    spine = (
        Row(
            texts.text("lordosis", variant=measured.lordosis_variant),
            (measure_cell(measured.lordosis, notes, unit=" °"),),
        ),
        Row(texts.text("sacral_slope"), (measure_cell(measured.sacral_slope, notes, unit=" °"),)),
    )
    method = measured.levels[0].other_slip_method if measured.levels else ""
    return ReportContent(
        lead=_lead(report, texts),
        notice=texts.say(report.notice),
        warnings=tuple(map(texts.say, measured.warnings)),
        levels=tuple(levels),
        uncertain=bool(by_slot),
        other_slip=texts.text("other_slip", method=texts.text(f"methods.{method}")) if method else "",
        discs=_rows_with_values([row.disc for row in levels]),
        spine=spine,
        bodies=_rows_with_values(bodies),
        notes=tuple(map(texts.say, notes.reasons)),
        how=tuple((texts.text(f"how_{term}"), text) for term, text in _how(report, texts).items()),
    )


def measure_cell(
    measure: Measure, notes: Footnotes, signed: bool = False, unit: str = "", limits: Sequence[float] = ()
) -> Cell:
    """A value for a table, or a dash with the number of the footnote that gives the reason.

    Args:
        limits: that the text must not seem to reach or cross.
    """
    if measure.reason:
        return Cell(ABSENT, notes.number(measure.reason))
    text = rounded_beside(measure.value, _PLACES[measure.unit], limits, "+" if signed else "").replace("-", MINUS)
    return Cell(text + unit)


def _lead(report: FilmReport, texts: ReportTexts) -> str:
    """What the report is about, in one line."""
    height, width = report.size_hw_px
    source = texts.part(report.corners_from) if report.corners_from == "labels" else report.corners_from
    return texts.text("lead", key=report.film_key, width=width, height=height, source=source)


def _how(report: FilmReport, texts: ReportTexts) -> dict[str, str]:
    """How the film was measured, by term."""
    measured, rules, text = report.measurement, report.measurement.rules, texts.text
    limits = ", ".join(map(str, rules["grade_limits_percent"]))
    graded = [level for level in measured.levels if level.grade is not None] or measured.levels
    lowest = text("or").join(dict.fromkeys(level.grade0_limit for level in graded))
    side = texts.part(measured.facing)
    confidence = texts.part(confidence_in_words(measured.facing_confidence))
    certainty = texts.part(confidence_in_words(measured.levels_confidence))
    aspect = measured.pixel_aspect
    return {
        "slip": text("how_slip_text", method=text(f"methods.{rules['slip_method']}")),
        "grade": text("how_grade_0", limits=limits, limit=lowest) if lowest else text("how_grade_text", limits=limits),
        "facing": text("how_facing_inferred", side=side, confidence=confidence)
        if measured.facing_from == "inferred"
        else text("how_facing_text", side=side, source=texts.part(measured.facing_from)),
        "levels": text("how_levels_doubted" if measured.names_doubted else "how_levels_named", confidence=certainty)
        if measured.levels_known
        else text("how_levels_unnamed"),
        "spacing": texts.say(measured.spacing_provenance) or text("how_spacing_unknown"),
        "aspect": text("how_aspect_unknown")
        if aspect is None
        else text("how_aspect_text", aspect=f"{aspect:.3g}", source=text(f"aspects.{measured.aspect_from}")),
        "sacral_slope": text("how_sacral_slope_text"),
        "uncertainty": text("how_uncertainty_text" if report.uncertainty else "how_uncertainty_none"),
        "rules": text("how_rules_text", version=rules["version"], digest=measured.rules_digest),
    }


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
    texts: ReportTexts,
    rules: Mapping[str, Any],
) -> LevelRow:
    """The row of a level; `uncertainties` are by upper slot, and empty if none was computed for the film."""
    uncertainty = uncertainties.get(level.upper_slot)
    name = texts.say(level.name)
    return LevelRow(
        name=name,
        short_name="/".join(texts.say(short_name(part)) for part in level.name.split("/")),
        grade=level.grade,
        grade_name=texts.say(level.grade_name),
        slip=measure_cell(level.slip, notes, signed=True, limits=slip_limits_percent(rules)),
        slip_mm=measure_cell(level.slip_mm, notes, signed=True, limits=[rules["grade0_mm"]]),
        interval=_interval(uncertainty, texts),
        bar=_bar(level, uncertainty, axis),
        refer=uncertainty.refer if uncertainty else bool(uncertainties),
        disc=Row(
            name,
            (
                measure_cell(level.other_slip, notes, signed=True),
                measure_cell(level.segmental_angle, notes, signed=True),
                measure_cell(level.disc_angle, notes, signed=True),
                measure_cell(level.disc_height_index, notes),
            ),
        ),
    )


def _rows_with_values(rows: list[Row]) -> tuple[Row, ...]:
    """The rows, or none if all their cells are absent: the footnotes give the reasons."""
    return tuple(rows) if any(not cell.note for row in rows for cell in row.cells) else ()


def _percent_short_of_all(probability: float) -> str:
    """The probability in whole percent; neither 0 nor 100 unless it is."""
    return rounded_beside(100 * probability, 0, [0.0, 100.0])


def _interval(uncertainty: LevelUncertainty | None, texts: ReportTexts) -> dict[str, str]:
    """Interval, grade probabilities and verdict as text; shown if uncertainty was computed for the film."""
    if uncertainty is None:
        return {"range": texts.say(NOT_KNOWN), "grades": ABSENT, "verdict": texts.say(UNKNOWN)}
    likely = sorted(uncertainty.grade_probabilities.items(), key=lambda item: -item[1])
    probabilities = [
        texts.text("grade_probability", grade=Grade(grade).label, percent=_percent_short_of_all(p))
        for grade, p in likely
        if p >= 0.005
    ]
    return {
        "range": _slips(uncertainty, texts),
        "grades": ", ".join(probabilities) or ABSENT,
        "verdict": texts.say(uncertainty.verdict),
    }


def _slips(uncertainty: LevelUncertainty, texts: ReportTexts) -> str:
    """The slips that cannot be excluded, and their probability."""
    if not uncertainty.pieces_percent:
        return texts.say(NOT_KNOWN)
    pieces = [
        texts.text("interval_piece", low=f"{low:+z.1f}", high=f"{high:+z.1f}")
        for low, high in uncertainty.pieces_percent
    ]
    interval = texts.text("or").join(pieces).replace("-", MINUS)
    if not uncertainty.coverage:
        return interval
    return texts.text("interval_coverage", interval=interval, percent=f"{100 * uncertainty.coverage:g}")
