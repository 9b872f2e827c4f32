"""Measurements of one film: values with units, or the reason why there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, level_name
from spondylo_ml.nan import finite_or_none

SCHEMA_VERSION = 1

LOWEST_VISIBLE = "lowest visible"
"""Name of the lowest vertebra of a film whose levels have no names; the others are counted from it."""

NAMES_IN_DOUBT = "so that names from there up are in doubt"
"""End of the reason why nothing is measured above a gap in the spine."""

NOT_KNOWN = "not known"
"""Shown for a slip about which nothing can be excluded."""


@dataclass(frozen=True)
class Measure:
    """A value with its unit.

    Attributes:
        value: NaN if it is withheld or not measurable.
        unit: "%", "points" (a difference of percentages), "mm", "deg", or "ratio".
        reason: why there is no value, or empty.
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
    """One vertebra relative to the one below it.

    Attributes:
        name: such as "L4/L5", or in terms of the lowest visible vertebra.
        slip: percent of the lower superior endplate, positive forward, by `slip_method`.
        other_slip: the slip by the other convention, `other_slip_method`.
        slip_mm: `slip` in mm.
        grade: 0 to 5, or None if the slip has no value.
        grade_name: the grade in words, with its direction.
        grade0_limit: limit below which a slip is not a listhesis, with its unit.
        segmental_angle: between the superior endplates, positive in lordosis.
        disc_angle: between the endplates of the disc, positive if the disc opens forward.
        disc_height_index: mean disc height over the upper body's depth.
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
        compression_ratio: posterior height over the mean of the adjacent bodies' (without the sacrum).
    """

    name: str
    slot: int
    wedge_ratio: Measure
    compression_ratio: Measure


@dataclass(frozen=True)
class LevelUncertainty:
    """Uncertainty of a level's slip and grade.

    Attributes:
        upper_slot: slot of the level's upper vertebra.
        pieces_percent: (low, high) of each interval of slips that cannot be excluded, ascending; empty if nothing is
            known.
        low_percent: lowest of these slips, or None.
        high_percent: highest of these slips, or None.
        coverage: stated probability that these slips, and these grades, include the true one; None if there are
            neither.
        grade_probabilities: by grade, 0 to 5; empty if there are none.
        grade_set: grades that cannot be excluded, by their probability or by the slips.
        refer: whether a person must read the level, because more than one grade or direction remains.
        verdict: the remaining grades in words, such as "indeterminate between 0 and I, refer".
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
    """Intervals in percent as text, such as "-2.0 to +3.1 or +5.0 to +11.4"; "not known" if there are none."""
    return " or ".join(f"{low:+z.1f} to {high:+z.1f}" for low, high in pieces_percent) or NOT_KNOWN


@dataclass(frozen=True)
class FilmMeasurement:
    """All measurements of one film. Holds no name of the film or the patient.

    Attributes:
        facing: image side of the patient's front: left, right, none or unknown.
        facing_from: "given" or "inferred".
        facing_confidence: 1 if the facing was given.
        levels_known: whether the vertebrae have level names.
        levels_confidence: lower one of two probabilities: that the lowest vertebra is the one that its shape says, and
            the network's that more than half of the vertebrae have their level; 1 for labels.
        spacing_provenance: source of the pixel spacing; empty if there is no spacing.
        pixel_aspect: width of a pixel over its height; None if unknown.
        aspect_from: source of the pixel aspect: "given", "spacing", "file", "assumed" (1) or "unknown".
        lordosis: angle between the endplates named by `lordosis_variant`, positive in lordosis.
        sacral_slope: slope of S1's superior endplate to the horizontal.
        withheld: why nothing on the film is measured, or empty.
        levels: from the sacrum up.
        bodies: from the sacrum up.
        warnings: what a reader must know before relying on the values.
        rules: the clinical rules that were applied.
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
        """A tree for `json.dumps`, with null for a measure without a value."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def name_of(self, slot: int) -> str:
        """Name of a vertebra of the film: its level, or its place from the lowest one if levels have no names."""
        for level in self.levels:
            upper, lower = level.name.split("/")
            if slot in (level.upper_slot, level.lower_slot):
                return upper if slot == level.upper_slot else lower
        return level_name(slot) if self.levels_known else LOWEST_VISIBLE

    @property
    def names_doubted(self) -> bool:
        """Whether the names of vertebrae above a gap are in doubt, although levels have names."""
        return any(NAMES_IN_DOUBT in warning for warning in self.warnings)

    @property
    def side_known(self) -> bool:
        """Whether it is certain enough which side is anterior."""
        sure = self.facing_from == "given" or self.facing_confidence >= self.rules["least_facing_confidence"]
        return self.facing in (Facing.LEFT, Facing.RIGHT) and sure

    @property
    def certain_facing(self) -> Facing:
        """The facing, unknown if the side is not certain enough."""
        return Facing(self.facing) if self.side_known or self.facing == Facing.NONE else Facing.UNKNOWN


def plain(value: Any) -> Any:
    """A value as JSON knows it: NaN as None, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return finite_or_none(value) if isinstance(value, float) else value
