"""ROC of listhesis among readers: areas and points worked out by hand, and curves that cannot be drawn."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from builders import plain_film, prediction_of
from spines import stacked

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.listhesis_roc import Counts, ListhesisRoc, listhesis_roc, points_table
from spondylo_ml.evaluation.model_as_reader import compare_with_readers
from spondylo_ml.landmarks import Film, SlotRange
from spondylo_ml.pages.listhesis_chart import points_rows, roc_chart, roc_note

NAN = math.nan


def roc_of(grades: list[float], slips: list[float], resamples: int = 0) -> ListhesisRoc:
    patients = [str(index) for index in range(len(grades))]
    levels = pd.DataFrame({"true_grade": grades, "pred_slip_percent": slips})
    return listhesis_roc(levels, patients, {}, PatientBootstrap(patients, resamples))


def test_the_area_and_the_curve_of_four_levels_by_hand() -> None:
    # Of the four pairs of a level with listhesis and one without, only 8 % against -12 % is in the wrong order.
    roc = roc_of([0, 0, 1, 2, 1, 0, NAN], [3, -12, 8, 20, NAN, NAN, 50])
    assert (roc.auc.value, roc.auc.n, roc.auc.n_absent) == (0.75, 4, 2)
    assert roc.counts == Counts(n_with=2, n_without=2, n_withheld_with=1, n_withheld_without=1, n_ungraded=1)
    assert roc.curve["least_slip_percent"].tolist() == [math.inf, 20, 12, 8, 3]
    assert roc.curve["sensitivity_percent"].tolist() == [0, 50, 50, 100, 100]
    assert roc.curve["specificity_percent"].tolist() == [100, 100, 50, 50, 0]
    assert roc.reason == ""


def test_a_perfect_and_a_useless_slip() -> None:
    grades = [0.0, 0.0, 1.0, 1.0] * 10
    perfect = roc_of(grades, [1, 2, 8, 9] * 10, resamples=200)
    assert perfect.auc.value == 1
    assert np.isnan([perfect.auc.low, perfect.auc.high]).all(), "resampling cannot tell how far from 1 it may be"
    useless = roc_of(grades, [1, 9, 1, 9] * 10, resamples=200)
    assert useless.auc.value == 0.5
    assert useless.auc.low < 0.5 < useless.auc.high


@pytest.mark.parametrize(
    ("grades", "slips", "reason"),
    [
        ([0, 0], [1, 2], "the consensus has no level of grade I or more"),
        ([1, 2], [8, 20], "the consensus has no level of grade 0"),
        ([0, 1, 2], [1, NAN, NAN], r"the model withheld the slip of each of the 2 level\(s\) of grade I or more"),
        ([NAN], [8], "the consensus has no level of grade I or more"),
    ],
)
def test_without_both_kinds_of_levels_there_is_no_curve_but_a_reason(
    grades: list[float], slips: list[float], reason: str
) -> None:
    roc = roc_of(grades, slips, resamples=20)
    assert math.isnan(roc.auc.value)
    assert roc.curve.empty
    assert re.fullmatch(reason, roc.reason)
    assert f"No curve: {roc.reason}." in roc_note(roc)


def read(slips: tuple[float, ...]) -> list[Film]:
    return [plain_film(f"f{i}", stacked(slip), size_hw=(512, 400)) for i, slip in enumerate(slips)]


def test_each_reader_and_the_model_beside_are_points_against_the_consensus_of_the_others() -> None:
    # Grade I begins at 5 %. Reader A misses the 7 % of film 2, the model takes the 1 % of film 1 for 8 %.
    a, b = read((0.0, 1.0, 2.0, 30.0)), read((0.0, 1.0, 7.0, 30.0))
    predictions = [prediction_of(film, SlotRange(0, 2)) for film in read((0.0, 8.0, 9.0, 30.0))]
    model = compare_with_readers(
        {"A": a, "B": b}, predictions, ClinicalConfig(), PatientBootstrap([f"f{i}" for i in range(4)], 0)
    )
    assert model.roc is not None
    points = {
        (row.instead_of_reader, row.who, row.measure): (row.percent, row.n)
        for row in points_table(model.roc).itertuples()
    }
    # The others of A are B: two levels with listhesis, two without. The others of B are A: one and three.
    assert points == {
        ("A", "reader", "sensitivity"): (50, 2), ("A", "reader", "specificity"): (100, 2),
        ("A", "model", "sensitivity"): (100, 2), ("A", "model", "specificity"): (50, 2),
        ("B", "reader", "sensitivity"): (100, 1), ("B", "reader", "specificity"): (pytest.approx(200 / 3), 3),
        ("B", "model", "sensitivity"): (100, 1), ("B", "model", "specificity"): (pytest.approx(100 / 3), 3),
    }  # fmt: skip
    # The consensus of both is the mean: 0, 1, 4.5 and 30 %.
    assert model.roc.counts == Counts(1, 3, 0, 0, 0)
    assert model.roc.auc.value == 1
    assert points_rows(model.roc)[1][1].startswith("50.0")
    html = roc_chart(model.roc)
    assert "reader A" in html
    assert "model, others of B" in html


def test_a_level_that_the_model_withholds_is_in_no_point_and_counted() -> None:
    a = read((0.0, 30.0, 40.0))
    predictions = [prediction_of(film, SlotRange(0, 2)) for film in a]
    predictions[2].presence[1] = 0.0
    model = compare_with_readers(
        {"A": a, "B": a}, predictions, ClinicalConfig(), PatientBootstrap([f"f{i}" for i in range(3)], 0)
    )
    assert model.roc is not None
    assert model.roc.counts == Counts(1, 1, 1, 0, 0)
    for point in (model.roc.readers["A"], model.roc.model["A"]):
        assert (point.sensitivity.value, point.sensitivity.n, point.sensitivity.n_absent) == (100, 1, 1)
