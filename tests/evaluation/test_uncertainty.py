"""Uncertainty fitted on synthetic films with made errors, of_new_films on others: coverage, sets, tables, JSON."""

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
from spondylo_ml.evaluation.slip_conformal import grade_limits
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

CONFIG = UncertaintyConfig(samples=200)


@pytest.fixture(scope="module")
def fitted() -> CalibrationResult:
    return calibrate(PredictionSet(*films_with_noise(150, 1)), DEFAULT_RULES, CONFIG)


@pytest.fixture(scope="module")
def of_new_films(fitted: CalibrationResult) -> pd.DataFrame:
    """The levels of other films."""
    return level_table(PredictionSet(*films_with_noise(150, 2)), fitted.model, DEFAULT_RULES)


def test_new_films_are_covered_as_stated(of_new_films: pd.DataFrame, fitted: CalibrationResult) -> None:
    for table in (of_new_films, fitted.levels):
        assert table["in_set"].count() > 600
        assert table["in_set"].mean() == pytest.approx(0.9, abs=0.04)
        usual = table[table["true_grade"] == 0]
        assert usual["in_set"].mean() == pytest.approx(0.9, abs=0.04)
        assert (table["in_interval"].dropna() >= table["in_set"].dropna()).all()
    assert fitted.coverage_before[0.9] < 0.7 < 0.86 < fitted.coverage_after[0.9] < 0.94


def test_every_row_is_one_level_with_probabilities_that_add_to_one(of_new_films: pd.DataFrame) -> None:
    assert not of_new_films.duplicated(["film_id", "level"]).any()
    sampled = of_new_films["spread_percent"].notna()
    assert sampled.any()
    assert of_new_films.loc[sampled, list(PROBABILITIES)].sum(axis=1).to_numpy() == pytest.approx(
        np.ones(sampled.sum())
    )
    known = of_new_films["low_percent"].notna()
    assert (of_new_films.loc[known, "low_percent"] <= of_new_films.loc[known, "pred_slip_percent"]).all()
    assert (of_new_films["refer"] == of_new_films["verdict"].str.endswith("refer")).all()
    assert (of_new_films["refer"] | ~of_new_films["grade_set"].str.contains(" ")).all()


def test_no_level_is_left_to_itself_whose_slips_have_other_grades(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(150, 8, 0.4, 0.3)
    table = level_table(PredictionSet(films, predictions), fitted.model, DEFAULT_RULES)
    table = table[table["low_percent"].notna()]
    alone = table[~table["refer"].astype(bool)]
    assert 20 < len(alone) < len(table)
    for row in alone.to_dict("records"):
        limits = grade_limits(DEFAULT_RULES, row["endplate_mm"])
        sizes = [abs(row["low_percent"]), abs(row["high_percent"])]
        assert row["verdict"] == f"grade {row['grade_set']}" == f"grade {Grade(int(row['pred_grade'])).label}"
        assert max(sizes) <= limits[int(row["pred_grade"]) + 1] + 1e-9
        if row["pred_grade"]:
            assert min(sizes) >= limits[int(row["pred_grade"])] - 1e-9
            assert row["low_percent"] * row["high_percent"] > 0
    assert (table["in_grade_set"] >= table["in_set"]).mean() > 0.999, "the grade of a slip in the set is left"


def test_slips_of_which_nothing_is_known_are_shown_as_such(of_new_films: pd.DataFrame) -> None:
    unknown = of_new_films[of_new_films["low_percent"].isna() & of_new_films["spread_percent"].notna()]
    assert len(unknown) > 5
    assert set(unknown["slip_set"]) == {"not known"}
    assert set(unknown["verdict"]) == {"not known, refer"}
    assert set(unknown["grade_set"]) == {"0 I II III IV V"}
    assert (of_new_films["high_percent"] - of_new_films["low_percent"]).max() <= 200
    numbers = uncertainty_estimates(of_new_films, PatientBootstrap(of_new_films["patient"].tolist(), 200))
    true = of_new_films[of_new_films["true_slip_percent"].notna()]
    assert numbers["slip_not_known_percent"].value == pytest.approx(100 * true["low_percent"].isna().mean())
    assert numbers["slip_set_coverage"].n == true["in_set"].notna().sum()


def test_intervals_are_wider_where_corners_are_less_sure(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(20, 3)
    surer = [replace(p, covariance_px2=p.covariance_px2 / 100) for p in predictions if p.covariance_px2 is not None]
    usual, sure = (
        level_table(PredictionSet(films, some), fitted.model, DEFAULT_RULES) for some in (predictions, surer)
    )
    width = [(t["high_percent"] - t["low_percent"]).mean() for t in (usual, sure)]
    assert width[1] < width[0] / 3
    assert sure["refer"].mean() < usual["refer"].mean()


def test_a_film_s_levels_are_those_of_the_table_and_fit_into_its_report(fitted: CalibrationResult) -> None:
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
    bare = [replace(film, vertebrae=None) for film in films]
    table = level_table(PredictionSet(bare, predictions), fitted.model, DEFAULT_RULES)
    assert table["low_percent"].notna().any()
    assert table["in_set"].isna().all()
    ap = read_folder(spineweb_folder(tmp_path / "ap"), "auto").films  # type: ignore[operator]
    none = level_table(PredictionSet(ap, [prediction_of(film, SLOTS) for film in ap]), fitted.model, DEFAULT_RULES)
    assert len(none) == 0
    assert "refer" in none.columns


def test_a_level_that_was_not_found_is_referred_and_counted(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(1, 6)
    blind = [replace(p, presence=np.zeros(SLOTS.count)) for p in predictions]
    table = level_table(PredictionSet(films, blind), fitted.model, DEFAULT_RULES)
    assert len(table) == len(films[0].vertebrae or ()) - 1
    assert table["refer"].all()
    assert set(table["verdict"]) == {"not known, refer"}
    numbers = uncertainty_estimates(table, PatientBootstrap([films[0].patient]))
    assert numbers["slip_set_coverage"].n == 0
    assert numbers["slip_set_coverage"].n_absent == len(table)
    assert numbers["referred_percent"].value == 100


def test_the_model_survives_json(fitted: CalibrationResult) -> None:
    assert UncertaintyModel.model_validate_json(fitted.model.model_dump_json()) == fitted.model


def test_what_cannot_be_calibrated_says_why() -> None:
    films, predictions = films_with_noise(3, 1)
    with pytest.raises(DataError, match=r"\d+ measurable levels to calibrate slips on; 1000 are needed"):
        calibrate(PredictionSet(films, predictions), DEFAULT_RULES, UncertaintyConfig(least_levels=1000))
    with pytest.raises(DataError, match="no true corner has a predicted one with a covariance"):
        calibrate(PredictionSet(films, [replace(p, covariance_px2=None) for p in predictions]), DEFAULT_RULES, CONFIG)
    with pytest.raises(DataError, match="at least two patients"):
        calibrate(PredictionSet(films[:1], predictions[:1]), DEFAULT_RULES, CONFIG)


def _rows(*rows: tuple[str, float, float, float, bool]) -> pd.DataFrame:
    """Levels of a film each: level, true grade, predicted grade, its probability, referred."""
    made = []
    for i, (level, true, pred, probability, refer) in enumerate(rows):
        chances = {name: 0.0 for name in PROBABILITIES} | {PROBABILITIES[int(pred)]: probability}
        made.append(
            {"film_id": f"f{i}", "patient": f"f{i}", "level": level, "true_slip_percent": 10 * true, "true_grade": true,
             "upper_slot": 1.0 if level == "L5/S1" else 2.0, "pred_slip_percent": 10 * pred, "pred_grade": pred,
             "low_percent": 0.0, "high_percent": 10.0 + i, "set_width_percent": 5.0 + i, "refer": refer,
             "in_set": float(true == pred), "in_interval": 1.0, "in_grade_set": 1.0, **chances}
        )  # fmt: skip
    return pd.DataFrame(made)


def test_the_numbers_are_those_worked_out_by_hand() -> None:
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
    assert list(tables["uncertainty_by_grade"]) == ["grade 0", "grade 1"]
    assert tables["uncertainty_by_grade"]["grade 1"]["slip_set_coverage"].value == 50
    assert set(tables["referral"]) == {"all", "L5/S1", "L4/L5", "grade 0", "grade 1"}


def test_accuracy_rises_as_the_less_sure_are_referred() -> None:
    levels = _rows(*(("L5/S1", float(i >= 8), 0.0, 1 - i / 20, False) for i in range(10)))
    curve = curve_points(referral(levels, PatientBootstrap(levels["patient"].tolist(), 200)))
    assert [share for share, _ in curve] == list(KEPT_PERCENT)
    assert [e.value for _, e in curve] == pytest.approx([100] * 8 + [800 / 9, 80])


def test_a_film_of_unknown_stretch_has_no_interval(fitted: CalibrationResult) -> None:
    films, predictions = films_with_noise(1, 7)
    stretched = [replace(film, pixel_aspect=None, spacing=None) for film in films]
    assert fitted.model.levels(stretched[0], predictions[0], DEFAULT_RULES) == ()
    assert level_table(PredictionSet(stretched, predictions), fitted.model, DEFAULT_RULES)["refer"].all()
    assert fitted.model.levels(plain_film(), prediction_of(plain_film(), SLOTS), DEFAULT_RULES) == ()
