"""From uncertain corners to uncertain slips: Monte Carlo samples of the corners, each measured like the film itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelMeasurement
from spondylo_ml.clinical.meyerding import Grade, grades
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.scale import PixelGeometry, film_scale
from spondylo_ml.clinical.slip import endplate_length, slip_percent
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.calibration import CornerCalibration
from spondylo_ml.evaluation.level_difficulty import DIFFICULTY, level_difficulty
from spondylo_ml.evaluation.slips import measure_prediction, measured_vertebrae
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray

LEAST_MEASURABLE = 20
"""Number of samples of a level that must be measurable, or its slip has no spread."""

SPREAD_QUANTILES = (0.159, 0.841)
"""One standard deviation from the median of a normal distribution, and robust against outliers."""


@dataclass(frozen=True)
class SlipSamples:
    """The samples of one level.

    Attributes:
        level: the measurement at the predicted corners themselves.
        endplate_mm: length of the lower superior endplate; NaN without a spacing.
        spread_percent: half the width of the central 68 % of the sampled slips; NaN if too few are measurable.
        grade_probabilities: share of the measurable samples by grade, 0 to 5.
        difficulty: values of `level_difficulty.DIFFICULTY`; NaN without a spread.
    """

    level: LevelMeasurement
    endplate_mm: float
    spread_percent: float
    grade_probabilities: dict[int, float]
    difficulty: tuple[float, ...]


def film_slips(
    film: Film,
    prediction: FilmPrediction,
    calibration: CornerCalibration,
    rules: ClinicalConfig,
    samples: int,
    *,
    measurement: FilmMeasurement | None = None,
    seed_name: str | None = None,
) -> tuple[SlipSamples, ...]:
    """The levels of a predicted film with a measurable slip, from the sacrum up.

    Facing, stretch and spacing are those with which the film itself is measured; if a stretch is doubtful, it is undone
    in half of the samples.

    Args:
        measurement: `measure_prediction` of the same film; computed if None.
        seed_name: the samples depend on it alone, on every machine; the film's id if None.
    """
    measurement = measurement or measure_prediction(film, prediction, rules)
    levels = [level for level in measurement.levels if not level.slip.reason]
    if not levels:
        return ()
    scale = film_scale(measured_vertebrae(prediction, film.size_hw), Facing(measurement.facing), PixelGeometry.of(film))
    # The predicted corners come first, so that they are measured together with the samples.
    corners = np.concatenate([prediction.corners_xy[None], corner_samples(prediction, calibration, samples, seed_name)])
    facing = Facing(measurement.facing)
    bodies = patient_frame(corners, facing, scale.pixel_size_xy)
    if scale.doubt:  # half of the samples with the stretch undone, so that the spread has the doubt in it
        bodies[2::2] = patient_frame(corners[2::2], facing, scale.undone_pixel_size_xy)
    upper, lower = (
        bodies[:, [slot - prediction.slots.first for slot in slots]]
        for slots in ([level.upper_slot for level in levels], [level.lower_slot for level in levels])
    )
    slip = slip_percent(upper, lower, rules.slip_method, rules.degenerate_fraction)
    length_mm = np.full(slip.shape, np.nan) if scale.mm_withheld else endplate_length(lower)
    graded = grades(slip, rules, slip / 100 * length_mm)
    summaries = []
    for i, level in enumerate(levels):
        spread, shares = _spread_and_shares(slip[1:, i], graded[1:, i])
        difficulty = (np.nan,) * len(DIFFICULTY)
        if not np.isnan(spread):
            difficulty = level_difficulty(prediction, facing, level, upper[0, i], lower[0, i], spread)
        summaries.append(SlipSamples(level, float(length_mm[0, i]), spread, shares, difficulty))
    return tuple(summaries)


def corner_samples(
    prediction: FilmPrediction, calibration: CornerCalibration, count: int, seed_name: str | None = None
) -> FloatArray:
    """(S, V, 4, 2) px of the film: corners sampled around the predicted ones; NaN without a covariance.

    The direction is uniform in the frame of the covariance, the distance follows the calibrated table. Corners are
    sampled independently of each other.
    """
    if prediction.covariance_px2 is None or prediction.heat_share is None:
        return np.full((count, *prediction.corners_xy.shape), np.nan)
    shape = (count, *prediction.heat_share.shape)
    rng = np.random.default_rng(seed_from(seed_name or prediction.film_id))
    radius = calibration.radius(rng.random(shape), prediction.heat_share)
    angle = rng.uniform(0, 2 * np.pi, shape)
    step = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    root = np.linalg.cholesky(prediction.covariance_px2)
    return np.asarray(prediction.corners_xy + (root @ step[..., None])[..., 0])


def seed_from(name: str) -> int:
    """Seed that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _spread_and_shares(slip: FloatArray, graded: FloatArray) -> tuple[float, dict[int, float]]:
    """Spread of the sampled slips of a level, and share of each grade; NaN if too few are measurable."""
    measurable = ~np.isnan(slip)
    if measurable.sum() < LEAST_MEASURABLE:
        return np.nan, {int(grade): np.nan for grade in Grade}
    low, high = np.quantile(slip[measurable], SPREAD_QUANTILES)
    return float(high - low) / 2, {int(grade): float((graded[measurable] == grade).mean()) for grade in Grade}
