"""Change between two films of one patient, level by level: the second film's measures minus the first's.

The errors of the two films are taken as independent: the half-widths of their intervals add in quadrature. Errors that
both films share, such as a corner that a model places too far back on every film, cancel in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.clinical.angles import between_deg
from spondylo_ml.clinical.measurement import FilmMeasurement, LevelMeasurement, Measure
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.same_levels import better_shift, too_few_to_compare
from spondylo_ml.clinical.spacing_plausibility import body_width_mm
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra
from spondylo_ml.spacing import Spacing

NAN = float("nan")
FILMS = ("first film", "second film")

LARGEST_SIZE_CHANGE = 0.1
"""Bodies do not grow or shrink between two films of an adult: a larger relative difference in mm shows that the
spacings do not fit each other."""


@dataclass(frozen=True)
class LevelErrors:
    """How far the measures of one level may be from the true ones: half-widths of intervals, NaN where unknown."""

    upper_slot: int
    slip_percent: float
    slip_mm: float
    segmental_angle_deg: float


@dataclass(frozen=True)
class MeasuredFilm:
    """A film as it was measured.

    Attributes:
        vertebrae: whose corners were measured.
        spacing: of the film; not used where the measurement ignored it.
        errors: of some or all levels, all with one coverage.
    """

    measurement: FilmMeasurement
    vertebrae: Sequence[Vertebra]
    spacing: Spacing | None = None
    errors: Sequence[LevelErrors] = ()

    def bodies(self) -> dict[int, FloatArray]:
        """(4, 2) bodies in the patient's frame with square pixels, by slot; needs facing and pixel aspect."""
        facing, aspect = Facing(self.measurement.facing), self.measurement.pixel_aspect or NAN
        return {v.slot: patient_frame(v.corners_xy, facing, (aspect, 1.0)) for v in self.vertebrae}

    def error_of(self, slot: int) -> LevelErrors:
        """The errors of the level above `slot - 1`; NaN if they are unknown."""
        return next((e for e in self.errors if e.upper_slot == slot), LevelErrors(slot, NAN, NAN, NAN))


@dataclass(frozen=True)
class Change:
    """The change of one measure.

    Attributes:
        value: second minus first.
        half_width: of the interval around it; NaN if the error of either film is unknown.
    """

    value: Measure
    half_width: float = NAN

    @property
    def low(self) -> float:
        """The lowest change that cannot be excluded."""
        return self.value.value - self.half_width

    @property
    def high(self) -> float:
        """The highest change that cannot be excluded."""
        return self.value.value + self.half_width


@dataclass(frozen=True)
class LevelChange:
    """The changes of one level.

    Attributes:
        before: the level on the first film; None if it is not there.
        after: the level on the second film.
        slip: in percentage points.
        slip_mm: only if both films have a spacing.
    """

    name: str
    upper_slot: int
    lower_slot: int
    before: LevelMeasurement | None
    after: LevelMeasurement | None
    slip: Change
    slip_mm: Change
    segmental_angle: Change


@dataclass(frozen=True)
class FilmChange:
    """The changes between two films.

    Attributes:
        withheld: why there are none, or empty.
        levels: from the sacrum up.
        warnings: what a reader must know before relying on the values.
    """

    withheld: str
    levels: tuple[LevelChange, ...]
    warnings: tuple[str, ...] = ()


def film_change(before: MeasuredFilm, after: MeasuredFilm) -> FilmChange:
    """The change of every level that either film shows.

    Raises:
        DataError: the films were measured by different clinical rules.
    """
    films = (before, after)
    digests = [film.measurement.rules_digest for film in films]
    if digests[0] != digests[1]:
        raise DataError(
            f"both films must be measured by the same clinical rules; given {digests[0][:12]} and {digests[1][:12]}"
        )
    if withheld := _withheld(before, after):
        return FilmChange(withheld, ())
    mm_withheld = _mm_withheld(before, after)
    by_slot = [{level.upper_slot: level for level in film.measurement.levels} for film in films]
    slots = sorted(by_slot[0].keys() | by_slot[1].keys())
    levels = tuple(_level_change(slot, by_slot, films, mm_withheld) for slot in slots)
    return FilmChange("", levels, _warnings(before, after, mm_withheld))


def _withheld(before: MeasuredFilm, after: MeasuredFilm) -> str:
    """Why nothing can be compared; empty if something can."""
    for name, film in zip(FILMS, (before, after), strict=True):
        if film.measurement.withheld:
            return f"nothing is measured on the {name}: {film.measurement.withheld}"
    unnamed = [name for name, film in zip(FILMS, (before, after), strict=True) if not film.measurement.levels_known]
    if unnamed:
        return f"the levels of the {' and the '.join(unnamed)} have no names: it is not known which level is which"
    if shift := better_shift(before.bodies(), after.bodies()):
        direction = "higher" if shift > 0 else "lower"
        return (
            "the films disagree on the names of the levels: the shapes of the bodies fit better if those of the second "
            f"film are named one level {direction}"
        )
    return ""


def _mm_withheld(before: MeasuredFilm, after: MeasuredFilm) -> str:
    """Why a change cannot be given in mm although both films have a spacing; empty if it can, or without a spacing."""
    spacings = [film.spacing for film in (before, after) if film.measurement.spacing_provenance]
    if len(spacings) < 2 or None in spacings:
        return ""
    slots = {v.slot for v in before.vertebrae} & {v.slot for v in after.vertebrae}
    widths = [
        body_width_mm([v for v in film.vertebrae if v.slot in slots], film.spacing)
        for film in (before, after)
        if film.spacing
    ]
    change = widths[1] / widths[0] - 1
    if math.isnan(change) or abs(math.log1p(change)) <= math.log1p(LARGEST_SIZE_CHANGE):
        return ""
    return (
        f"the bodies are {abs(100 * change):.0f} % {'larger' if change > 0 else 'smaller'} in mm on the second film: "
        "the pixel spacings do not fit each other"
    )


def _warnings(before: MeasuredFilm, after: MeasuredFilm, mm_withheld: str) -> tuple[str, ...]:
    sources = [film.measurement.spacing_provenance for film in (before, after)]
    messages = [mm_withheld]
    if too_few_to_compare(before.bodies(), after.bodies()):
        messages.append("too few bodies with all corners on both films to check that their levels are named alike")
    if all(sources) and sources[0] != sources[1] and not mm_withheld:
        messages.append(
            f"the pixel spacings are from different sources ({sources[0]}; {sources[1]}): a difference in "
            "magnification looks like a change in mm"
        )
    return tuple(text for text in messages if text)


def _level_change(
    slot: int,
    by_slot: Sequence[Mapping[int, LevelMeasurement]],
    films: tuple[MeasuredFilm, MeasuredFilm],
    mm_withheld: str,
) -> LevelChange:
    levels = [one.get(slot) for one in by_slot]
    errors = [film.error_of(slot) for film in films]
    shown = next(level for level in levels if level is not None)
    before, after = (
        (level.slip, level.slip_mm, level.segmental_angle) if level else _absent(shown.name) for level in levels
    )
    slip_mm = _change(before[1], after[1], "mm", [e.slip_mm for e in errors])
    if mm_withheld and not slip_mm.value.reason:
        slip_mm = Change(Measure(NAN, "mm", mm_withheld))
    return LevelChange(
        name=shown.name,
        upper_slot=slot,
        lower_slot=shown.lower_slot,
        before=levels[0],
        after=levels[1],
        slip=_change(before[0], after[0], "points", [e.slip_percent for e in errors]),
        slip_mm=slip_mm,
        segmental_angle=_change(before[2], after[2], "deg", [e.segmental_angle_deg for e in errors]),
    )


def _absent(name: str) -> tuple[Measure, Measure, Measure]:
    reason = f"{name} is not on the film"
    return Measure(NAN, "%", reason), Measure(NAN, "mm", reason), Measure(NAN, "deg", reason)


def _change(before: Measure, after: Measure, unit: str, half_widths: Sequence[float]) -> Change:
    reasons = [f"{name}: {one.reason}" for name, one in zip(FILMS, (before, after), strict=True) if one.reason]
    if reasons:
        both_same = before.reason == after.reason
        return Change(Measure(NAN, unit, f"both films: {before.reason}" if both_same else "; ".join(reasons)))
    value = float(between_deg(before.value, after.value)) if unit == "deg" else after.value - before.value
    return Change(Measure(value, unit), math.hypot(*half_widths))
