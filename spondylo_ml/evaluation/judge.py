"""From films and predictions to an evaluation report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import cobb, matching, object_keypoints, slips
from spondylo_ml.evaluation.agreement import intraclass_correlation
from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512
from spondylo_ml.evaluation.error_anatomy import anatomy, corner_kinds, level_shifts
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.metrics import (
    PX640_PER_PX512,
    QUANTILES,
    SDR_THRESHOLDS_PX640,
    corner_values,
    presence_counts,
)
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.strata import STRATA, film_strata, in_order
from spondylo_ml.landmarks import CORNERS, LEVELS, PATIENT_CORNERS, Film, FilmPrediction

Numbers = dict[str, Estimate]
GROUP_METRICS = ("mre_px512", "mre_body_percent", "mre_mm", "sdr_6px", "sdr_12px", "sdr_24px")


@dataclass(frozen=True)
class Provenance:
    """Which films are judged, and how intervals are drawn."""

    dataset: str
    part: str
    data_digest: str
    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class Judged:
    """The report, and the tables that it sums up: a row a corner, a level, an AP film."""

    report: EvaluationReport
    corners: pd.DataFrame
    levels: pd.DataFrame
    cobb_angles: pd.DataFrame


def judge(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], rules: ClinicalConfig, origin: Provenance
) -> Judged:
    """Everything measured on the labelled ones of the films.

    Raises:
        DataError: films and predictions differ, or no film has labels.
    """
    labelled = [film for film in films if film.labelled]
    if not labelled:
        raise DataError(f"{origin.dataset} {origin.part}: no film has labels; there is nothing to measure")
    strata = film_strata(films).set_index("film_id")
    patient = strata["patient"]
    bootstrap = PatientBootstrap([film.patient for film in labelled], origin.resamples, origin.seed, origin.confidence)
    kinds = corner_kinds(films, predictions)
    names = patient.loc[kinds["film_id"]].tolist()
    levels, angles = slips.slip_table(films, predictions, rules), cobb.cobb_table(films, predictions)
    numbers = corner_estimates(kinds, names, bootstrap) | _detection(films, predictions, patient, bootstrap)
    numbers |= _instance(films, predictions, patient, bootstrap) | _keypoints(films, predictions, patient, bootstrap)
    tables = _breakdown(kinds, names, strata, bootstrap)
    tables["anatomy"] = anatomy(kinds, names, bootstrap)
    tables["level_shifts"] = level_shifts(kinds, names, bootstrap)
    if len(levels):
        numbers |= _slips(films, predictions, levels, patient, bootstrap)
        tables["slips_by_level"] = _by(levels, "level", patient, bootstrap)
        tables["slips_by_grade"] = _by(levels, "true_grade", patient, bootstrap)
    if len(angles):
        numbers |= cobb_estimates(angles, patient.loc[angles["film_id"]].tolist(), bootstrap)
    report = EvaluationReport(
        dataset=origin.dataset, part=origin.part, data_digest=origin.data_digest, n_films=len(films),
        n_labelled=len(labelled), n_patients=len({film.patient for film in labelled}), confidence=origin.confidence,
        resamples=origin.resamples, seed=origin.seed, rules_digest=rules_digest(rules), numbers=numbers, tables=tables,
        counts=_counts(films, predictions, kinds, levels),
    )  # fmt: skip
    return Judged(report, kinds, levels, angles)


def corner_estimates(table: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap) -> Numbers:
    """The corner metrics, strict by level, with their intervals."""
    made = {name: bootstrap.mean(values, patients) for name, values in corner_values(table).items()}
    error = table["error_px512"].to_numpy(dtype=np.float64)
    return made | {name: bootstrap.quantile(error, share, patients) for name, share in QUANTILES.items()}


def cobb_estimates(angles: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap) -> Numbers:
    """`cobb_smape_percent`, mean absolute error of each angle, ICC(2,1) of the main one; n is films."""
    true, predicted = (
        angles[[f"{who}_{angle}_deg" for angle in cobb.ANGLES]].to_numpy(dtype=np.float64) for who in ("true", "pred")
    )
    made = {"cobb_smape_percent": bootstrap.mean(cobb.smape_percent(true, predicted), patients)}
    for column, angle in enumerate(cobb.ANGLES):
        made[f"cobb_{angle}_mae_deg"] = bootstrap.mean(np.abs(predicted - true)[:, column], patients)
    both = np.stack([true[:, 0], predicted[:, 0]], axis=1)
    known = ~np.isnan(both).any(axis=1)
    made["cobb_main_icc_2_1"] = bootstrap.statistic(
        lambda weights: intraclass_correlation(both[known], weights)[0], np.array(patients)[known], int((~known).sum())
    )
    return made


def _breakdown(
    kinds: pd.DataFrame, patients: Sequence[str], strata: pd.DataFrame, bootstrap: PatientBootstrap
) -> dict[str, dict[str, Numbers]]:
    """Tables by level (from the sacrum up), by corner (of the patient where facing is known), and by what is known of
    the film."""
    joined = kinds.assign(patient=patients).join(strata[list(STRATA)], on="film_id")
    corners = [name for name in (*PATIENT_CORNERS, *CORNERS) if (joined["patient_corner"] == name).any()]
    groups = {
        "level": ("level", list(dict.fromkeys(joined.sort_values("slot")["level"]))),
        "corner": ("patient_corner", corners),
        **{stratum: (stratum, in_order(stratum, joined[stratum].unique())) for stratum in STRATA},
    }
    return {
        f"by_{name}": {group: _group(joined[joined[column] == group], bootstrap) for group in found}
        for name, (column, found) in groups.items()
    }


def _group(rows: pd.DataFrame, bootstrap: PatientBootstrap) -> Numbers:
    values, patients = corner_values(rows), rows["patient"].tolist()
    made = {name: bootstrap.mean(values[name], patients) for name in GROUP_METRICS}
    return made | {"median_px512": bootstrap.quantile(rows["error_px512"], 0.5, patients)}


def _detection(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], patient: pd.Series, bootstrap: PatientBootstrap
) -> Numbers:
    by_name, found = presence_counts(films, predictions), matching.detection_counts(films, predictions)
    names = patient.loc[by_name["film_id"]].tolist()
    said = found["n_found"] + found["n_false"]
    ratios = {
        "presence_precision": (by_name["n_both"], by_name["n_said"]),
        "presence_recall": (by_name["n_both"], by_name["n_there"]),
        "presence_f1": (2 * by_name["n_both"], by_name["n_said"] + by_name["n_there"]),
        "detection_precision": (found["n_found"], said),
        "detection_recall": (found["n_found"], found["n_true"]),
        "detection_f1": (2 * found["n_found"], said + found["n_true"]),
        "named_right_percent": (found["n_found_by_name"], found["n_found"]),
    }
    return {name: bootstrap.ratio(100 * part, whole, names) for name, (part, whole) in ratios.items()} | {
        "missing_per_film": bootstrap.mean(found["n_true"] - found["n_found"], names),
        "false_per_film": bootstrap.mean(found["n_false"], names),
    }


def _instance(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], patient: pd.Series, bootstrap: PatientBootstrap
) -> Numbers:
    table = matching.matched_corner_table(films, predictions)
    names = patient.loc[table["film_id"]].tolist()
    error = table["error_px512"].to_numpy(dtype=np.float64)
    rates = {
        f"instance_sdr_{limit}px": bootstrap.mean(100.0 * (error <= limit), names) for limit in SDR_THRESHOLDS_PX512
    }
    rates |= {
        f"instance_sdr_{limit}px640": bootstrap.mean(100.0 * (error * PX640_PER_PX512 <= limit), names)
        for limit in SDR_THRESHOLDS_PX640
    }
    return {"instance_mre_px512": bootstrap.mean(error, names)} | rates


def _keypoints(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], patient: pd.Series, bootstrap: PatientBootstrap
) -> Numbers:
    table = object_keypoints.detection_table(films, predictions)
    return object_keypoints.average_precision(table, patient.loc[table["film_id"]].tolist(), bootstrap)


def _slips(
    films: Sequence[Film],
    predictions: Sequence[FilmPrediction],
    levels: pd.DataFrame,
    patient: pd.Series,
    bootstrap: PatientBootstrap,
) -> Numbers:
    facing = slips.facing_table(films, predictions)
    made = slips.slip_agreement(levels, patient.loc[levels["film_id"]].tolist(), bootstrap)
    right = bootstrap.mean(100 * facing["right"], patient.loc[facing["film_id"]].tolist())
    return made | {"facing_accuracy": right}


def _by(levels: pd.DataFrame, column: str, patient: pd.Series, bootstrap: PatientBootstrap) -> dict[str, Numbers]:
    """Errors of slip and grade in each group, levels from the sacrum up, grades rising; withheld ones left out."""
    out = {}
    known = levels[levels["true_slip_percent"].notna()]
    order = _from_sacrum if column == "level" else float
    for group in sorted(known[column].dropna().unique(), key=order):
        rows = known[known[column] == group]
        names = patient.loc[rows["film_id"]].tolist()
        off = rows["pred_slip_percent"] - rows["true_slip_percent"]
        right = (rows["pred_grade"] == rows["true_grade"]).where(rows["pred_grade"].notna())
        out[f"grade {float(str(group)):.0f}" if column == "true_grade" else str(group)] = {
            "slip_mae_percent": bootstrap.mean(off.abs(), names),
            "slip_bias_percent": bootstrap.mean(off, names),
            "grade_accuracy": bootstrap.mean(100 * right.astype(float), names),
        }
    return out


def _from_sacrum(level: str) -> int:
    """Place of a level such as L4/L5, by its upper vertebra."""
    return LEVELS.index(level.split("/")[0])


def _counts(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], kinds: pd.DataFrame, levels: pd.DataFrame
) -> dict[str, int]:
    found = matching.detection_counts(films, predictions)
    true, predicted = levels["true_slip_percent"].notna(), levels["pred_slip_percent"].notna()
    return {
        "corners": len(kinds),
        "corners_missed": int(kinds["missed"].sum()),
        "corners_with_mm": int(kinds["error_mm"].notna().sum()),
        "vertebrae": int(found["n_true"].sum()),
        "vertebrae_missing": int((found["n_true"] - found["n_found"]).sum()),
        "vertebrae_false": int(found["n_false"].sum()),
        "vertebrae_set_aside": int(found["n_set_aside"].sum()),
        "levels": len(levels),
        "levels_true_slip_withheld": int((~true).sum()),
        "levels_predicted_slip_withheld": int((true & ~predicted).sum()),
    }
