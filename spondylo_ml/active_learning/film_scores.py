"""Doubts about a model's result on one film: about its grades, and about its corners when the film is mirrored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.measurement import LevelMeasurement, LevelUncertainty
from spondylo_ml.evaluation.corner_table import to_px512
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import FilmPrediction


@dataclass(frozen=True)
class GradeDoubt:
    """Doubt about the grades of a film.

    Attributes:
        probability: that the stated grade is wrong, of the level where this is most likely; NaN if no level has
            calibrated probabilities.
        level: name of that level, or empty.
        n_levels: levels with a measured slip.
        n_refer: of these, levels that the model refers to a reader.
    """

    probability: float
    level: str
    n_levels: int
    n_refer: int


@dataclass(frozen=True)
class MirrorShift:
    """How the result changes when the film is mirrored.

    Attributes:
        px512: mean distance of the corners of vertebrae that either reading finds; NaN if there is none with corners
            in both.
        n_one_sided: vertebrae that only one of the two readings finds.
    """

    px512: float
    n_one_sided: int


def grade_doubt(levels: Sequence[LevelMeasurement], uncertainty: Sequence[LevelUncertainty]) -> GradeDoubt:
    """The doubt about the grades of a film's levels, from the calibrated probability of each grade."""
    by_slot = {one.upper_slot: one for one in uncertainty}
    measured = [level for level in levels if level.grade is not None]
    wrong = {
        level.name: 1 - one.grade_probabilities[level.grade]
        for level in measured
        if (one := by_slot.get(level.upper_slot)) and level.grade in one.grade_probabilities
    }
    worst = max(wrong, key=lambda name: wrong[name], default="")
    refer = [level for level in measured if (one := by_slot.get(level.upper_slot)) is None or one.refer]
    return GradeDoubt(wrong[worst] if worst else math.nan, worst, len(measured), len(refer))


def mirror_shift(one: FilmPrediction, other: FilmPrediction, size_hw: tuple[int, int]) -> MirrorShift:
    """Compare the reading of a film with that of its mirror image, both in px of the film."""
    found = np.stack([one.presence, other.presence]) >= PRESENCE_THRESHOLD
    distances_px = np.linalg.norm(one.corners_xy - other.corners_xy, axis=-1)[found.any(axis=0)]
    distances_px = distances_px[~np.isnan(distances_px)]
    px512 = to_px512(float(distances_px.mean()), size_hw) if distances_px.size else math.nan
    return MirrorShift(px512, int((found[0] != found[1]).sum()))
