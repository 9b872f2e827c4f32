"""Signs, known without the truth, that the slip of a level may be wrong by more than its corners' covariances say."""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.measurement import LevelMeasurement
from spondylo_ml.clinical.patient_frame import (
    INFERIOR_POSTERIOR,
    SUPERIOR_ANTERIOR,
    SUPERIOR_POSTERIOR,
    inferior_endplate,
    superior_endplate,
)
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import MIRRORED_CORNERS, Facing, FilmPrediction, FloatArray

DIFFICULTY = ("log_spread", "log_heat_share", "log_film_heat_share", "absence", "log_endplate_ratio")
"""Logarithm of the Monte Carlo spread; of the least heat share of the slip's three corners; of the film's median heat
share; the highest probability that one of the two vertebrae is absent; how far the lengths of the endplates on both
sides of the disc differ, as the absolute logarithm of their ratio."""

SPREAD_FLOOR_PERCENT = 0.5
"""Least spread that is assumed, percent."""

LEAST_HEAT_SHARE = 0.01


def level_difficulty(
    prediction: FilmPrediction,
    facing: Facing,
    level: LevelMeasurement,
    upper: FloatArray,
    lower: FloatArray,
    spread_percent: float,
) -> tuple[float, ...]:
    """The values of `DIFFICULTY`; NaN where there is none.

    Args:
        facing: with which the level was measured.
        upper: (4, 2) the level's bodies in the patient's frame.
        lower: (4, 2) the same.
    """
    if prediction.heat_share is None:
        return (np.nan,) * len(DIFFICULTY)
    rows = [slot - prediction.slots.first for slot in (level.upper_slot, level.lower_slot)]
    heat_share = prediction.heat_share[:, list(MIRRORED_CORNERS)] if facing is Facing.RIGHT else prediction.heat_share
    of_slip = (heat_share[rows[0], INFERIOR_POSTERIOR], *heat_share[rows[1], [SUPERIOR_ANTERIOR, SUPERIOR_POSTERIOR]])
    of_film = np.median(heat_share[prediction.presence >= PRESENCE_THRESHOLD])
    lengths = [np.linalg.norm(plate) for plate in (inferior_endplate(upper), superior_endplate(lower))]
    with np.errstate(divide="ignore"):
        ratio = np.abs(np.diff(np.log(lengths)))[0]
    return (
        float(np.log(max(spread_percent, SPREAD_FLOOR_PERCENT))),
        float(np.log(max(min(of_slip), LEAST_HEAT_SHARE))),
        float(np.log(max(of_film, LEAST_HEAT_SHARE))),
        float(1 - prediction.presence[rows].min()),
        float(ratio),
    )
