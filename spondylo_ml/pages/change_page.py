"""The page of two films of one patient: what changed at each level, and both films aligned on the lower vertebra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.clinical.change import Change, FilmChange, LevelChange
from spondylo_ml.clinical.instability import Instability, Verdict
from spondylo_ml.clinical.measurement import Measure
from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.clinical.rounding import rounded_beside
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.landmarks import FloatArray
from spondylo_ml.pages.figures.aligned_picture import AlignedPicture
from spondylo_ml.pages.film_report_content import MINUS, Cell, Footnotes, measure_cell
from spondylo_ml.pages.render import jpeg_uri, render_page
from spondylo_ml.version import __version__

LIMITS = {"mm": [DEFAULT_RULES.instability_mm], "deg": [DEFAULT_RULES.instability_deg]}
"""By unit, what the ends of an interval must not seem to reach: the usual limits of an instability."""


@dataclass(frozen=True)
class PairedFilm:
    """One film of the pair, for the reader.

    Attributes:
        name: pseudonym.
        place: its visit and position.
        report: address of its own report; empty if there is none.
    """

    name: str
    place: str
    report: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangePage:
    """What the page shows.

    Attributes:
        title: such as "anon-0123: extension to flexion".
        verdicts: by upper slot; None for films that are not a flexion-extension pair.
        pictures: by upper slot.
        coverage: of the intervals; None without any.
    """

    title: str
    model: str
    films: tuple[PairedFilm, PairedFilm]
    change: FilmChange
    rules: ClinicalConfig
    verdicts: Mapping[int, Instability] | None
    pictures: Mapping[int, AlignedPicture]
    coverage: float | None


@dataclass(frozen=True)
class ChangeCells:
    """One measure of a level: on both films, and its change."""

    before: Cell
    after: Cell
    change: Cell
    interval: str


@dataclass(frozen=True)
class ChangeRow:
    """One level of the table."""

    name: str
    measures: tuple[ChangeCells, ...]
    verdict: str
    reasons: tuple[str, ...]
    attention: bool


def change_page(data: ChangePage) -> str:
    """HTML of the page; all pictures are in it."""
    notes = Footnotes()
    levels = list(reversed(data.change.levels))
    with_mm = any(not level.slip_mm.value.reason or _has_mm(level) for level in levels)
    why_no_mm = "" if with_mm else _why_no_mm(levels)
    rows = [_row(level, data.verdicts, notes, with_mm) for level in levels]
    pictures = [
        (level.name, _caption(level), _figure(data.pictures[level.upper_slot]))
        for level in levels
        if level.upper_slot in data.pictures
    ]
    return render_page(
        "change.html",
        title=data.title,
        data=data,
        rows=rows,
        with_mm=with_mm,
        why_no_mm=why_no_mm,
        has_verdicts=data.verdicts is not None,
        pictures=pictures,
        notes=notes.reasons,
        notice=FILM_NOTICE,
        software=f"spondylo_ml {__version__}",
    )


def pair_verdict(verdicts: Mapping[int, Instability] | None, change: FilmChange) -> str:
    """The pair in a few words, for lists."""
    if change.withheld:
        return f"not compared: {change.withheld}"
    if verdicts is None:
        known = [level for level in change.levels if not math.isnan(level.slip.value.value)]
        if not known:
            return "no level could be compared"
        largest = max(known, key=lambda level: abs(level.slip.value.value))
        interval = _interval(largest.slip) or "its error is not known"
        return f"largest change of slip: {largest.name} {signed(largest.slip.value.value)} points ({interval})"
    names = {level.upper_slot: level.name for level in change.levels}
    for verdict in (Verdict.UNSTABLE, Verdict.INDETERMINATE, Verdict.NOT_KNOWN):
        if found := [names[slot] for slot, one in verdicts.items() if one.verdict is verdict]:
            return f"{verdict.value}: {', '.join(found)}"
    return "all levels within the limits" if verdicts else "no level could be compared"


def signed(value: float) -> str:
    """A value with its sign and one decimal."""
    return f"{value:+z.1f}".replace("-", MINUS)


def _has_mm(level: LevelChange) -> bool:
    return any(film is not None and not film.slip_mm.reason for film in (level.before, level.after))


def _why_no_mm(levels: Sequence[LevelChange]) -> str:
    """Why no level has a slip in mm: the reasons of both films."""
    films = [film for level in levels for film in (level.before, level.after) if film is not None]
    return "; ".join(dict.fromkeys(film.slip_mm.reason for film in films if film.slip_mm.reason))


def _row(level: LevelChange, verdicts: Mapping[int, Instability] | None, notes: Footnotes, with_mm: bool) -> ChangeRow:
    verdict = (verdicts or {}).get(level.upper_slot)
    films = (level.before, level.after)
    measures = (
        _cells([film.slip if film else None for film in films], level.slip, notes),
        *([_cells([film.slip_mm if film else None for film in films], level.slip_mm, notes)] if with_mm else []),
        _cells([film.segmental_angle if film else None for film in films], level.segmental_angle, notes),
    )
    return ChangeRow(
        name=level.name,
        measures=measures,
        verdict=verdict.verdict.value if verdict else "",
        reasons=verdict.reasons if verdict else (),
        attention=verdict is not None and verdict.verdict is not Verdict.STABLE,
    )


def _cells(films: Sequence[Measure | None], change: Change, notes: Footnotes) -> ChangeCells:
    absent = Measure(math.nan, change.value.unit, "the level is not on the film")
    before, after = (measure_cell(film or absent, notes, signed=True) for film in films)
    return ChangeCells(before, after, measure_cell(change.value, notes, signed=True), _interval(change))


def _interval(change: Change) -> str:
    """The interval as text; empty if it is not known."""
    known = not math.isnan(change.half_width) and not change.value.reason
    limits = LIMITS.get(change.value.unit, [])
    ends = (rounded_beside(end, 1, limits, "+").replace("-", MINUS) for end in (change.low, change.high))
    return " to ".join(ends) if known else ""


def _caption(level: LevelChange) -> str:
    mm = level.slip_mm.value
    slip = f"{signed(mm.value)} mm" if not mm.reason else f"{signed(level.slip.value.value)} points"
    angle = level.segmental_angle.value
    turn = "" if angle.reason else f", angle {signed(angle.value)}\N{DEGREE SIGN}"
    return "change not measurable" if level.slip.value.reason else f"slip {slip}{turn}"


def _figure(picture: AlignedPicture) -> dict[str, object]:
    def lines(outlines: Sequence[FloatArray]) -> list[str]:
        return [" ".join(f"{x:.1f},{y:.1f}" for x, y in outline) for outline in outlines]

    width, height = picture.size_wh
    return {
        "width": width,
        "height": height,
        "before": jpeg_uri(picture.before),
        "after": jpeg_uri(picture.after),
        "outlines_before": lines(picture.outlines_before),
        "outlines_after": lines(picture.outlines_after),
    }
