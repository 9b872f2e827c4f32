"""What is measured on one film: values with their units, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spondylo_ml.errors import DataError
from spondylo_ml.nan import finite_or_none

SCHEMA_VERSION = 1

NOT_KNOWN = "not known"
"""Shown for a slip whose set excludes nothing."""


@dataclass(frozen=True)
class Measure:
    """A value with its unit.

    Attributes:
        value: NaN where it is withheld or not measurable.
        unit: "%", "mm", "deg", or "ratio".
        reason: why there is no value; empty where there is one.
    """

    value: float
    unit: str
    reason: str = ""

    def __post_init__(self) -> None:
        if math.isinf(self.value) or math.isnan(self.value) != bool(self.reason):
            raise DataError(f"a measure has a finite value or a reason; given {self.value} and {self.reason!r}")

    def __str__(self) -> str:
        if self.reason:
            return f"not measurable: {self.reason}"
        return f"{self.value:.2f}" if self.unit == "ratio" else f"{self.value:.1f} {self.unit}"


@dataclass(frozen=True)
class LevelMeasurement:
    """One vertebra on the one below it.

    Attributes:
        name: such as "L4/L5", or in terms of the lowest visible vertebra.
        slip: percent of the lower superior endplate, positive forward, by `slip_method`.
        other_slip: the same by the other convention, `other_slip_method`.
        slip_mm: `slip` in mm.
        grade: 0 to 5, or None where the slip has no value.
        grade_name: the grade in words, with its direction.
        grade0_limit: the limit below which the slip is no listhesis.
        segmental_angle: superior endplate to superior endplate, positive in lordosis.
        disc_angle: inferior to superior endplate, positive where the disc opens forward.
    """

    name: str
    upper_slot: int
    lower_slot: int
    slip: Measure
    slip_method: str
    other_slip: Measure
    other_slip_method: str
    slip_mm: Measure
    grade: int | None
    grade_name: str
    grade0_limit: str
    segmental_angle: Measure
    disc_angle: Measure
    disc_height_index: Measure


@dataclass(frozen=True)
class BodyMeasurement:
    """One vertebral body.

    Attributes:
        wedge_ratio: anterior over posterior height.
        compression_ratio: posterior height over the mean of its neighbours' (the sacrum is none).
    """

    name: str
    slot: int
    wedge_ratio: Measure
    compression_ratio: Measure


@dataclass(frozen=True)
class LevelUncertainty:
    """How sure a level's slip and grade are.

    Attributes:
        upper_slot: the level, by its upper vertebra.
        pieces_percent: (low, high) of the intervals that the slips which cannot be excluded fill, rising; none where
            nothing is known of them.
        low_percent: the least of these slips; None where nothing is known of them.
        high_percent: the greatest; None likewise.
        coverage: probability that these slips, and these grades, are made to hold the true one with; None where there
            are neither.
        grade_probabilities: by grade, 0 to 5; empty where there are none.
        grade_set: the grades that cannot be excluded, by their probability or by the slips.
        refer: whether the level must be read by a person: more than one grade, or more than one direction, is left.
        verdict: the grades that are left in words, such as "indeterminate between 0 and I, refer".
    """

    upper_slot: int
    pieces_percent: tuple[tuple[float, float], ...]
    low_percent: float | None
    high_percent: float | None
    coverage: float | None
    grade_probabilities: dict[int, float]
    grade_set: tuple[int, ...]
    refer: bool
    verdict: str


def format_slip_intervals(pieces_percent: Sequence[tuple[float, float]]) -> str:
    """Such as "-2.0 to +3.1 or +5.0 to +11.4", percent; "not known" where there are none."""
    return " or ".join(f"{low:+.1f} to {high:+.1f}" for low, high in pieces_percent) or NOT_KNOWN


@dataclass(frozen=True)
class FilmMeasurement:
    """Everything measured on one film; it names neither the film nor the patient.

    Attributes:
        facing: side of the patient's front that was used: left, right, none or unknown.
        facing_from: "given" or "inferred".
        facing_confidence: 1 where given.
        levels_known: whether vertebrae bear level names.
        levels_confidence: probability that the lowest vertebra is what it is taken for.
        spacing_provenance: who says how large a pixel is; empty where no one does.
        pixel_aspect: width of a pixel over its height; None where it is unknown.
        aspect_from: who says so: "given", "spacing", "assumed" (no one: 1) or "unknown".
        lordosis: between the endplates that `lordosis_variant` names, positive in lordosis.
        withheld: why nothing on the film is measured; empty where something may be.
        levels: from the sacrum up.
        bodies: from the sacrum up.
        warnings: what a reader must know before believing the values.
        rules: the rules applied.
        rules_digest: SHA-256 of their canonical JSON.
    """

    schema_version: int
    facing: str
    facing_from: str
    facing_confidence: float
    levels_known: bool
    levels_confidence: float
    spacing_provenance: str
    pixel_aspect: float | None
    aspect_from: str
    lordosis: Measure
    lordosis_variant: str
    sacral_slope: Measure
    withheld: str
    levels: tuple[LevelMeasurement, ...]
    bodies: tuple[BodyMeasurement, ...]
    warnings: tuple[str, ...]
    rules: dict[str, Any]
    rules_digest: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`; null where a measure has no value."""
        return {name: plain(value) for name, value in asdict(self).items()}


def plain(value: Any) -> Any:
    """A value as JSON knows it: NaN as None, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return finite_or_none(value) if isinstance(value, float) else value
