"""The page of a run: its tables and charts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.pages.figures.run_plots import bland_altman, learning_curves
from spondylo_ml.pages.run_page import NO_BREAK, RunPageData, confusion_rows, group_rows, headline_rows, run_page


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    """Two films of 512 px on which every corner is 3 px off."""
    films = [plain_film(f"f{i}", (square(0, 100, 300, 50), square(1, 100, 200, 50)), (512, 400)) for i in range(2)]
    predictions = PredictionSet(films, [prediction_of(film, SlotRange(0, 2), (3.0, 0.0)) for film in films])
    return evaluate_predictions(predictions, ClinicalConfig(), ReportHeader("made", "val", "0" * 64, resamples=50))


def levels(*rows: tuple[str, float, float, float, float]) -> pd.DataFrame:
    columns = ["level", "true_slip_percent", "pred_slip_percent", "true_grade", "pred_grade"]
    return pd.DataFrame(rows, columns=columns).assign(film_id="f")


def test_the_headline_has_value_interval_count_and_meaning(report: EvaluationReport) -> None:
    head, first, *_ = headline_rows(report, 76.1)
    assert head == ["metric", "value", "95 % interval", "n", "meaning"]
    assert first[:4] == ["MRE px512", "3.00", f"[3.00,{NO_BREAK}3.00]", "16"]
    assert first[4].endswith("The mean shape, which ignores the film: 76.10.")
    names = [row[0] for row in headline_rows(report, math.nan)]
    assert "MRE mm" not in names, "without a value"
    assert "mean shape" not in " ".join(headline_rows(report, math.nan)[1])


def test_groups_have_a_row_each_and_a_single_source_has_no_table(report: EvaluationReport) -> None:
    head, *rows = group_rows(report, "by_level")
    assert [row[0] for row in rows] == ["S1", "L5"]
    assert head[1] == "MRE px512"
    assert rows[0][1] == "3.00\n[3.00, 3.00]"
    assert group_rows(report, "by_source") == []
    assert group_rows(report, "no such table") == []


def test_the_confusion_matrix_counts_levels() -> None:
    table = levels(
        ("L5/S1", 2.0, 3.0, 0, 0), ("L5/S1", 2.0, 30.0, 0, 2), ("L4/L5", 30.0, 31.0, 2, 2),
        ("L4/L5", 30.0, math.nan, 2, math.nan),
    )  # fmt: skip
    assert confusion_rows(table) == [
        ["true grade", "predicted 0", "predicted II", "withheld"],
        ["0", "1", "1", "0"],
        ["II", "0", "1", "1"],
    ]
    assert confusion_rows(levels()) == []


def test_bland_altman_shows_mean_difference_and_limits() -> None:
    """Differences 1 and 3: mean 2, standard deviation root 2."""
    figure = bland_altman(levels(("L5/S1", 10.0, 11.0, 0, 0), ("L4/L5", 20.0, 23.0, 0, 0)))
    lines = [shape.y0 for shape in figure.layout.shapes]
    assert lines == pytest.approx([2.0, 2.0 - 1.96 * math.sqrt(2), 2.0 + 1.96 * math.sqrt(2)])
    assert [list(trace.x) for trace in figure.data] == [[21.5], [10.5]]
    assert [list(trace.y) for trace in figure.data] == [[3.0], [1.0]]


def test_losses_have_an_axis_of_their_own_and_wide_errors_a_logarithmic_one() -> None:
    figure = learning_curves({"validation MRE": [(1, 90.0), (2, 5.0)], "training loss": [(1, 2.0)]})
    assert [trace.yaxis for trace in figure.data] == ["y", "y2"]
    assert figure.layout.yaxis.type == "log"
    assert learning_curves({"validation MRE": [(1, 9.0), (2, 5.0)]}).layout.yaxis.type is None


def test_a_short_training_run_has_a_tick_at_each_epoch() -> None:
    assert learning_curves({"training loss": [(1, 9.0), (4, 5.0)]}).layout.xaxis.dtick == 1
    assert learning_curves({"training loss": [(1, 9.0), (40, 5.0)]}).layout.xaxis.dtick is None


def test_what_is_empty_has_no_section(report: EvaluationReport) -> None:
    bare = run_page(RunPageData("a", [("model", "unet")], report, synthetic=False))
    for heading in ("Learning curves", "Films", "Differs from the recipe", "Grades", "Calibration", "Tables and files"):
        assert f"<h2>{heading}</h2>" not in bare
    assert "warning-line" not in bare.split("</style>")[1]
    assert "Synthetic films" not in bare
    full = run_page(
        RunPageData(
            "a", [], report, True, "seen", differences={"seed": "1"}, pictures=[("best", np.zeros((4, 4, 3), np.uint8))]
        )
    )
    assert "<h2>Films</h2>" in full
    assert '<p class="warning-line">seen</p>' in full
