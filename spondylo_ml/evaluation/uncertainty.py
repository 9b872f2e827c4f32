"""Uncertainty of slips and grades: fitted on the films of one part, applied to any others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spondylo_ml.clinical.measurement import FilmMeasurement, LevelUncertainty, format_slip_intervals
from spondylo_ml.clinical.meyerding import Grade, grade0_range_percent
from spondylo_ml.config import ClinicalConfig, UncertaintyConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import calibration
from spondylo_ml.evaluation.calibration import CornerCalibration
from spondylo_ml.evaluation.level_difficulty import DIFFICULTY
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.separate_sets import SeparateSets
from spondylo_ml.evaluation.slip_conformal import CalibrationLevels, SlipConformal
from spondylo_ml.evaluation.slip_set import LevelPrediction, SlipSet, grade_limits
from spondylo_ml.evaluation.slip_uncertainty import SlipSamples, film_slips
from spondylo_ml.evaluation.verdict import NOTHING_KNOWN, level_uncertainty, level_verdict
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, level_name

TRUTH = ("true_slip_percent", "true_grade")
SAMPLED = ("upper_slot", "pred_slip_percent", "pred_grade", "spread_percent", "endplate_mm", *DIFFICULTY)
PROBABILITIES = tuple(f"probability_{grade.label}" for grade in Grade)
SAMPLED_PROBABILITIES = tuple(f"sampled_probability_{grade.label}" for grade in Grade)
SETS = (
    *PROBABILITIES, "slip_set", "low_percent", "high_percent", "set_width_percent", "grade_set", "refer", "verdict",
    "in_set", "in_interval", "in_grade_set",
)  # fmt: skip
"""The probabilities of the grades; the slips that cannot be excluded in words, the lowest, the highest, and the width
that they fill, NaN where the set excludes nothing; the grades that cannot be excluded ("0 I"); whether a reader must
look at the level; the verdict in words; whether the true slip lies in the conformal set and in the interval around it,
and the true grade among the grades, NaN where that is unknown. A level without an interval is referred."""

LevelSets = Annotated[SlipConformal | SeparateSets, Field(discriminator="kind")]


class UncertaintyModel(BaseModel):
    """Calibrated uncertainty of one model.

    Attributes:
        source: where the covariances of corners come from.
        samples: number of Monte Carlo samples per film.
        corners: quantiles of the radial errors of corners.
        sets: limits of the conformal sets; `SeparateSets` in models of version 0.1.0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    samples: int
    corners: CornerCalibration
    sets: LevelSets

    @model_validator(mode="before")
    @classmethod
    def _from_version_0_1(cls, values: object) -> object:
        if not isinstance(values, dict) or "slips" not in values:
            return values
        separate = {"kind": "separate", "slips": values["slips"], "grades": values.get("grades")}
        return {name: values[name] for name in values if name not in ("slips", "grades")} | {"sets": separate}

    @property
    def coverage(self) -> float:
        """Share of true slips that the sets should hold."""
        return self.sets.coverage

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

    def corner_regions_px2(self, prediction: FilmPrediction, probability: float) -> dict[int, FloatArray]:
        """(4, 2, 2) by slot, squared px of the film: each corner is d away with d' M^-1 d <= 1, with this probability.

        Empty where the prediction has no covariances.
        """
        if prediction.covariance_px2 is None or prediction.heat_share is None:
            return {}
        radius = self.corners.radius(np.array(probability), prediction.heat_share)
        regions = prediction.covariance_px2 * radius[..., None, None] ** 2
        return {prediction.slots.first + row: region for row, region in enumerate(regions)}


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
    sets = _conformal(table, rules, config)
    cross_fitted = [
        add_sets(table[table["fold"] == fold], _conformal(table[table["fold"] != fold], rules, config), rules)
        for fold in folds
    ]
    return CalibrationResult(
        model=UncertaintyModel(source=config.source, samples=config.samples, corners=corner_calibration, sets=sets),
        coverage_before=calibration.normal_coverage(corners["radius"].to_numpy(dtype=np.float64)),
        coverage_after=calibration.cross_fitted_coverage(corners),
        levels=pd.concat(cross_fitted, ignore_index=True).drop(columns="fold"),
    )


def level_table(predictions: PredictionSet, model: UncertaintyModel, rules: ClinicalConfig) -> pd.DataFrame:
    """One row per level of a lateral film that is true or predicted: a `sample_table` with its `SETS`."""
    table = sample_table(predictions, model.corners, rules, model.samples)
    return add_sets(table, model.sets, rules)


def sample_table(
    predictions: PredictionSet, corners: CornerCalibration, rules: ClinicalConfig, samples: int
) -> pd.DataFrame:
    """One row per level of a lateral film that is true or predicted.

    Columns: `film_id`, `patient`, `level`; the `TRUTH`, NaN where there is no measurable one; the `SAMPLED` and the
    Monte Carlo `SAMPLED_PROBABILITIES` of the grades, NaN where no slip was predicted.
    """
    rows = [
        (film.film_id, _level_name(s), s.level.upper_slot, s.level.slip.value, s.level.grade, s.spread_percent,
         s.endplate_mm, *s.difficulty, *s.grade_probabilities.values())
        for film, prediction in predictions.pairs
        if film.facing is not Facing.NONE
        for s in film_slips(film, prediction, corners, rules, samples)
    ]  # fmt: skip
    predicted = pd.DataFrame(rows, columns=["film_id", "level", *SAMPLED, *SAMPLED_PROBABILITIES])
    true = predictions.slips(rules)[["film_id", "level", *TRUTH]]
    table = true.merge(predicted, on=["film_id", "level"], how="outer")
    numeric = [*TRUTH, *SAMPLED, *SAMPLED_PROBABILITIES]
    table[numeric] = table[numeric].astype(np.float64)
    table.insert(1, "patient", table["film_id"].map(predictions.patient_of))
    return table


def add_sets(table: pd.DataFrame, sets: LevelSets, rules: ClinicalConfig) -> pd.DataFrame:
    """A `sample_table` with its `SETS`, without the Monte Carlo probabilities."""
    rows = [_sets(row, sets, rules) for row in table.to_dict("records")]
    kept = table.drop(columns=list(SAMPLED_PROBABILITIES)).reset_index(drop=True)
    return pd.concat([kept, pd.DataFrame(rows, columns=list(SETS))], axis=1)


def _sets(row: Mapping[Hashable, Any], sets: LevelSets, rules: ClinicalConfig) -> tuple[object, ...]:
    if np.isnan(row["spread_percent"]):
        level = level_uncertainty(0, NOTHING_KNOWN, None, sets.coverage, {})
        return *_columns(level, np.nan), np.nan, np.nan, np.nan
    predicted = LevelPrediction(
        upper_slot=int(row["upper_slot"]),
        slip_percent=row["pred_slip_percent"],
        grade=int(row["pred_grade"]),
        limits_percent=grade_limits(rules, row["endplate_mm"]),
        grade0_range_percent=grade0_range_percent(rules, row["endplate_mm"]),
        spread_percent=row["spread_percent"],
        difficulty=tuple(row[name] for name in DIFFICULTY),
        sampled_probabilities={int(g): row[name] for g, name in zip(Grade, SAMPLED_PROBABILITIES, strict=True)},
    )
    slips, level = _level_sets(predicted, sets)
    columns = _columns(level, slips.width_percent)
    true = row["true_slip_percent"]
    if np.isnan(true):
        return *columns, np.nan, np.nan, np.nan
    # Coverage is measured over all sets, even those too wide to be reported.
    in_interval = slips.low_percent <= true <= slips.high_percent
    return *columns, float(slips.holds(true)), float(in_interval), float(int(row["true_grade"]) in level.grade_set)


def _columns(level: LevelUncertainty, width_percent: float) -> tuple[object, ...]:
    """The first of the `SETS`, up to `verdict`."""
    has_interval = level.low_percent is not None
    names = " ".join(Grade(grade).label for grade in level.grade_set)
    interval = (level.low_percent, level.high_percent, width_percent) if has_interval else (np.nan, np.nan, np.nan)
    probabilities = (level.grade_probabilities.get(int(grade), np.nan) for grade in Grade)
    return *probabilities, format_slip_intervals(level.pieces_percent), *interval, names, level.refer, level.verdict


def _level_uncertainty(samples: SlipSamples, model: UncertaintyModel, rules: ClinicalConfig) -> LevelUncertainty:
    return _level_sets(level_prediction(samples, rules), model.sets)[1]


def level_prediction(samples: SlipSamples, rules: ClinicalConfig) -> LevelPrediction:
    """What is known of a sampled level before its set of slips is formed."""
    level = samples.level
    return LevelPrediction(
        upper_slot=level.upper_slot,
        slip_percent=level.slip.value,
        grade=int(level.grade or 0),
        limits_percent=grade_limits(rules, samples.endplate_mm),
        grade0_range_percent=grade0_range_percent(rules, samples.endplate_mm),
        spread_percent=samples.spread_percent,
        difficulty=samples.difficulty,
        sampled_probabilities=samples.grade_probabilities,
    )


def _level_sets(level: LevelPrediction, sets: LevelSets) -> tuple[SlipSet, LevelUncertainty]:
    """The slip set of a level, and the verdict that follows from it, for tables and single films."""
    found = sets.level_set(level)
    verdict = level_verdict(found.slips, found.grades, level.limits_percent, level.grade0_range_percent)
    return found.slips, level_uncertainty(level.upper_slot, verdict, found.slips, sets.coverage, found.probabilities)


def _corner_calibration(table: pd.DataFrame) -> CornerCalibration:
    radius, heat = (table[name].to_numpy(dtype=np.float64) for name in ("radius", "heat_share"))
    return CornerCalibration.fit(radius, heat)


def _conformal(table: pd.DataFrame, rules: ClinicalConfig, config: UncertaintyConfig) -> SlipConformal:
    complete = table.dropna(subset=["true_slip_percent", "spread_percent"])
    slot, predicted_grade, true_grade = (
        complete[name].to_numpy(dtype=np.int64) for name in ("upper_slot", "pred_grade", "true_grade")
    )
    endplates_mm = complete["endplate_mm"]
    levels = CalibrationLevels(
        patients=complete["patient"].tolist(),
        slot=slot,
        difficulty=complete[list(DIFFICULTY)].to_numpy(dtype=np.float64),
        predicted_percent=complete["pred_slip_percent"].to_numpy(dtype=np.float64),
        true_percent=complete["true_slip_percent"].to_numpy(dtype=np.float64),
        predicted_grade=predicted_grade,
        true_grade=true_grade,
        limits_percent=np.array([grade_limits(rules, mm) for mm in endplates_mm]).reshape(-1, 7),
        grade0_range_percent=np.array([grade0_range_percent(rules, mm) for mm in endplates_mm]).reshape(-1, 2),
    )
    return SlipConformal.fit(levels, config)


def _level_name(samples: SlipSamples) -> str:
    return f"{level_name(samples.level.upper_slot)}/{level_name(samples.level.lower_slot)}"
