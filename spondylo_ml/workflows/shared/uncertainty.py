"""Fit uncertainty after training, measure it in an evaluation, and log it as metrics, tables and curves."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
import pandas as pd

from spondylo_ml.config import Config
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import calibration, uncertainty
from spondylo_ml.evaluation.headline import headline
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.uncertainty import UncertaintyModel
from spondylo_ml.evaluation.uncertainty_numbers import ALL, by_group, curve_points, uncertainty_estimates
from spondylo_ml.nan import drop_nan
from spondylo_ml.pages.figures.uncertainty_chart import draw_uncertainty

log = logging.getLogger(__name__)

WITHHELD_TAG = "uncertainty_withheld"
VAL_PREFIX = "val_uncertainty/"
PICTURE, CURVES = "uncertainty/curves.png", "uncertainty/curves.csv"
LEVELS, NUMBERS = "uncertainty/levels.csv", "uncertainty/numbers.json"

Coverage = Mapping[float, float]


@dataclass(frozen=True)
class UncertaintyReport:
    """Uncertainty measured on films with known slips.

    Attributes:
        before: share of true corners within each nominal region of the model's own covariances.
        after: the same after calibration.
        numbers: estimates by metric.
        tables: estimates by level, by true grade, and the referral curves.
    """

    before: Coverage
    after: Coverage
    numbers: dict[str, Estimate]
    tables: dict[str, dict[str, dict[str, Estimate]]]

    def added_to(self, report: EvaluationReport) -> EvaluationReport:
        """The report with these numbers and tables."""
        return report.model_copy(
            update={"numbers": report.numbers | self.numbers, "tables": report.tables | self.tables}
        )

    def metrics(self) -> dict[str, float]:
        """Values by name, those of a group with its name in front; NaN is left out."""
        out = {name: estimate.value for name, estimate in self.numbers.items()}
        for stage, coverage in (("before", self.before), ("after", self.after)):
            out |= {f"corner_coverage_{100 * p:.0f}_{stage}": 100 * share for p, share in coverage.items()}
        for table in ("uncertainty_by_level", "uncertainty_by_grade"):
            for group, numbers in self.tables[table].items():
                name = group.replace("/", "-").replace(" ", "_")
                out |= {f"{name}/{n}": numbers[n].value for n in ("slip_set_coverage", "referred_percent")}
        return drop_nan(out)


def fit_uncertainty(predictions: PredictionSet, config: Config) -> UncertaintyModel | None:
    """Calibrate on the validation films and log the coverage; None, with the reason logged, if that is impossible.

    The metrics under `val_uncertainty/`, and all others in `NUMBERS`, are cross-fitted: each patient is evaluated by a
    calibration on the others.
    """
    if config.uncertainty.source == "none":
        return None
    try:
        fitted = uncertainty.calibrate(predictions, config.clinical, config.uncertainty)
    except DataError as error:
        log.warning("no intervals of slips: %s", error)
        mlflow.set_tag(WITHHELD_TAG, str(error))
        return None
    bootstrap = PatientBootstrap([film.patient for film in predictions.films])
    report = _report(fitted.levels, fitted.coverage_before, fitted.coverage_after, bootstrap)
    warn_if_less_accurate(report, config.uncertainty.kept_accuracy)
    mlflow.log_metrics(headline(report.metrics(), VAL_PREFIX, ("corner_coverage_90_after",)))
    mlflow.log_text(json.dumps(report.metrics(), indent=1), NUMBERS)
    log_curves(report, fitted.model.coverage)
    log_levels(fitted.levels)
    mlflow.log_text(fitted.model.model_dump_json(indent=1), "uncertainty/model.json")
    return fitted.model


def evaluate_uncertainty(
    levels: pd.DataFrame, predictions: PredictionSet, model: UncertaintyModel, bootstrap: PatientBootstrap
) -> UncertaintyReport | None:
    """Evaluate the uncertainty on films that it was not fitted on; None if no true slip is measurable.

    Args:
        levels: `level_table` of the same predictions.
    """
    if not levels["in_set"].notna().any():
        return None
    corners = predictions.radial_errors
    before = calibration.normal_coverage(corners["radius"].to_numpy(dtype=float))
    return _report(levels, before, calibration.calibrated_coverage(corners, model.corners), bootstrap)


def warn_if_less_accurate(report: UncertaintyReport, kept_accuracy: float) -> None:
    """Warn if the levels not referred are certainly right less often than `uncertainty.kept_accuracy`."""
    estimate = report.numbers["grade_accuracy_not_referred"]
    if estimate.high < 100 * kept_accuracy:
        log.warning(
            "the grade of %.1f %% of the levels not referred is right, but uncertainty.kept_accuracy asks for %.1f %%, "
            "which this model cannot give at this coverage: too many wrong grades look certain",
            estimate.value,
            100 * kept_accuracy,
        )


def log_levels(levels: pd.DataFrame) -> None:
    """Log one row per level: its interval, the probabilities of its grades, and the grades that cannot be excluded."""
    mlflow.log_text(levels.drop(columns="patient").to_csv(index=False), LEVELS)


def log_curves(report: UncertaintyReport, stated: float) -> None:
    """Log the curves as a picture and a table.

    The abscissa, in percent, is the nominal coverage, or the share of the levels that is not referred.
    """
    curves = {
        "corner_coverage_curve_before": {round(100 * p): 100 * c for p, c in report.before.items()},
        "corner_coverage_curve_after": {round(100 * p): 100 * c for p, c in report.after.items()},
        "referral_curve": {share: e.value for share, e in curve_points(report.tables["referral"][ALL])},
    }
    points = [(name, step, value) for name, curve in curves.items() for step, value in curve.items()]
    table = pd.DataFrame(points, columns=["curve", "at_percent", "value_percent"])
    mlflow.log_text(table.to_csv(index=False), CURVES)
    picture = draw_uncertainty(report.before, report.after, report.tables, stated)
    mlflow.log_image(picture, artifact_file=PICTURE)


def _report(levels: pd.DataFrame, before: Coverage, after: Coverage, bootstrap: PatientBootstrap) -> UncertaintyReport:
    return UncertaintyReport(before, after, uncertainty_estimates(levels, bootstrap), by_group(levels, bootstrap))
