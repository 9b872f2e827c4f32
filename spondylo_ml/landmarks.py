"""Value types that carry corners: vertebrae, films and predictions.

The whole project passes these types; bare arrays of corners exist only in numerical code.

Corners are named by their *image side in the vertebra's own frame*: left and right as seen on the image after turning
it so that the vertebra's superior edge is up. Which side is anterior follows from the film's `facing`. Slots count from
the sacrum up: slot 0 is S1, slot 1 is L5, ..., slot 17 is T1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.errors import DataError
from spondylo_ml.spacing import Spacing

FloatArray = NDArray[np.float64]
GreyImage = NDArray[np.uint8]

CORNERS = ("superior_left", "superior_right", "inferior_left", "inferior_right")
"""Names of the four corners, in the order of every array of corners."""

MIRRORED_CORNERS = (1, 0, 3, 2)
"""Index of each corner after mirroring the film, which exchanges left and right."""

OUTLINE = (0, 1, 3, 2)
"""Indices of the corners in order along the outline of the body."""

LEVELS = ("S1", *(f"L{n}" for n in range(5, 0, -1)), *(f"T{n}" for n in range(12, 0, -1)), "C7", "C6")
"""Name of each slot from the sacrum up, on a spine with five lumbar vertebrae."""

LEVELS_LABELLED = "label"
"""`Film.levels_from` if the labels name the levels."""


class Facing(StrEnum):
    """The image side to which the patient's front points."""

    LEFT = "left"
    RIGHT = "right"
    NONE = "none"  # an AP film has no anterior side
    UNKNOWN = "unknown"  # a lateral film whose labels do not state it

    def mirrored(self) -> Facing:
        """The facing of the mirrored film."""
        return {Facing.LEFT: Facing.RIGHT, Facing.RIGHT: Facing.LEFT}.get(self, self)


PATIENT_CORNERS = ("superior_anterior", "superior_posterior", "inferior_anterior", "inferior_posterior")
"""Anatomical names of the corners, in the order of `CORNERS` on a film that faces left."""


def patient_corners(facing: Facing) -> tuple[str, ...]:
    """Anatomical names of a film's corners, in the order of `CORNERS`; `CORNERS` itself if the facing is not known."""
    if facing is Facing.RIGHT:
        return tuple(PATIENT_CORNERS[index] for index in MIRRORED_CORNERS)
    return PATIENT_CORNERS if facing is Facing.LEFT else CORNERS


@dataclass(frozen=True)
class Vertebra:
    """The four corners of one vertebral body.

    Attributes:
        slot: level, counted from the sacrum up; 0 is S1.
        corners_xy: (4, 2) px of the original film, in the order of `CORNERS`; NaN where a corner is absent.
        visible: (4,) whether the corner is labelled as visible; False for an absent corner.

    Raises:
        DataError: wrong shape, an infinite coordinate, or a negative slot.
    """

    slot: int
    corners_xy: FloatArray
    visible: NDArray[np.bool_] = field(default_factory=lambda: np.ones(4, dtype=bool))

    def __post_init__(self) -> None:
        corners = np.array(self.corners_xy, dtype=np.float64)
        if corners.shape != (4, 2):
            raise DataError(f"a vertebra has 4 corners (x, y); given an array of shape {corners.shape}")
        if np.isinf(corners).any() or (np.isnan(corners[:, 0]) != np.isnan(corners[:, 1])).any():
            raise DataError("a corner is either two finite numbers or absent (NaN, NaN)")
        if self.slot < 0:
            raise DataError(f"slot must be 0 (S1) or more; given {self.slot}")
        visible = np.array(self.visible, dtype=bool) & ~np.isnan(corners[:, 0])
        for array in (corners, visible):
            array.flags.writeable = False
        object.__setattr__(self, "corners_xy", corners)
        object.__setattr__(self, "visible", visible)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(4,) which corners have coordinates."""
        return ~np.isnan(self.corners_xy[:, 0])

    @property
    def level(self) -> str:
        """Name of the slot, such as L5."""
        return level_name(self.slot)

    def mirrored(self, width_px: int) -> Vertebra:
        """The vertebra on the film mirrored left to right, with left and right corners exchanged."""
        corners = self.corners_xy[list(MIRRORED_CORNERS)].copy()
        corners[:, 0] = width_px - 1 - corners[:, 0]
        return Vertebra(self.slot, corners, self.visible[list(MIRRORED_CORNERS)])


class ImageSource(Protocol):
    """Source of a film's pixels, which are read only when needed."""

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255, with bright bone.

        Raises:
            DataError: the image cannot be read.
        """

    def fingerprint(self) -> str:
        """A string that changes whenever the pixels may have changed."""


SEXES = ("F", "M", "")
OLDEST_YEARS = 130


@dataclass(frozen=True)
class Film:
    """One radiograph with its labels and metadata.

    Attributes:
        film_id: name that may appear in runs; unique within its dataset.
        image: source of the pixels.
        size_hw: (H, W) of the original film in px.
        vertebrae: labels, ordered from the sacrum up; None for a film without labels.
        facing: image side of the patient's front.
        patient: group that is never split between training and validation.
        source: dataset or clinic the film comes from.
        split: the dataset's own split (train, val, test), or None.
        levels_from: "label" if the labels name the levels, else the assumption about the lowest vertebra.
        spacing: mm per px with provenance, or None.
        path: file of the film, or None.
        pixel_aspect: width of a pixel over its height. Multiplying x by it undoes a stretch. None if the film was
            stretched by an unknown amount.
        aspect_given: whether someone stated the pixel aspect, rather than it following from the spacing or a default.
        sex: of the patient, F or M; empty if unknown.
        age_years: of the patient when the film was taken; None if unknown.
        notes: what a reader of results on this film must know; collected while its pixels were read.
        reader: name of the person who placed the corners; empty if unknown. It never goes into a run.

    Raises:
        DataError: a value outside its range, or vertebrae that are not in order.
    """

    film_id: str
    image: ImageSource
    size_hw: tuple[int, int]
    vertebrae: tuple[Vertebra, ...] | None
    facing: Facing
    patient: str
    source: str
    split: str | None = None
    levels_from: str = LEVELS_LABELLED
    spacing: Spacing | None = None
    path: Path | None = None
    pixel_aspect: float | None = 1.0
    sex: str = ""
    age_years: int | None = None
    aspect_given: bool = False
    notes: tuple[str, ...] = ()
    reader: str = ""

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1:
            raise DataError(f"film {self.film_id}: size must be positive, given {self.size_hw} (height, width)")
        if self.sex not in SEXES:
            raise DataError(f"film {self.film_id}: sex is F, M, or empty if unknown; given {self.sex!r}")
        if self.age_years is not None and not 0 <= self.age_years <= OLDEST_YEARS:
            raise DataError(
                f"film {self.film_id}: age in years is 0 to {OLDEST_YEARS}, or None if unknown; given {self.age_years}"
            )
        if self.pixel_aspect is not None and not 0 < self.pixel_aspect < np.inf:
            raise DataError(
                f"film {self.film_id}: pixel aspect is width over height, above 0, or None if unknown; "
                f"given {self.pixel_aspect}"
            )
        slots = [v.slot for v in self.vertebrae or ()]
        if any(upper <= lower for lower, upper in pairwise(slots)):
            raise DataError(f"film {self.film_id}: vertebrae must be ordered from the sacrum up, slots {slots}")

    @property
    def labelled(self) -> bool:
        """Whether the film has labels."""
        return self.vertebrae is not None

    def mirrored_labels(self) -> Film:
        """The film with the labels of its mirror image; the image source is unchanged."""
        if self.vertebrae is None:
            return replace(self, facing=self.facing.mirrored())
        mirrored = tuple(v.mirrored(self.size_hw[1]) for v in self.vertebrae)
        return replace(self, vertebrae=mirrored, facing=self.facing.mirrored())


@dataclass(frozen=True)
class SlotRange:
    """The slots that a model has channels for: `count` slots from `first` up."""

    first: int
    count: int

    def __contains__(self, slot: object) -> bool:
        return isinstance(slot, int | np.integer) and 0 <= slot - self.first < self.count

    @property
    def names(self) -> tuple[str, ...]:
        """Level name of each slot."""
        return tuple(level_name(slot) for slot in range(self.first, self.first + self.count))

    def corners(self, vertebrae: Sequence[Vertebra]) -> FloatArray:
        """(V, 4, 2) corners by slot, NaN for slots without a vertebra; vertebrae outside the range are ignored."""
        corners = np.full((self.count, 4, 2), np.nan)
        for vertebra in vertebrae:
            if vertebra.slot in self:
                corners[vertebra.slot - self.first] = vertebra.corners_xy
        return corners

    def overflow(self, vertebrae: Sequence[Vertebra]) -> tuple[Vertebra, ...]:
        """The vertebrae outside the range."""
        return tuple(v for v in vertebrae if v.slot not in self)


def level_name(slot: int) -> str:
    """Name of a slot: 0 is S1, 1 is L5, 17 is T1."""
    return LEVELS[slot] if 0 <= slot < len(LEVELS) else f"S1+{slot}"


def rank_of_level(name: str) -> int:
    """Place of a level such as L4/L5 from the sacrum up, by its upper vertebra."""
    return LEVELS.index(name.split("/")[0])


def vertebrae_from_sacrum(corners_xy: FloatArray, first_slot: int = 0) -> tuple[Vertebra, ...]:
    """Vertebrae from (V, 4, 2) corners ordered from the lowest up, which is in `first_slot`."""
    return tuple(Vertebra(first_slot + i, c) for i, c in enumerate(np.asarray(corners_xy, dtype=np.float64)))


@dataclass(frozen=True)
class FilmPrediction:
    """A model's prediction for one film.

    Attributes:
        film_id: name of the film.
        slots: the slots that the rows of the arrays stand for.
        corners_xy: (V, 4, 2) px of the original film; NaN for slots without a prediction.
        corner_score: (V, 4) height of each decoded peak, 0 to 1.
        presence: (V,) probability that the vertebra is on the film.
        covariance_px2: (V, 4, 2, 2) uncalibrated covariance of each corner's x and y, squared px of the original film;
            None if the model has none.
        heat_share: (V, 4) share of the heatmap, or of the passes with dropout, near each corner, 0 to 1; None without
            `covariance_px2`.
        evidence: how definite the corners are relative to the model's validation films, from 0 (no evidence) to 1 (as
            usual, or no reference to compare with).
        shift_scores: (2 S + 1,) logarithm of the evidence for the same vertebrae S levels lower, ..., as named, ..., S
            levels higher; None if the model does not weigh other readings.
        level_confidence: probability that more than half of the vertebrae found have their level, by these scores,
            calibrated on the model's validation films; 1 without them.
        quarter_turns: clockwise quarter turns after which the film was read; 0 for a film that was read as it is.
        remarks: how the film was read, where it was not simply the whole film.
        refusal: why nothing may be measured on the film; empty if it may.
    """

    film_id: str
    slots: SlotRange
    corners_xy: FloatArray
    corner_score: FloatArray
    presence: FloatArray
    covariance_px2: FloatArray | None = None
    heat_share: FloatArray | None = None
    evidence: float = 1.0
    shift_scores: FloatArray | None = None
    level_confidence: float = 1.0
    quarter_turns: int = 0
    remarks: tuple[str, ...] = ()
    refusal: str = ""
