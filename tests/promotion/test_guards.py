"""The guarded metrics of a model, computed by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.promotion.guards import guarded_values

SLOTS = SlotRange(0, 2)


def report_of(*shifts_px: float, numbers: dict[str, Estimate] | None = None) -> EvaluationReport:
    """A report on films of 512 px, each from its own source and with its corners shifted by so many px."""
    films = [
        plain_film(f"f{i}", (square(0, 100, 300, 50), square(1, 100, 200, 50)), (512, 400))
        for i in range(len(shifts_px))
    ]
    films = [type(film)(**{**vars(film), "source": f"s{i}"}) for i, film in enumerate(films)]
    predictions = [prediction_of(film, SLOTS, (x, 0.0)) for film, x in zip(films, shifts_px, strict=True)]
    header = ReportHeader("squares", "test", "0" * 64, resamples=100)
    report = evaluate_predictions(PredictionSet(films, predictions), ClinicalConfig(), header)
    return report.model_copy(update={"numbers": report.numbers | (numbers or {})})


def levels(*grades: tuple[float, float]) -> pd.DataFrame:
    """True and predicted grade of each level."""
    return pd.DataFrame(grades, columns=["true_grade", "pred_grade"])


def test_the_worst_source_is_the_one_with_the_largest_mean_error() -> None:
    guarded = guarded_values(report_of(1.0, 7.0, 3.0), levels(), 12.5, None)
    assert guarded["worst_source_px512"] == pytest.approx(7.0)
    assert guarded["latency_ms"] == 12.5
    assert guarded["detection_recall"] == 100
    assert math.isnan(guarded["calibration_error"]), "the model states no coverage"


def test_a_withheld_slip_counts_as_missed() -> None:
    guarded = guarded_values(report_of(0.0), levels((1, 1), (2, 1), (1, math.nan), (1, 0), (0, 1)), 1.0, None)
    assert guarded["listhesis_sensitivity_all"] == 50


def test_without_a_true_listhesis_there_is_no_sensitivity() -> None:
    for table in (levels(), levels((0, 0), (math.nan, 1))):
        assert math.isnan(guarded_values(report_of(0.0), table, 1.0, None)["listhesis_sensitivity_all"])


@pytest.mark.parametrize("covered", [85.0, 95.0])
def test_calibration_error_is_the_distance_to_the_stated_coverage_on_either_side(covered: float) -> None:
    numbers = {"slip_set_coverage": Estimate(value=covered, low=80, high=99, n=100)}
    guarded = guarded_values(report_of(0.0, numbers=numbers), levels(), 1.0, 0.9)
    assert guarded["calibration_error"] == pytest.approx(5.0)
