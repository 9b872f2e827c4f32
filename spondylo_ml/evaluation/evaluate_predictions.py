"""From predictions to an evaluation report: the metrics of every epoch and more, with intervals and breakdowns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from spondylo_ml.clinical.meyerding import Grade
from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.ap_metrics import ap_estimates
from spondylo_ml.evaluation.error_causes import error_anatomy, level_shifts
from spondylo_ml.evaluation.exact_limits import with_exact_limits
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.matching import shares_within
from spondylo_ml.evaluation.metrics import PX640_PER_PX512, SDR_THRESHOLDS_PX640, corner_values, score_estimates
from spondylo_ml.evaluation.object_keypoints import average_precision
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.evaluation.strata import STRATA, film_strata, ordered_groups
from spondylo_ml.landmarks import CORNERS, PATIENT_CORNERS, rank_of_level

GROUP_METRICS = ("mre_px512", "mre_body_percent", "mre_mm", "sdr_6px", "sdr_12px", "sdr_24px")


@dataclass(frozen=True)
class ReportHeader:
    """The films of a report, and how its intervals are computed.

    Attributes:
        data_digest: of the films' pixels and labels.
    """

    dataset: str
    part: str
    data_digest: str
    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95


def evaluate_predictions(predictions: PredictionSet, rules: ClinicalConfig, header: ReportHeader) -> EvaluationReport:
    """Evaluate predictions on the films that have labels.

    Raises:
        DataError: no film has labels.
    """
    films = predictions.labelled_films
    if not films:
        raise DataError(f"{header.dataset} {header.part}: no film has labels; there is nothing to measure")
    bootstrap = predictions.bootstrap(header.resamples, header.seed, header.confidence)
    levels = predictions.slips(rules)
    numbers = score_estimates(predictions, bootstrap) | _further_estimates(predictions, bootstrap)
    tables = _corner_tables(predictions, bootstrap)
    if len(levels):
        numbers |= _slip_estimates(predictions, levels, bootstrap)
        tables["slips_by_level"] = _slips_by(levels, "level", predictions, bootstrap)
        tables["slips_by_grade"] = _slips_by(levels, "true_grade", predictions, bootstrap)
    numbers |= ap_estimates(predictions, bootstrap)
    return EvaluationReport(
        dataset=header.dataset,
        part=header.part,
        data_digest=header.data_digest,
        n_films=len(predictions.films),
        n_labelled=len(films),
        n_patients=len({film.patient for film in films}),
        confidence=header.confidence,
        resamples=header.resamples,
        seed=header.seed,
        rules_digest=rules_digest(rules),
        numbers=with_exact_limits(numbers, header.confidence),
        tables={
            name: {group: with_exact_limits(each, header.confidence) for group, each in groups.items()}
            for name, groups in tables.items()
        },
        counts=_counts(predictions, levels),
    )


def _further_estimates(predictions: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    """Detection in more detail than `score_estimates`, and the average precision of object keypoints."""
    detections, corners = predictions.detections, predictions.matched_corners
    of_films, of_corners = (predictions.patients(table["film_id"]) for table in (detections, corners))
    n_matched = detections["n_matched"]
    ranked = predictions.ranked_vertebrae
    return {
        "named_right_percent": bootstrap.ratio(100 * detections["n_right_level"], n_matched, of_films),
        "missing_per_film": bootstrap.mean(detections["n_true"] - n_matched, of_films),
        "false_per_film": bootstrap.mean(detections["n_false"], of_films),
        **{
            f"instance_sdr_{limit}px640": bootstrap.mean(shares_within(corners, limit / PX640_PER_PX512), of_corners)
            for limit in SDR_THRESHOLDS_PX640
        },
        **average_precision(ranked, predictions.patients(ranked["film_id"]), bootstrap),
    }


def _corner_tables(predictions: PredictionSet, bootstrap: PatientBootstrap) -> dict[str, dict[str, Estimates]]:
    """Corner metrics by level, corner and `STRATA`, and the causes of the error.

    Levels rise from the sacrum. A corner is named by anterior and posterior where the facing is known.
    """
    corners = predictions.corners_with_causes
    patients = predictions.patients(corners["film_id"])
    strata = film_strata(predictions.films).set_index("film_id")[list(STRATA)]
    joined = corners.assign(patient=patients).join(strata, on="film_id")
    groups = {
        "level": ("level", list(dict.fromkeys(joined.sort_values("slot")["level"]))),
        "corner": (
            "patient_corner",
            [c for c in (*PATIENT_CORNERS, *CORNERS) if (joined["patient_corner"] == c).any()],
        ),
        **{stratum: (stratum, ordered_groups(stratum, joined[stratum].unique())) for stratum in STRATA},
    }
    tables = {
        f"by_{name}": {group: _group_estimates(joined[joined[column] == group], bootstrap) for group in names}
        for name, (column, names) in groups.items()
    }
    return tables | {
        "anatomy": error_anatomy(corners, patients, bootstrap),
        "level_shifts": level_shifts(corners, patients, bootstrap),
    }


def _group_estimates(corners: pd.DataFrame, bootstrap: PatientBootstrap) -> Estimates:
    values, patients = corner_values(corners), corners["patient"].tolist()
    estimates = {name: bootstrap.mean(values[name], patients) for name in GROUP_METRICS}
    return estimates | {"median_px512": bootstrap.quantile(corners["error_px512"], 0.5, patients)}


def _slip_estimates(predictions: PredictionSet, levels: pd.DataFrame, bootstrap: PatientBootstrap) -> Estimates:
    facings = predictions.facings
    right = bootstrap.mean(100 * facings["right"], predictions.patients(facings["film_id"]))
    agreement = slip_agreement(levels, predictions.patients(levels["film_id"]), bootstrap)
    return agreement | {"facing_accuracy": right}


def _slips_by(
    levels: pd.DataFrame, column: str, predictions: PredictionSet, bootstrap: PatientBootstrap
) -> dict[str, Estimates]:
    """Errors of slip and grade in each group of the levels with a true slip.

    Levels rise from the sacrum; grades rise.
    """
    measurable = levels[levels["true_slip_percent"].notna()]
    order = rank_of_level if column == "level" else float
    table = {}
    for group in sorted(measurable[column].dropna().unique(), key=order):
        rows = measurable[measurable[column] == group]
        patients = predictions.patients(rows["film_id"])
        error = rows["pred_slip_percent"] - rows["true_slip_percent"]
        right = (rows["pred_grade"] == rows["true_grade"]).where(rows["pred_grade"].notna())
        table[f"grade {Grade(int(float(str(group)))).label}" if column == "true_grade" else str(group)] = {
            "slip_mae_percent": bootstrap.mean(error.abs(), patients),
            "slip_bias_percent": bootstrap.mean(error, patients),
            "grade_accuracy": bootstrap.mean(100 * right.astype(float), patients),
        }
    return table


def _counts(predictions: PredictionSet, levels: pd.DataFrame) -> dict[str, int]:
    corners, detections = predictions.corners, predictions.detections
    true, predicted = levels["true_slip_percent"].notna(), levels["pred_slip_percent"].notna()
    return {
        "corners": len(corners),
        "corners_missed": int(corners["missed"].sum()),
        "corners_with_mm": int(corners["error_mm"].notna().sum()),
        "vertebrae": int(detections["n_true"].sum()),
        "vertebrae_missing": int((detections["n_true"] - detections["n_matched"]).sum()),
        "vertebrae_false": int(detections["n_false"].sum()),
        "vertebrae_set_aside": int(detections["n_set_aside"].sum()),
        "levels": len(levels),
        "levels_true_slip_withheld": int((~true).sum()),
        "levels_predicted_slip_withheld": int((true & ~predicted).sum()),
    }
