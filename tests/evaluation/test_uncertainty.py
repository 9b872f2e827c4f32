"""Uncertainty fitted on synthetic films with known errors and applied to others: coverage, sets, tables, JSON."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import plain_film, prediction_of, spineweb_folder
from uncertain_films import films_with_noise

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.meyerding import DEFAULT_RULES, Grade
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.synthetic import SLOTS
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slip_set import grade_limits
from spondylo_ml.evaluation.slips import predicted_vertebrae
from spondylo_ml.evaluation.uncertainty import (
    PROBABILITIES,
    CalibrationResult,
    UncertaintyModel,
    calibrate,
    level_table,
)
from spondylo_ml.evaluation.uncertainty_numbers import (
    KEPT_PERCENT,
    by_group,
    curve_points,
    referral,
    uncertainty_estimates,
)
from spondylo_ml.film_report.report import film_report

CONFIG = UncertaintyConfig(samples=100)


@pytest.fixture(scope="module")
def fitted() -> CalibrationResult:
    return calibrate(PredictionSet(*films_with_noise(150, 1)), DEFAULT_RULES, CONFIG)


@pytest.fixture(scope="module")
def new_levels(fitted: CalibrationResult) -> pd.DataFrame:
    """The levels of films that were not calibrated on."""
    return level_table(PredictionSet(*films_with_noise(150, 2)), fitted.model, DEFAULT_RULES)


def test_coverage_on_new_films_is_nominal(new_levels: pd.DataFrame, fitted: CalibrationResult) -> None:
    for table in (new_levels, fitted.levels):
        assert table["in_set"].count() > 600
        assert table["in_set"].mean() == pytest.approx(0.9, abs=0.04)
        grade_0 = table[table["true_grade"] == 0]
        assert grade_0["in_set"].mean() == pytest.approx(0.9, abs=0.04)
        assert (table["in_interval"].dropna() >= table["in_set"].dropna()).all()
    assert fitted.coverage_before[0.9] < 0.7 < 0.86 < fitted.coverage_after[0.9] < 0.94


def test_every_row_is_one_level_with_probabilities_that_sum_to_1(new_levels: pd.DataFrame) -> None:
    assert not new_levels.duplicated(["film_id", "level"]).any()
    sampled = new_levels["spread_percent"].notna()
    assert sampled.any()
    assert new_levels.loc[sampled, list(PROBABILITIES)].sum(axis=1).to_numpy() == pytest.approx(np.ones(sampled.sum()))
    with_interval = new_levels["low_percent"].notna()
    assert (new_levels.loc[with_interval, "low_percent"] <= new_levels.loc[with_interval, "pred_slip_percent"]).all()
    assert (new_levels["refer"] == new_levels["verdict"].str.endswith("refer")).all()
    assert (new_levels["refer"] | ~new_levels["grade_set"].str.contains(" ")).all()


@pytest.mark.slow
def test_a_level_whose_slip_set_spans_several_grades_is_referred(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(60, 8, 0.4, 0.3)
    table = level_table(PredictionSet(films, predictions), fitted.model, DEFAULT_RULES)
    table = table[table["low_percent"].notna()]
    not_referred = table[~table["refer"].astype(bool)]
    assert 8 < len(not_referred) < len(table)
    for row in not_referred.to_dict("records"):
        limits = grade_limits(DEFAULT_RULES, row["endplate_mm"])
        sizes = [abs(row["low_percent"]), abs(row["high_percent"])]
        assert row["verdict"] == f"grade {row['grade_set']}" == f"grade {Grade(int(row['pred_grade'])).label}"
        assert max(sizes) <= limits[int(row["pred_grade"]) + 1] + 1e-9
        if row["pred_grade"]:
            assert min(sizes) >= limits[int(row["pred_grade"])] - 1e-9
            assert row["low_percent"] * row["high_percent"] > 0
    assert (table["in_grade_set"] >= table["in_set"]).mean() > 0.999, (
        "the grade of a slip in the set is in the grade set"
    )


def test_levels_without_information_are_shown_as_not_known(new_levels: pd.DataFrame) -> None:
    unknown = new_levels[new_levels["low_percent"].isna() & new_levels["spread_percent"].notna()]
    assert len(unknown) > 5
    assert set(unknown["slip_set"]) == {"not known"}
    assert set(unknown["verdict"]) == {"not known, refer"}
    assert set(unknown["grade_set"]) == {"0 I II III IV V"}
    assert (new_levels["high_percent"] - new_levels["low_percent"]).max() <= 200
    numbers = uncertainty_estimates(new_levels, PatientBootstrap(new_levels["patient"].tolist(), 200))
    true = new_levels[new_levels["true_slip_percent"].notna()]
    assert numbers["slip_not_known_percent"].value == pytest.approx(100 * true["low_percent"].isna().mean())
    assert numbers["slip_set_coverage"].n == true["in_set"].notna().sum()


def test_intervals_are_wider_where_corners_are_less_certain(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(20, 3)
    certain_predictions = [
        replace(p, covariance_px2=p.covariance_px2 / 100) for p in predictions if p.covariance_px2 is not None
    ]
    ordinary, certain = (
        level_table(PredictionSet(films, predicted), fitted.model, DEFAULT_RULES)
        for predicted in (predictions, certain_predictions)
    )
    width = [(table["high_percent"] - table["low_percent"]).mean() for table in (ordinary, certain)]
    assert width[1] < width[0] / 2
    assert certain["refer"].mean() < ordinary["refer"].mean()


def test_the_levels_of_a_film_match_the_table_and_go_into_its_report(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(3, 4)
    table = level_table(PredictionSet(films, predictions), fitted.model, DEFAULT_RULES)
    for film, prediction in zip(films, predictions, strict=True):
        levels = fitted.model.levels(film, prediction, DEFAULT_RULES)
        rows = table[(table["film_id"] == film.film_id) & table["spread_percent"].notna()].sort_values("upper_slot")
        assert [u.upper_slot for u in levels] == rows["upper_slot"].tolist()
        lows = rows["low_percent"].astype(object).where(rows["low_percent"].notna(), None)
        assert [u.low_percent for u in levels] == lows.tolist()
        assert [u.refer for u in levels] == rows["refer"].tolist()
        assert [u.verdict for u in levels] == rows["verdict"].tolist()
        assert all(u.coverage == 0.9 for u in levels)
        vertebrae = predicted_vertebrae(prediction)
        measured = measure_film(film, DEFAULT_RULES, vertebrae=vertebrae)
        report = film_report(film, measured, vertebrae=vertebrae, uncertainty=levels)
        assert report.uncertainty == levels


def test_unlabelled_films_have_intervals_and_ap_films_have_none(fitted: CalibrationResult, tmp_path: object) -> None:
    films, predictions = films_with_noise(2, 5)
    unlabelled = [replace(film, vertebrae=None) for film in films]
    table = level_table(PredictionSet(unlabelled, predictions), fitted.model, DEFAULT_RULES)
    assert table["low_percent"].notna().any()
    assert table["in_set"].isna().all()
    ap_films = read_folder(spineweb_folder(tmp_path / "ap"), "auto").films  # type: ignore[operator]
    ap_table = level_table(
        PredictionSet(ap_films, [prediction_of(film, SLOTS) for film in ap_films]), fitted.model, DEFAULT_RULES
    )
    assert len(ap_table) == 0
    assert "refer" in ap_table.columns


def test_a_missed_level_is_referred_and_counted(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(1, 6)
    nothing_present = [replace(p, presence=np.zeros(SLOTS.count)) for p in predictions]
    table = level_table(PredictionSet(films, nothing_present), fitted.model, DEFAULT_RULES)
    assert len(table) == len(films[0].vertebrae or ()) - 1
    assert table["refer"].all()
    assert set(table["verdict"]) == {"not known, refer"}
    numbers = uncertainty_estimates(table, PatientBootstrap([films[0].patient]))
    assert numbers["slip_set_coverage"].n == 0
    assert numbers["slip_set_coverage"].n_absent == len(table)
    assert numbers["referred_percent"].value == 100


def test_the_model_round_trips_through_json(fitted: CalibrationResult) -> None:
    assert UncertaintyModel.model_validate_json(fitted.model.model_dump_json()) == fitted.model


def test_an_impossible_calibration_is_an_error_that_says_why() -> None:
    films, predictions = films_with_noise(3, 1)
    with pytest.raises(DataError, match=r"\d+ measurable levels to calibrate slips on; 1000 are needed"):
        calibrate(PredictionSet(films, predictions), DEFAULT_RULES, UncertaintyConfig(least_levels=1000))
    with pytest.raises(DataError, match="no true corner has a predicted one with a covariance"):
        calibrate(PredictionSet(films, [replace(p, covariance_px2=None) for p in predictions]), DEFAULT_RULES, CONFIG)
    with pytest.raises(DataError, match="at least two patients"):
        calibrate(PredictionSet(films[:1], predictions[:1]), DEFAULT_RULES, CONFIG)


def _rows(*rows: tuple[str, float, float, float, bool]) -> pd.DataFrame:
    """Levels, each of its own film, from (level, true grade, predicted grade, its probability, referred)."""
    records = []
    for i, (level, true, pred, probability, refer) in enumerate(rows):
        probabilities = {name: 0.0 for name in PROBABILITIES} | {PROBABILITIES[int(pred)]: probability}
        records.append(
            {"film_id": f"f{i}", "patient": f"f{i}", "level": level, "true_slip_percent": 10 * true, "true_grade": true,
             "upper_slot": 1.0 if level == "L5/S1" else 2.0, "pred_slip_percent": 10 * pred, "pred_grade": pred,
             "low_percent": 0.0, "high_percent": 10.0 + i, "set_width_percent": 5.0 + i, "refer": refer,
             "in_set": float(true == pred), "in_interval": 1.0, "in_grade_set": 1.0, **probabilities}
        )  # fmt: skip
    return pd.DataFrame(records)


def test_the_estimates_match_a_hand_calculation() -> None:
    levels = _rows(
        ("L5/S1", 0, 0, 0.9, False), ("L5/S1", 1, 0, 0.6, True), ("L4/L5", 1, 1, 0.8, False), ("L4/L5", 0, 0, 0.7, True)
    )
    bootstrap = PatientBootstrap(levels["patient"].tolist(), 200)
    numbers = uncertainty_estimates(levels, bootstrap)
    assert numbers["slip_set_coverage"].value == 75
    assert numbers["slip_interval_coverage"].value == 100
    assert numbers["referred_percent"].value == 50
    assert numbers["grade_accuracy_not_referred"].value == 100
    assert numbers["grade_accuracy_referred"].value == 50
    assert numbers["slip_interval_width_percent"].value == pytest.approx(11.5)
    assert numbers["slip_set_width_percent"].value == pytest.approx(6.5)
    tables = by_group(levels, bootstrap)
    assert list(tables["uncertainty_by_level"]) == ["L5/S1", "L4/L5"]
    assert list(tables["uncertainty_by_grade"]) == ["grade 0", "grade I"]
    assert tables["uncertainty_by_grade"]["grade I"]["slip_set_coverage"].value == 50
    assert set(tables["referral"]) == {"all", "L5/S1", "L4/L5", "grade 0", "grade I"}
    never_found = levels.assign(upper_slot=levels["upper_slot"].where(levels["level"] != "L4/L5"))
    assert list(by_group(never_found, bootstrap)["uncertainty_by_level"]) == ["L5/S1", "L4/L5"]


def test_accuracy_rises_as_less_certain_levels_are_referred() -> None:
    levels = _rows(*(("L5/S1", float(i >= 8), 0.0, 1 - i / 20, False) for i in range(10)))
    curve = curve_points(referral(levels, PatientBootstrap(levels["patient"].tolist(), 200)))
    assert [share for share, _ in curve] == list(KEPT_PERCENT)
    assert [e.value for _, e in curve] == pytest.approx([100] * 8 + [800 / 9, 80])


def test_a_film_of_unknown_pixel_aspect_has_no_interval(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(1, 7)
    stretched = [replace(film, pixel_aspect=None, spacing=None) for film in films]
    assert fitted.model.levels(stretched[0], predictions[0], DEFAULT_RULES) == ()
    assert level_table(PredictionSet(stretched, predictions), fitted.model, DEFAULT_RULES)["refer"].all()
    assert fitted.model.levels(plain_film(), prediction_of(plain_film(), SLOTS), DEFAULT_RULES) == ()
