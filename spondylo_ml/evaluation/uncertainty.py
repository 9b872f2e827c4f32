"""Uncertainty of slips and grades: fitted on the films of one part, applied to any others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelUncertainty, format_slip_intervals
from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.config import ClinicalConfig, UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import calibration
from spondylo_ml.evaluation.calibration import CornerCalibration
from spondylo_ml.evaluation.grade_conformal import GradeConformal
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slip_conformal import SlipConformal, SlipSet, grade_limits, slip_score, slip_set
from spondylo_ml.evaluation.slip_uncertainty import SlipSamples, film_slips
from spondylo_ml.evaluation.verdict import NOTHING_KNOWN, joint_verdict, level_uncertainty
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, level_name

TRUTH = ("true_slip_percent", "true_grade")
SAMPLED = ("upper_slot", "pred_slip_percent", "pred_grade", "spread_percent", "endplate_mm")
PROBABILITIES = tuple(f"probability_{grade.label}" for grade in Grade)
SETS = (
    "slip_set", "low_percent", "high_percent", "set_width_percent", "grade_set", "refer", "verdict", "in_set",
    "in_interval", "in_grade_set",
)  # fmt: skip
"""The slips that cannot be excluded in words, the lowest, the highest, and the width that they fill, NaN where the set
excludes nothing; the grades that neither set excludes ("0 I"); whether a reader must look at the level; the verdict in
words; whether the true slip lies in the conformal set and in the interval around it, and the true grade among the
grades, NaN where that is unknown. A level without an interval is referred."""


class UncertaintyModel(BaseModel):
    """Calibrated uncertainty of one model.

    Attributes:
        source: where the covariances of corners come from.
        samples: number of Monte Carlo samples per film.
        corners: quantiles of the radial errors of corners.
        slips: reach of the conformal sets of slips.
        grades: limits of the conformal sets of grades.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    samples: int
    corners: CornerCalibration
    slips: SlipConformal
    grades: GradeConformal

    def levels(
        self,
        film: Film,
        prediction: FilmPrediction,
        rules: ClinicalConfig,
        *,
        measurement: FilmMeasurement | None = None,
        seed_name: str | None = None,
    ) -> tuple[LevelUncertainty, ...]:
        """The levels of a lateral film with a measurable slip and an interval, from the sacrum up.

        Args:
            measurement, seed_name: see `film_slips`.
        """
        slips = film_slips(
            film, prediction, self.corners, rules, self.samples, measurement=measurement, seed_name=seed_name
        )
        return tuple(_level_uncertainty(s, self, rules) for s in slips if not math.isnan(s.spread_percent))


@dataclass(frozen=True)
class CalibrationResult:
    """What `calibrate` returns.

    Attributes:
        coverage_before: of corners by the model's own covariances, by nominal coverage.
        coverage_after: the same after calibration, each patient by a calibration on the others.
        levels: `level_table` of the same films, each patient's sets fitted on the others.
    """

    model: UncertaintyModel
    coverage_before: Mapping[float, float]
    coverage_after: Mapping[float, float]
    levels: pd.DataFrame


def calibrate(predictions: PredictionSet, rules: ClinicalConfig, config: UncertaintyConfig) -> CalibrationResult:
    """Fit the uncertainty of the model that made the predictions.

    Slips are scored with corner tables fitted on other patients, as those of new films will be.

    Raises:
        DataError: no covariances, fewer than two patients, or fewer measurable levels than `config.least_levels`.
    """
    corners = predictions.radial_errors
    corner_calibration = _corner_calibration(corners)
    fold_of_film = calibration.patient_folds([film.patient for film in predictions.films])
    folds = np.unique(fold_of_film)
    if len(folds) < 2:
        raise DataError("films of at least two patients are needed to calibrate uncertainty; given one")
    tables = []
    for fold in folds:
        held_out = predictions.select(np.flatnonzero(fold_of_film == fold).tolist())
        of_others = ~corners["film_id"].isin([film.film_id for film in held_out.films])
        table = sample_table(held_out, _corner_calibration(corners[of_others]), rules, config.samples)
        tables.append(table.assign(fold=fold))
    table = pd.concat(tables, ignore_index=True)
    slips, grades = _conformal(table, config)
    cross_fitted = [
        add_sets(table[table["fold"] == fold], *_conformal(table[table["fold"] != fold], config), rules)
        for fold in folds
    ]
    return CalibrationResult(
        model=UncertaintyModel(
            source=config.source, samples=config.samples, corners=corner_calibration, slips=slips, grades=grades
        ),
        coverage_before=calibration.normal_coverage(corners["radius"].to_numpy(dtype=np.float64)),
        coverage_after=calibration.cross_fitted_coverage(corners),
        levels=pd.concat(cross_fitted, ignore_index=True).drop(columns="fold"),
    )


def level_table(predictions: PredictionSet, model: UncertaintyModel, rules: ClinicalConfig) -> pd.DataFrame:
    """One row per level of a lateral film that is true or predicted: a `sample_table` with its `SETS`."""
    table = sample_table(predictions, model.corners, rules, model.samples)
    return add_sets(table, model.slips, model.grades, rules)


def sample_table(
    predictions: PredictionSet, corners: CornerCalibration, rules: ClinicalConfig, samples: int
) -> pd.DataFrame:
    """One row per level of a lateral film that is true or predicted.

    Columns: `film_id`, `patient`, `level`; the `TRUTH`, NaN where there is no measurable one; the `SAMPLED` and the
    `PROBABILITIES` of the grades, NaN where no slip was predicted.
    """
    rows = [
        (film.film_id, _level_name(s), s.level.upper_slot, s.level.slip.value, s.level.grade, s.spread_percent,
         s.endplate_mm, *s.grade_probabilities.values())
        for film, prediction in predictions.pairs
        if film.facing is not Facing.NONE
        for s in film_slips(film, prediction, corners, rules, samples)
    ]  # fmt: skip
    predicted = pd.DataFrame(rows, columns=["film_id", "level", *SAMPLED, *PROBABILITIES])
    true = predictions.slips(rules)[["film_id", "level", *TRUTH]]
    table = true.merge(predicted, on=["film_id", "level"], how="outer")
    numeric = [*TRUTH, *SAMPLED, *PROBABILITIES]
    table[numeric] = table[numeric].astype(np.float64)
    table.insert(1, "patient", table["film_id"].map(predictions.patient_of))
    return table


def add_sets(table: pd.DataFrame, slips: SlipConformal, grades: GradeConformal, rules: ClinicalConfig) -> pd.DataFrame:
    """A `sample_table` with its `SETS`."""
    rows = [_sets(row, slips, grades, rules) for row in table.to_dict("records")]
    return pd.concat([table.reset_index(drop=True), pd.DataFrame(rows, columns=list(SETS))], axis=1)


def _sets(
    row: Mapping[Hashable, Any], slips: SlipConformal, grades: GradeConformal, rules: ClinicalConfig
) -> tuple[object, ...]:
    if np.isnan(row["spread_percent"]):
        level = level_uncertainty(0, NOTHING_KNOWN, None, slips.coverage, {})
        return *_columns(level, np.nan), np.nan, np.nan, np.nan
    predicted, true = row["pred_slip_percent"], row["true_slip_percent"]
    probabilities = {int(grade): row[f"probability_{grade.label}"] for grade in Grade}
    slot, spread = int(row["upper_slot"]), row["spread_percent"]
    slip_range, level = _level_sets(
        slot, predicted, spread, row["endplate_mm"], probabilities, int(row["pred_grade"]), slips, grades, rules
    )
    columns = _columns(level, slip_range.width_percent)
    if np.isnan(true):
        return *columns, np.nan, np.nan, np.nan
    grade = int(row["true_grade"])
    # Coverage is measured over all sets, even those too wide to be reported.
    inside = abs(true - predicted) <= slips.reach_percent(slot, spread)[grade]
    return (
        *columns,
        float(inside),
        float(slip_range.low_percent <= true <= slip_range.high_percent),
        float(grade in level.grade_set),
    )


def _columns(level: LevelUncertainty, width_percent: float) -> tuple[object, ...]:
    """The first of the `SETS`, up to `verdict`."""
    has_interval = level.low_percent is not None
    names = " ".join(Grade(grade).label for grade in level.grade_set)
    interval = (level.low_percent, level.high_percent, width_percent) if has_interval else (np.nan, np.nan, np.nan)
    return format_slip_intervals(level.pieces_percent), *interval, names, level.refer, level.verdict


def _level_uncertainty(samples: SlipSamples, model: UncertaintyModel, rules: ClinicalConfig) -> LevelUncertainty:
    level, probabilities = samples.level, samples.grade_probabilities
    grade = int(level.grade or 0)
    return _level_sets(
        level.upper_slot, level.slip.value, samples.spread_percent, samples.endplate_mm, probabilities, grade,
        model.slips, model.grades, rules,
    )[1]  # fmt: skip


def _level_sets(
    slot: int,
    slip_percent: float,
    spread_percent: float,
    endplate_mm: float,
    probabilities: Mapping[int, float],
    grade: int,
    slips: SlipConformal,
    grades: GradeConformal,
    rules: ClinicalConfig,
) -> tuple[SlipSet, LevelUncertainty]:
    """The slip set of a level, and the verdict that follows from it, for tables and single films."""
    limits = grade_limits(rules, endplate_mm)
    slip_range = slip_set(slip_percent, slips.reach_percent(slot, spread_percent), limits)
    grade_set = grades.grade_set(np.array([probabilities[int(one)] for one in Grade]), grade)
    verdict = joint_verdict(slip_range, grade_set, limits)
    return slip_range, level_uncertainty(slot, verdict, slip_range, slips.coverage, probabilities)


def _corner_calibration(table: pd.DataFrame) -> CornerCalibration:
    radius, heat = (table[name].to_numpy(dtype=np.float64) for name in ("radius", "heat_share"))
    return CornerCalibration.fit(radius, heat)


def _conformal(table: pd.DataFrame, config: UncertaintyConfig) -> tuple[SlipConformal, GradeConformal]:
    complete = table.dropna(subset=["true_slip_percent", "spread_percent"])
    columns = ("true_slip_percent", "pred_slip_percent", "spread_percent", "upper_slot", "true_grade")
    true, predicted, spread, slot, grade = (complete[name].to_numpy(dtype=np.float64) for name in columns)
    slips = SlipConformal.fit(slip_score(true, predicted, spread), slot.astype(int), grade.astype(int), config)
    probabilities = complete[list(PROBABILITIES)].to_numpy(dtype=np.float64)
    return slips, GradeConformal.fit(probabilities, grade.astype(int), config)


def _level_name(samples: SlipSamples) -> str:
    return f"{level_name(samples.level.upper_slot)}/{level_name(samples.level.lower_slot)}"
