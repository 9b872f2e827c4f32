"""Slip and grade at each level: predicted against true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from spondylo_ml.clinical.facing import infer_facing
from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import FilmMeasurement, LevelMeasurement, Measure
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.agreement import (
    area_under_curve,
    intraclass_correlation,
    limits_of_agreement,
    quadratic_kappa,
    slope,
)
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, Vertebra, level_name

COLUMNS = (
    "film_id", "level", "true_slip_percent", "pred_slip_percent", "true_slip_mm", "pred_slip_mm", "true_grade",
    "pred_grade", "true_withheld", "pred_withheld",
)  # fmt: skip
"""A slip or grade that cannot be measured is NaN, with the reason in `true_withheld` or `pred_withheld`."""

FACING_COLUMNS = ("film_id", "right")

EDGE_TOLERANCE_PX512 = 1.0
"""A corner at most this far beyond the edge of the film is taken for one on it."""

HALF_TURN = 2  # quarter turns
TURN_IN_DOUBT = "the film was read upside down, but its levels cannot be named, so that it may be upright"

NOT_UPRIGHT = "the film is not upright, so that its horizontal need not be the patient's"


def level_rows(film: Film, prediction: FilmPrediction, rules: ClinicalConfig) -> list[tuple[object, ...]]:
    """The levels of the true vertebrae of a labelled lateral film, with `COLUMNS`; none for an AP film.

    True and predicted slip are measured with the film's facing; where it is unknown, each infers it from its own
    corners. A vertebra predicted as absent has no slip.
    """
    if not film.vertebrae or film.facing is Facing.NONE:
        return []
    true = measure_film(film, rules)
    predicted = {
        (level.upper_slot, level.lower_slot): level for level in measure_prediction(film, prediction, rules).levels
    }
    rows = []
    for level in true.levels:
        other = predicted.get((level.upper_slot, level.lower_slot))
        name = f"{level_name(level.upper_slot)}/{level_name(level.lower_slot)}"
        values = [value for pair in zip(_values(level), _values(other), strict=True) for value in pair]
        reasons = (level.slip.reason, other.slip.reason if other else "a vertebra was not found")
        rows.append((film.film_id, name, *values, *reasons))
    return rows


def facing_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    """The film's row, with `FACING_COLUMNS`, if its facing is known.

    `right` is 1 where the facing inferred from the predicted corners is right, 0 where it is wrong, NaN where none can
    be inferred.
    """
    if film.facing not in (Facing.LEFT, Facing.RIGHT):
        return []
    inferred = infer_facing(predicted_vertebrae(prediction)).facing
    return [(film.film_id, np.nan if inferred is Facing.UNKNOWN else float(inferred is film.facing))]


def predicted_vertebrae(prediction: FilmPrediction) -> tuple[Vertebra, ...]:
    """The vertebrae that are predicted to be on the film."""
    rows = np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD)
    return tuple(Vertebra(prediction.slots.first + int(row), prediction.corners_xy[row]) for row in rows)


def measure_prediction(
    film: Film, prediction: FilmPrediction, rules: ClinicalConfig, levels_from: str | None = None
) -> FilmMeasurement:
    """Measure a film at its predicted corners; evaluation and prediction both do it here.

    Slips and angles between vertebrae do not change if a film is turned. On one that is not upright, the facing is
    inferred even if one was given, since left and right are not the patient's, and there is no sacral slope.
    Corners that a network puts beyond the edge of the film are not used, and a warning has their number: nobody can see
    whether they are right. On a film that was read upside down, nothing is measured if its levels cannot be named.

    Args:
        levels_from: why vertebrae have their slots; the film's own reason if None.
    """
    turned = prediction.quarter_turns != 0
    vertebrae = measured_vertebrae(prediction, film.size_hw)
    lowest = min(vertebrae, key=lambda vertebra: vertebra.slot, default=None)
    n_beyond = _n_corners(predicted_vertebrae(prediction)) - _n_corners(vertebrae)
    measured = partial(
        measure_film,
        film,
        rules,
        vertebrae=vertebrae,
        levels_from=levels_from,
        facing=Facing.UNKNOWN if turned and film.facing is not Facing.NONE else None,
        evidence=prediction.evidence,
        level_confidence=prediction.level_confidence,
        cut_off=lowest is not None and not lowest.present[2:].all(),
    )
    measurement = measured(refusal=prediction.refusal)
    if prediction.quarter_turns == HALF_TURN and not (measurement.levels_known or prediction.refusal):
        measurement = measured(refusal=TURN_IN_DOUBT)
    if n_beyond:
        beyond = f"{n_beyond} corner(s) beyond the edge of the film are not used"
        measurement = replace(measurement, warnings=(beyond, *measurement.warnings))
    return replace(measurement, sacral_slope=Measure(np.nan, "deg", NOT_UPRIGHT)) if turned else measurement


def measured_vertebrae(prediction: FilmPrediction, size_hw: tuple[int, int]) -> tuple[Vertebra, ...]:
    """The vertebrae that are predicted to be on the film, without corners beyond its edge."""
    tolerance_px = EDGE_TOLERANCE_PX512 * max(size_hw) / 512
    limit_xy = np.array([size_hw[1], size_hw[0]]) + tolerance_px
    kept = []
    for vertebra in predicted_vertebrae(prediction):
        outside = (vertebra.corners_xy < -tolerance_px) | (vertebra.corners_xy > limit_xy)
        beyond = np.asarray(outside.any(axis=-1))
        kept.append(replace(vertebra, corners_xy=np.where(beyond[:, None], np.nan, vertebra.corners_xy)))
    return tuple(kept)


def _n_corners(vertebrae: Sequence[Vertebra]) -> int:
    return sum(int(vertebra.present.sum()) for vertebra in vertebrae)


def slip_agreement(table: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Estimate]:
    """Agreement over the levels with a measurable true slip; `n_absent` counts those without a predicted one.

    `slip_withheld_percent` of these levels; of the others `slip_mae_percent`, `slip_bias_percent` (predicted minus
    true), Bland-Altman `slip_limit_low_percent` and `_high_`, `slip_slope` (predicted over true), `slip_icc_2_1` and
    `slip_icc_3_1`, `slip_mae_mm` where the spacing is known; `grade_accuracy` (same Meyerding grade), `grade_within_1`,
    `grade_accuracy_all` (withheld ones count as wrong), quadratic `grade_kappa`; `listhesis_sensitivity` and
    `_specificity` (true grade I or more predicted as such), `listhesis_sensitivity_all` (withheld ones are missed),
    `listhesis_auc` of the predicted slip's size. Rates in percent.
    """
    names = np.asarray(patients, dtype=object)
    measurable = table["true_slip_percent"].notna().to_numpy()
    table, names = table[measurable], names[measurable]
    predicted_mask = table["pred_slip_percent"].notna().to_numpy()
    n_absent = int((~predicted_mask).sum())
    true, predicted = (table[f"{who}_slip_percent"].to_numpy(dtype=np.float64) for who in ("true", "pred"))
    true_grade, grade = (table[f"{who}_grade"].to_numpy(dtype=np.float64) for who in ("true", "pred"))
    mm = (table["pred_slip_mm"] - table["true_slip_mm"]).to_numpy(dtype=np.float64)
    grade_error = grade - true_grade
    rate = {
        "slip_withheld_percent": 100.0 * ~predicted_mask,
        "slip_mae_percent": np.abs(predicted - true),
        "slip_bias_percent": predicted - true,
        "slip_mae_mm": np.abs(mm),
        "grade_accuracy": np.where(predicted_mask, 100.0 * (grade_error == 0), np.nan),
        "grade_accuracy_all": 100.0 * (predicted_mask & (grade_error == 0)),
        "grade_within_1": np.where(predicted_mask, 100.0 * (np.abs(grade_error) <= 1), np.nan),
        "listhesis_sensitivity": np.where(predicted_mask & (true_grade > 0), 100.0 * (grade > 0), np.nan),
        "listhesis_sensitivity_all": np.where(true_grade > 0, 100.0 * (predicted_mask & (grade > 0)), np.nan),
        "listhesis_specificity": np.where(predicted_mask & (true_grade == 0), 100.0 * (grade == 0), np.nan),
    }
    estimates = {name: bootstrap.mean(values, names) for name, values in rate.items()}
    for name, positive in (("listhesis_sensitivity", true_grade > 0), ("listhesis_specificity", true_grade == 0)):
        estimates[name] = estimates[name].model_copy(update={"n_absent": int((positive & ~predicted_mask).sum())})
    return estimates | _of_measured(table[predicted_mask], names[predicted_mask].tolist(), n_absent, bootstrap)


def _of_measured(
    table: pd.DataFrame, patients: Sequence[str], n_absent: int, bootstrap: PatientBootstrap
) -> dict[str, Estimate]:
    columns = ("true_slip_percent", "pred_slip_percent", "true_grade", "pred_grade")
    true, predicted, true_grade, grade = table[list(columns)].to_numpy(dtype=np.float64).T
    both, difference = np.stack([true, predicted], axis=1), predicted - true
    positive = (true_grade > 0).astype(np.float64)
    statistics = {
        "slip_limit_low_percent": lambda w: limits_of_agreement(difference, w)[0],
        "slip_limit_high_percent": lambda w: limits_of_agreement(difference, w)[1],
        "slip_slope": lambda w: slope(true, predicted, w),
        "slip_icc_2_1": lambda w: intraclass_correlation(both, w)[0],
        "slip_icc_3_1": lambda w: intraclass_correlation(both, w)[1],
        "grade_kappa": lambda w: quadratic_kappa(true_grade, grade, w),
        "listhesis_auc": lambda w: area_under_curve(positive, np.abs(predicted), w),
    }
    return {name: bootstrap.statistic(function, patients, n_absent) for name, function in statistics.items()}


def _values(level: LevelMeasurement | None) -> tuple[float, float, float]:
    """Slip in percent and mm, and grade."""
    if level is None:
        return np.nan, np.nan, np.nan
    grade = np.nan if level.grade is None else float(level.grade)
    return level.slip.value, level.slip_mm.value, grade
