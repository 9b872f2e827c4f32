"""Name vertebrae from the sacrum up; withhold level names if the film may not show the sacrum.

Labels that name the levels are trusted. If the lowest vertebra was only assumed to be S1, its shape must support that:
the sacrum tapers, breaks away from the lumbar curve, and runs backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.angles import between_deg, direction_deg
from spondylo_ml.clinical.measurement import LOWEST_VISIBLE
from spondylo_ml.clinical.patient_frame import inferior_endplate, patient_frame, superior_endplate
from spondylo_ml.clinical.rounding import rounded_beside
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, FloatArray, Vertebra, level_name

SACRUM_SIGNS = ("taper", "break", "backward")
"""How the sacrum differs from the bodies above it."""

SACRUM_NEUTRAL = np.array([0.2, 1.4, 2.0])
"""Value of each sign that is no evidence either way; used for a sign that cannot be computed."""

SACRUM_WEIGHTS = np.array([16.8, 1.0, 0.4])
"""Log-odds weight of each sign: logistic regression on 6,000 synthetic films (seed 0), with noise of 5 % of a body's
depth on the corners and the sacrum removed from half of the films. A test refits them."""

SACRUM_OFFSET = 1.0
"""Log odds in that regression if all signs are neutral."""

SACRUM_PRIOR = 0.95
"""Prior probability that the lowest labelled vertebra is S1 on films where this is assumed: "nearly always"."""

ENDPLATE_ALONE = 0.99
"""Confidence if the lowest vertebra has only its superior endplate labelled: this is done for S1 alone."""

CUT_OFF = 0.5
"""Confidence if the edge of the film cuts off the lower end of the lowest vertebra, so that it may be a lumbar one."""


@dataclass(frozen=True)
class LevelNaming:
    """Names of the vertebrae of a film.

    Attributes:
        names: by slot, from the lowest to the topmost without a gap; level names, or "lowest visible + n".
        known: whether these are level names.
        confidence: probability that the lowest vertebra has the right name. Spines with four or six lumbar vertebrae
            are not taken into account.
        reason: why level names are withheld, or empty.
    """

    names: dict[int, str]
    known: bool
    confidence: float
    reason: str = ""


def name_levels(
    vertebrae: Sequence[Vertebra],
    facing: Facing,
    levels_from: str,
    rules: ClinicalConfig,
    evidence: float = 1.0,
    level_confidence: float = 1.0,
    cut_off: bool = False,
) -> LevelNaming:
    """Name vertebrae whose slots count from the sacrum up.

    Args:
        facing: stated or inferred; if it is unknown, an assumed sacrum is less certain.
        levels_from: the film's source of its slots; `LEVELS_LABELLED` if labels name the levels.
        evidence: trust in the corners, 0 to 1.
        level_confidence: the network's probability that more than half of the vertebrae have their level. It has seen
            the same sacrum, so that the lower of both probabilities counts, not their product.
        cut_off: whether the edge of the film cuts off the lower end of the lowest vertebra.
    """
    labelled_slots = [v.slot for v in vertebrae]
    slots = range(min(labelled_slots), max(labelled_slots) + 1) if labelled_slots else range(0)
    levels = {slot: level_name(slot) for slot in slots}
    if levels_from == LEVELS_LABELLED:
        return LevelNaming(levels, True, 1.0)
    by_shape = sacrum_confidence(vertebrae, facing, cut_off) * evidence
    confidence = min(by_shape, level_confidence)
    if confidence >= rules.least_sacrum_confidence:
        return LevelNaming(levels, True, confidence)
    counts = {slot: f"{LOWEST_VISIBLE} + {slot - slots[0]}" if slot > slots[0] else LOWEST_VISIBLE for slot in slots}
    shown, shown_by_shape = (
        rounded_beside(value, 2, [rules.least_sacrum_confidence]) for value in (confidence, by_shape)
    )
    if by_shape >= rules.least_sacrum_confidence:
        lowest = levels[slots[0]]
        why = f"the network takes the lowest visible vertebra for {lowest}, with a probability of {shown}"
        return LevelNaming(counts, False, confidence, f"all levels may be one or two too high or too low ({why})")
    why = "S1 is absent"
    if 0 in levels:
        why = f"{levels_from}; by its shape, the lowest vertebra is S1 with a probability of {shown_by_shape}"
    elif levels:
        why = f"S1 is absent; the lowest visible vertebra may be {levels[slots[0]]}"
    return LevelNaming(counts, False, confidence, f"the sacrum was not identified ({why})")


def sacrum_confidence(vertebrae: Sequence[Vertebra], facing: Facing, cut_off: bool = False) -> float:
    """Probability that the lowest vertebra is S1, calibrated on synthetic films; 0 if slot 0 is absent.

    Args:
        cut_off: see `name_levels`.
    """
    by_slot = {v.slot: v for v in vertebrae if v.present.any()}
    sacrum = by_slot.pop(0, None)
    if sacrum is None:
        return 0.0
    if cut_off:
        return CUT_OFF
    if not sacrum.present[2:].any() and sacrum.present[:2].all() and any(v.present[2:].all() for v in by_slot.values()):
        return ENDPLATE_ALONE
    odds = float((sacrum_signs(vertebrae, facing) - SACRUM_NEUTRAL) @ SACRUM_WEIGHTS) + SACRUM_OFFSET
    return float(1 / (1 + np.exp(-odds) * (1 - SACRUM_PRIOR) / SACRUM_PRIOR))


def sacrum_signs(vertebrae: Sequence[Vertebra], facing: Facing) -> FloatArray:
    """(3,) value of each of `SACRUM_SIGNS`: log ratio of the endplates, then tens of degrees; neutral if unknown."""
    by_slot = {v.slot: v.corners_xy for v in vertebrae}
    absent = np.full((4, 2), np.nan)
    corners = np.stack([by_slot.get(0, absent), by_slot.get(1, absent)])
    oriented = facing in (Facing.LEFT, Facing.RIGHT)
    sacrum, above = patient_frame(corners, facing if oriented else Facing.RIGHT)
    with np.errstate(divide="ignore", invalid="ignore"):
        taper = np.log(np.linalg.norm(superior_endplate(sacrum)) / np.linalg.norm(inferior_endplate(sacrum)))
    signs = [taper, np.nan, np.nan]
    if oriented:
        plates = direction_deg(superior_endplate(np.stack([sacrum, above])))
        down = direction_deg(np.stack([_downward(sacrum), _downward(above)]))
        signs[1:] = [between_deg(plates[0], plates[1]) / 10, between_deg(down[0], down[1]) / 10]
    return np.asarray(np.where(np.isfinite(signs), np.clip(signs, -6, 6), SACRUM_NEUTRAL))


def _downward(body: FloatArray) -> FloatArray:
    """(2,) vector from the middle of the superior to the middle of the inferior endplate."""
    return np.asarray(body[2:].mean(axis=0) - body[:2].mean(axis=0))
