"""Names of vertebrae, counted from the sacrum up, and withheld where no sacrum is known to be seen.

Labels that name the levels are believed. Where the lowest vertebra was only assumed to be S1, its shape must say so:
the sacrum tapers, breaks away from the lumbar curve and runs backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.angles import between_deg, direction_deg
from spondylo_ml.clinical.patient_frame import inferior_endplate, patient_frame, superior_endplate
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, FloatArray, Vertebra, level_name

SACRUM_SIGNS = ("taper", "break", "backward")
"""How the sacrum differs from the bodies above it."""

SACRUM_NEUTRAL = np.array([0.2, 1.4, 2.0])
"""Value of each sign that speaks neither for nor against; taken for a sign that cannot be seen."""

SACRUM_WEIGHTS = np.array([16.8, 1.0, 0.4])
"""Weight of each sign in log odds: logistic regression on 6,000 synthetic films (seed 0), corners moved by 5 % of a
body's depth, half of the films without their sacrum; a test fits them again."""

SACRUM_OFFSET = 1.0
"""Log odds of that regression where all signs are neutral."""

SACRUM_PRIOR = 0.95
"""How often the lowest labelled vertebra is S1 where it is assumed to be: "nearly always", made 19 in 20 here."""

ENDPLATE_ALONE = 0.99
"""Confidence in a lowest vertebra that has its superior endplate alone: only S1 is marked so."""


@dataclass(frozen=True)
class LevelNaming:
    """How the vertebrae of a film are called.

    Attributes:
        names: by slot, from the lowest to the topmost one without a gap; level names, or "lowest visible + n".
        known: whether these are level names.
        confidence: probability that the lowest vertebra is the one it is taken for; the count of lumbar vertebrae,
            five on most spines but four or six on some, is not part of it.
        reason: why level names are withheld; empty where they are not.
    """

    names: dict[int, str]
    known: bool
    confidence: float
    reason: str = ""


def name_levels(
    vertebrae: Sequence[Vertebra], facing: Facing, levels_from: str, rules: ClinicalConfig, evidence: float = 1.0
) -> LevelNaming:
    """Names of vertebrae that count from the sacrum up.

    Args:
        facing: as given or inferred; unknown gives less certainty about an assumed sacrum.
        levels_from: the film's reason for its slots; `LEVELS_LABELLED` where labels name them.
        evidence: how far the corners themselves are to be believed, 0 to 1.
    """
    seen = [v.slot for v in vertebrae]
    slots = range(min(seen), max(seen) + 1) if seen else range(0)
    named = {slot: level_name(slot) for slot in slots}
    if levels_from == LEVELS_LABELLED:
        return LevelNaming(named, True, 1.0)
    confidence = sacrum_confidence(vertebrae, facing) * evidence
    if confidence >= rules.least_sacrum_confidence:
        return LevelNaming(named, True, confidence)
    counted = {slot: f"lowest visible + {slot - slots[0]}" if slot > slots[0] else "lowest visible" for slot in slots}
    why = f"{levels_from}; its shape says so with a probability of {confidence:.2f}" if 0 in named else "S1 is absent"
    return LevelNaming(counted, False, confidence, f"no sacrum is known to be seen ({why})")


def sacrum_confidence(vertebrae: Sequence[Vertebra], facing: Facing) -> float:
    """Probability, calibrated on synthetic films, that the lowest vertebra is S1; 0 where slot 0 is absent."""
    by_slot = {v.slot: v for v in vertebrae if v.present.any()}
    sacrum = by_slot.pop(0, None)
    if sacrum is None:
        return 0.0
    if not sacrum.present[2:].any() and sacrum.present[:2].all() and any(v.present[2:].all() for v in by_slot.values()):
        return ENDPLATE_ALONE
    odds = float((sacrum_signs(vertebrae, facing) - SACRUM_NEUTRAL) @ SACRUM_WEIGHTS) + SACRUM_OFFSET
    return float(1 / (1 + np.exp(-odds) * (1 - SACRUM_PRIOR) / SACRUM_PRIOR))


def sacrum_signs(vertebrae: Sequence[Vertebra], facing: Facing) -> FloatArray:
    """(3,) each of `SACRUM_SIGNS`: log ratio of the endplates, and tens of degrees; neutral where it cannot be seen."""
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
    """(2,) from the middle of the superior endplate to the middle of the inferior one."""
    return np.asarray(body[2:].mean(axis=0) - body[:2].mean(axis=0))
