"""Slips and grades of predicted and true corners, against hand calculations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of
from spines import stacked

from spondylo_ml.clinical.scale import STRETCHED
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, SlotRange
from spondylo_ml.spacing import Spacing

SLOTS = SlotRange(0, 5)
DEFAULT_RULES = ClinicalConfig()


def film(name: str, *slips: float, facing: Facing = Facing.LEFT) -> Film:
    return plain_film(name, stacked(*slips), (600, 400), facing=facing)


def prediction(on: Film, *slips: float, presence: tuple[float, ...] | None = None) -> FilmPrediction:
    return prediction_of(replace(on, vertebrae=stacked(*slips)), SLOTS, presence=presence)


def agreement(films: list[Film], predictions: list[FilmPrediction]) -> dict[str, Estimate]:
    table = PredictionSet(films, predictions).slips(DEFAULT_RULES)
    return slip_agreement(table, table["film_id"].tolist(), PatientBootstrap([f.film_id for f in films], 50))


def test_the_table_has_one_row_per_level_with_slips_and_grades() -> None:
    labelled = film("a", 10.0, 30.0)
    table = PredictionSet([labelled], [prediction(labelled, 0.0, -20.0)]).slips(DEFAULT_RULES)
    assert list(table["level"]) == ["L5/S1", "L4/L5"]
    assert list(table["true_slip_percent"]) == pytest.approx([10, 30])
    assert list(table["pred_slip_percent"]) == pytest.approx([0, -20])
    assert list(table["true_grade"]) == [1, 2]
    assert list(table["pred_grade"]) == [0, 1]
    assert table[["true_slip_mm", "pred_slip_mm"]].isna().all(axis=None)


def test_agreement_matches_a_hand_calculation() -> None:
    films = [film("a", 10.0, 0.0), film("b", 30.0, 60.0)]
    predictions = [prediction(films[0], 12.0, 8.0), prediction(films[1], 20.0, 60.0)]
    estimates = agreement(films, predictions)  # off by 2, 8, -10, 0; grades 1 0 2 3 against 1 1 1 3
    values = {name: estimate.value for name, estimate in estimates.items()}
    assert values["slip_mae_percent"] == pytest.approx(5)
    assert values["slip_bias_percent"] == pytest.approx(0, abs=1e-9)
    spread = math.sqrt((4 + 64 + 100) / 3)
    assert values["slip_limit_low_percent"] == pytest.approx(-1.96 * spread)
    assert values["slip_limit_high_percent"] == pytest.approx(1.96 * spread)
    assert values["slip_slope"] == pytest.approx(1820 / 2100)  # true 10, 0, 30, 60, predicted 12, 8, 20, 60
    assert values["grade_accuracy"] == values["grade_accuracy_all"] == 50
    assert values["grade_within_1"] == 100
    assert (values["listhesis_sensitivity"], values["listhesis_specificity"]) == (100, 0)
    assert values["listhesis_auc"] == 1.0  # the only level without one has the smallest slip
    assert values["slip_withheld_percent"] == 0
    assert 0.9 < values["slip_icc_2_1"] < 1
    assert (
        estimates["slip_mae_percent"].n,
        estimates["listhesis_sensitivity"].n,
        estimates["listhesis_specificity"].n,
    ) == (4, 3, 1)


def test_a_level_with_a_vertebra_predicted_absent_is_withheld_and_counted() -> None:
    labelled = film("a", 10.0, 30.0)
    incomplete = prediction(labelled, 10.0, 30.0, presence=(1, 1, 0, 0, 0))
    table = PredictionSet([labelled], [incomplete]).slips(DEFAULT_RULES)
    assert table["pred_withheld"].tolist() == ["", "a vertebra was not found"]
    estimates = agreement([labelled], [incomplete])
    assert estimates["slip_mae_percent"].model_dump(include={"value", "n", "n_absent"}) == pytest.approx(
        {"value": 0, "n": 1, "n_absent": 1}
    )
    assert estimates["slip_withheld_percent"].value == 50
    assert estimates["grade_accuracy"].value == 100
    assert estimates["grade_accuracy_all"].value == 50
    assert estimates["listhesis_sensitivity"].n_absent == 1
    assert estimates["listhesis_specificity"].n_absent == 0


def test_a_stretched_film_has_no_true_slip() -> None:
    labelled = replace(film("a", 10.0), pixel_aspect=None)
    table = PredictionSet([labelled], [prediction(labelled, 10.0)]).slips(DEFAULT_RULES)
    assert table["true_slip_percent"].isna().all()
    assert table["true_withheld"].iloc[0] == STRETCHED
    assert agreement([labelled], [prediction(labelled, 10.0)])["slip_mae_percent"].n == 0


def test_slips_are_in_mm_where_the_spacing_is_known() -> None:
    labelled = replace(film("a", 10.0), spacing=Spacing(0.4, 0.4, "test"))
    estimates = agreement([labelled], [prediction(labelled, 15.0)])
    assert estimates["slip_mae_mm"].value == pytest.approx(5 * 0.4)  # 5 px of 100, at 0.4 mm
    assert math.isnan(agreement([film("a", 10.0)], [prediction(labelled, 15.0)])["slip_mae_mm"].value)


def test_ap_and_unlabelled_films_have_no_levels() -> None:
    films = [film("a", 10.0, facing=Facing.NONE), replace(film("b", 10.0), vertebrae=None)]
    predictions = [prediction(f, 10.0) for f in films]
    assert PredictionSet(films, predictions).slips(DEFAULT_RULES).empty
    assert PredictionSet(films[:1], predictions[:1]).facings.empty


def test_the_facing_inferred_from_predicted_corners_is_right_wrong_or_absent() -> None:
    left = film("a", 10.0, 10.0, 10.0)
    mirrored = plain_film("b", tuple(v.mirrored(400) for v in left.vertebrae or ()), (600, 400), facing=Facing.RIGHT)
    exact = [prediction_of(f, SLOTS) for f in (left, mirrored)]
    both = PredictionSet([left, mirrored], exact).facings["right"]
    assert both.iloc[0] == both.iloc[1], "a film and its mirror image get the same answer"
    wrong = PredictionSet([replace(left, facing=Facing.RIGHT)], exact[:1]).facings["right"]
    assert wrong.iloc[0] == 1 - both.iloc[0]
    nothing_present = PredictionSet([left], [prediction_of(left, SLOTS, presence=np.zeros(5).tolist())]).facings[
        "right"
    ]
    assert nothing_present.isna().all()
