"""Slips and grades from predicted against true corners, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of
from spines import stacked

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, SlotRange, Spacing

SLOTS = SlotRange(0, 5)
DEFAULT_RULES = ClinicalConfig()


def film(name: str, *slips: float, facing: Facing = Facing.LEFT) -> Film:
    return plain_film(name, stacked(*slips), (600, 400), facing=facing)


def prediction(of: Film, *slips: float, presence: tuple[float, ...] | None = None) -> FilmPrediction:
    return prediction_of(replace(of, vertebrae=stacked(*slips)), SLOTS, presence=presence)


def agreement(films: list[Film], predictions: list[FilmPrediction]) -> dict[str, Estimate]:
    table = PredictionSet(films, predictions).slips(DEFAULT_RULES)
    return slip_agreement(table, table["film_id"].tolist(), PatientBootstrap([f.film_id for f in films], 50))


def test_a_row_a_level_with_slips_and_grades() -> None:
    one = film("a", 10.0, 30.0)
    table = PredictionSet([one], [prediction(one, 0.0, -20.0)]).slips(DEFAULT_RULES)
    assert list(table["level"]) == ["L5/S1", "L4/L5"]
    assert list(table["true_slip_percent"]) == pytest.approx([10, 30])
    assert list(table["pred_slip_percent"]) == pytest.approx([0, -20])
    assert list(table["true_grade"]) == [1, 2]
    assert list(table["pred_grade"]) == [0, 1]
    assert table[["true_slip_mm", "pred_slip_mm"]].isna().all(axis=None)


def test_agreement_is_worked_out_by_hand() -> None:
    films = [film("a", 10.0, 0.0), film("b", 30.0, 60.0)]
    predictions = [prediction(films[0], 12.0, 8.0), prediction(films[1], 20.0, 60.0)]
    made = agreement(films, predictions)  # off by 2, 8, -10, 0; grades 1 0 2 3 against 1 1 1 3
    value = {name: estimate.value for name, estimate in made.items()}
    assert value["slip_mae_percent"] == pytest.approx(5)
    assert value["slip_bias_percent"] == pytest.approx(0, abs=1e-9)
    spread = math.sqrt((4 + 64 + 100) / 3)
    assert value["slip_limit_low_percent"] == pytest.approx(-1.96 * spread)
    assert value["slip_limit_high_percent"] == pytest.approx(1.96 * spread)
    assert value["grade_accuracy"] == value["grade_accuracy_all"] == 50
    assert value["grade_within_1"] == 100
    assert (value["listhesis_sensitivity"], value["listhesis_specificity"]) == (100, 0)
    assert value["listhesis_auc"] == 1.0  # the only level without one has the smallest slip
    assert value["slip_withheld_percent"] == 0
    assert 0.9 < value["slip_icc_2_1"] < 1
    assert (made["slip_mae_percent"].n, made["listhesis_sensitivity"].n, made["listhesis_specificity"].n) == (4, 3, 1)


def test_a_level_of_a_vertebra_said_to_be_absent_is_withheld_and_counted() -> None:
    one = film("a", 10.0, 30.0)
    silent = prediction(one, 10.0, 30.0, presence=(1, 1, 0, 0, 0))
    table = PredictionSet([one], [silent]).slips(DEFAULT_RULES)
    assert table["pred_withheld"].tolist() == ["", "a vertebra was not found"]
    made = agreement([one], [silent])
    assert made["slip_mae_percent"].model_dump(include={"value", "n", "n_absent"}) == pytest.approx(
        {"value": 0, "n": 1, "n_absent": 1}
    )
    assert made["slip_withheld_percent"].value == 50
    assert made["grade_accuracy"].value == 100
    assert made["grade_accuracy_all"].value == 50
    assert made["listhesis_sensitivity"].n_absent == 1
    assert made["listhesis_specificity"].n_absent == 0


def test_a_stretched_film_has_no_true_slip_and_is_counted() -> None:
    one = replace(film("a", 10.0), pixel_aspect=None)
    table = PredictionSet([one], [prediction(one, 10.0)]).slips(DEFAULT_RULES)
    assert table["true_slip_percent"].isna().all()
    assert "stretched" in table["true_withheld"].iloc[0]
    assert agreement([one], [prediction(one, 10.0)])["slip_mae_percent"].n == 0


def test_millimetres_follow_where_the_spacing_is_known() -> None:
    one = replace(film("a", 10.0), spacing=Spacing(0.4, 0.4, "made"))
    made = agreement([one], [prediction(one, 15.0)])
    assert made["slip_mae_mm"].value == pytest.approx(5 * 0.4)  # 5 px of 100, at 0.4 mm
    assert math.isnan(agreement([film("a", 10.0)], [prediction(one, 15.0)])["slip_mae_mm"].value)


def test_ap_and_unlabelled_films_have_no_levels() -> None:
    films = [film("a", 10.0, facing=Facing.NONE), replace(film("b", 10.0), vertebrae=None)]
    predictions = [prediction(f, 10.0) for f in films]
    assert PredictionSet(films, predictions).slips(DEFAULT_RULES).empty
    assert PredictionSet(films[:1], predictions[:1]).facings.empty


def test_the_facing_told_by_predicted_corners_is_right_wrong_or_absent() -> None:
    left = film("a", 10.0, 10.0, 10.0)
    mirrored = plain_film("b", tuple(v.mirrored(400) for v in left.vertebrae or ()), (600, 400), facing=Facing.RIGHT)
    own = [prediction_of(f, SLOTS) for f in (left, mirrored)]
    both = PredictionSet([left, mirrored], own).facings["right"]
    assert both.iloc[0] == both.iloc[1], "a film and its mirror image are told alike"
    wrong = PredictionSet([replace(left, facing=Facing.RIGHT)], own[:1]).facings["right"]
    assert wrong.iloc[0] == 1 - both.iloc[0]
    silent = PredictionSet([left], [prediction_of(left, SLOTS, presence=np.zeros(5).tolist())]).facings["right"]
    assert silent.isna().all()
