"""Charts and the page of comparisons, also with absent values."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from builders import plain_film, prediction_of, square

from spondylo_ml.evaluation.error_causes import error_anatomy
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.pages.comparison_page import ComparisonData, comparison_page, interval_text
from spondylo_ml.pages.figures.anatomy_chart import draw_anatomy
from spondylo_ml.pages.figures.run_charts import TITLE_PX, draw_learning_curves, side_by_side


def _anatomy(shift_px: float) -> dict[str, dict[str, Estimate]]:
    film = plain_film("a", (square(0, 10, 40), square(1, 10, 20)))
    kinds = PredictionSet([film], [prediction_of(film, SlotRange(0, 2), (0.0, shift_px))]).corners_with_causes
    return error_anatomy(kinds, ["a"] * len(kinds), PatientBootstrap(["a"], 50))


def test_the_anatomy_is_drawn_even_without_errors() -> None:
    perfect, shifted = draw_anatomy(_anatomy(0.0)), draw_anatomy(_anatomy(-20.0))
    assert perfect.shape == shifted.shape
    assert perfect.dtype == np.uint8
    assert (perfect != shifted).any()


def test_learning_curves_may_have_any_length() -> None:
    several = draw_learning_curves({"a": [(1, 90.0), (2, 5.0)], "b": [(1, 80.0)], "c": []}, "error")
    none = draw_learning_curves({}, "error")
    assert several.shape == none.shape
    assert (several != none).any()


def test_pictures_are_placed_side_by_side_under_their_names() -> None:
    first, second = np.full((50, 200, 3), 10, dtype=np.uint8), np.full((40, 200, 3), 20, dtype=np.uint8)
    sheet = side_by_side({"a": first, "b": second})
    assert sheet.shape[0] >= 50 + TITLE_PX
    assert (sheet[TITLE_PX : TITLE_PX + 50, :200] == 10).all()
    assert (sheet[TITLE_PX : TITLE_PX + 40, 206:406] == 20).all()
    assert sheet[:TITLE_PX].max() > 200, "the names are drawn"
    assert side_by_side({"a rather long name of a run": first[:, :20]}).shape[1] > 100


def test_an_estimate_is_shown_with_its_interval_alone_or_as_none() -> None:
    assert interval_text(Estimate(value=1.234, low=1, high=2, n=3)) == "1.23 [1.00, 2.00]"
    assert interval_text(Estimate(value=1.26, low=math.nan, high=math.nan, n=3), 1) == "1.3"
    assert interval_text(Estimate(value=-0.001, low=-0.004, high=0.02, n=3)) == "0.00 [0.00, 0.02]", "no -0.00"
    assert interval_text(Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)) == "none"


def test_the_page_escapes_names_and_shows_remarks_and_absent_values() -> None:
    estimate = Estimate(value=2.0, low=1.0, high=3.0, n=4, n_patients=2)
    absent = Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)
    page = comparison_page(
        ComparisonData(
            title="a <b>",
            dataset="phantom-0",
            runs=("x & y", "z"),
            numbers={
                "x & y": {"mre_px512": estimate, "mre_mm": absent},
                "z": {"mre_px512": estimate, "mre_mm": absent},
            },
            differences={"z": [PairedDifference("mre_px512", estimate, math.nan, math.nan, 0, 0, 2)]},
            films=pd.DataFrame({"x & y": [1.0, 0.0], "z": [2.0, math.nan]}, index=["f", "g"]),
            curves={"x & y": [], "z": [(1, 3.0)]},
            curve_label="error",
            remarks=("z has seen <them>",),
        )
    )
    assert "<h1>A &lt;b&gt;</h1>" in page
    assert "z has seen &lt;them&gt;" in page
    assert "<td>2.000<br><small>[1.000, 3.000]</small></td><td>none</td><td>none</td>" in page
    assert "<td>MRE</td><td>px512</td>" in page
    assert "<td>MRE</td><td>mm</td>" not in page, "a metric that no run has is left out"
    assert "mre_px512" not in page, "metrics have the names that the other pages give them"
