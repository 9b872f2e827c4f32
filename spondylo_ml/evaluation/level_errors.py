"""How far the slip and the segmental angle of each level may be wrong, to compare them with those of another film.

The set of slips of a level is no measure of its error: it often ends at the limit of a grade, because slips of the next
grade are rare. The change between two films needs the error itself:

* slip: the fitted distribution of the error of a predicted slip, whose scale is the level's own;
* angle: the central part of the angles at corners sampled from their calibrated covariances, independently of each
  other. It is not calibrated on angles.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.angles import between_deg, segmental_angle_deg
from spondylo_ml.clinical.change import LevelErrors
from spondylo_ml.clinical.measurement import FilmMeasurement
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.slip_uncertainty import LEAST_MEASURABLE, SlipSamples, corner_samples, film_slips
from spondylo_ml.evaluation.uncertainty import UncertaintyModel, level_prediction
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray


def level_errors(
    film: Film,
    prediction: FilmPrediction,
    model: UncertaintyModel,
    rules: ClinicalConfig,
    *,
    measurement: FilmMeasurement,
    seed_name: str | None = None,
) -> tuple[LevelErrors, ...]:
    """Half-widths, with the coverage of the model's sets, of the levels with a measurable slip, from the sacrum up.

    Args:
        measurement, seed_name: see `film_slips`.
    """
    slips = film_slips(
        film, prediction, model.corners, rules, model.samples, measurement=measurement, seed_name=seed_name
    )
    if not slips:
        return ()
    corners = corner_samples(prediction, model.corners, model.samples, seed_name)
    aspect = measurement.pixel_aspect or float("nan")
    bodies = patient_frame(corners, Facing(measurement.facing), (aspect, 1.0))
    first = prediction.slots.first
    return tuple(
        LevelErrors(
            s.level.upper_slot,
            percent := _slip_half_width(s, model, rules),
            percent / 100 * s.endplate_mm,
            _angle_half_width(
                bodies[:, s.level.upper_slot - first],
                bodies[:, s.level.lower_slot - first],
                s.level.segmental_angle.value,
                model.coverage,
            ),
        )
        for s in slips
    )


def _slip_half_width(samples: SlipSamples, model: UncertaintyModel, rules: ClinicalConfig) -> float:
    if np.isnan(samples.spread_percent):
        return float("nan")
    return model.sets.half_width_percent(level_prediction(samples, rules))


def _angle_half_width(upper: FloatArray, lower: FloatArray, angle_deg: float, coverage: float) -> float:
    """Half-width around the measured angle that holds this share of the (S,) sampled ones; NaN if there are too few."""
    distance = np.abs(between_deg(angle_deg, segmental_angle_deg(upper, lower)))
    measurable = distance[np.isfinite(distance)]
    return float(np.quantile(measurable, coverage)) if len(measurable) >= LEAST_MEASURABLE else float("nan")
