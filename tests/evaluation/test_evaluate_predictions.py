"""The evaluation report: agrees with the training metrics, round-trips through files, and states its basis."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from builders import ap_corners, plain_film, prediction_of, square
from spines import stacked

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.strata import film_strata
from spondylo_ml.landmarks import CORNERS, PATIENT_CORNERS, Facing, Film, SlotRange, vertebrae_from_sacrum
from spondylo_ml.spacing import Spacing

SLOTS = SlotRange(0, 18)
DEFAULT_RULES = ClinicalConfig()
HEADER = ReportHeader("synthetic", "val", "0" * 64, resamples=100)


def films() -> list[Film]:
    lateral = [plain_film(f"film-{i}", stacked(10.0 * i, 30.0), (600, 400), patient=f"p{i // 2}") for i in range(4)]
    lateral = [replace(film, sex="F", age_years=60 + i) for i, film in enumerate(lateral)]
    lateral[0] = replace(lateral[0], spacing=Spacing(0.4, 0.4, "test"))
    spine = vertebrae_from_sacrum(ap_corners((400, 200))[::-1], first_slot=1)
    return [*lateral, plain_film("ap", spine, (400, 200), facing=Facing.NONE), plain_film("none", None)]


def predictions() -> PredictionSet:
    return PredictionSet(films(), [prediction_of(film, SLOTS, (2.0 * i, 1.0)) for i, film in enumerate(films())])


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return evaluate_predictions(predictions(), DEFAULT_RULES, HEADER)


def test_the_report_repeats_every_training_metric_with_the_same_value(report: EvaluationReport) -> None:
    for name, value in score(predictions()).items():
        if not name.startswith("n_"):
            assert math.isnan(value) or report.numbers[name].value == value, name


def test_the_report_states_its_films_rules_and_counts(report: EvaluationReport) -> None:
    assert (report.n_films, report.n_labelled, report.n_patients) == (6, 5, 3)
    assert report.rules_digest == rules_digest(DEFAULT_RULES)
    assert report.numbers["mre_px512"].n == len(predictions().corners) == 4 * (4 * 3 + 17)
    assert report.numbers["mre_px512"].n_patients == 3
    assert (report.numbers["mre_mm"].n, report.numbers["mre_mm"].n_absent) == (12, 104)
    assert report.counts["levels"] == 8
    assert report.counts["vertebrae"] == 29
    assert report.note == "Research software, not a medical device."


def test_the_ends_of_every_interval_are_in_order(report: EvaluationReport) -> None:
    with_interval = [e for e in report.numbers.values() if not math.isnan(e.low)]
    assert len(with_interval) > 30
    for estimate in with_interval:
        assert estimate.low <= estimate.high


def test_tables_break_down_by_level_corner_and_film_attributes(report: EvaluationReport) -> None:
    tables = report.tables
    assert list(tables["by_level"])[:3] == ["S1", "L5", "L4"]
    assert tables["by_level"]["S1"]["mre_px512"].n == 16
    assert list(tables["by_corner"]) == [*PATIENT_CORNERS, *CORNERS], "AP films have no anterior side"
    assert tables["by_corner"]["superior_anterior"]["mre_px512"].n == 12
    assert tables["by_corner"]["superior_left"]["mre_px512"].n == 17
    assert set(tables["by_facing"]) == {"left", "none"}
    assert set(tables["by_sex"]) == {"F", "unknown"}
    assert tables["by_age_band"]["60-69"]["mre_px512"].n == 48
    assert list(tables["slips_by_level"]) == ["L5/S1", "L4/L5"]
    assert list(tables["slips_by_grade"]) == ["grade 0", "grade I", "grade II"]
    n = sum(row["mre_px512"].n for row in tables["by_level"].values())
    assert n == report.numbers["mre_px512"].n


def test_corners_are_grouped_as_anterior_or_posterior_whichever_way_the_film_faces() -> None:
    """A model that misses anterior corners by 3 px and posterior ones by 1 px, on a film and its mirror image."""
    film = plain_film("a", stacked(0.0, 30.0), (512, 512))
    films = [
        film,
        replace(film.mirrored_labels(), film_id="b", patient="b"),
        replace(film, film_id="c", patient="c", facing=Facing.UNKNOWN),
    ]
    shifted = [prediction_of(film, SLOTS) for film in films]
    for prediction, anterior in zip(shifted, ([0, 2], [1, 3], [0, 2]), strict=True):
        prediction.corners_xy[:, :, 1] += 1.0
        prediction.corners_xy[:, anterior, 1] += 2.0
    table = evaluate_predictions(PredictionSet(films, shifted), DEFAULT_RULES, HEADER).tables["by_corner"]
    errors = {name: round(row["mre_px512"].value, 6) for name, row in table.items()}
    assert errors == {
        "superior_anterior": 3,
        "superior_posterior": 1,
        "inferior_anterior": 3,
        "inferior_posterior": 1,
        "superior_left": 3,
        "superior_right": 1,
        "inferior_left": 3,
        "inferior_right": 1,
    }
    assert {name: row["mre_px512"].n for name, row in table.items()} == dict.fromkeys(PATIENT_CORNERS, 6) | (
        dict.fromkeys(CORNERS, 3)
    )


def test_age_bands_and_levels_are_listed_in_order() -> None:
    ages = (72, None, 33, 65, 45, 51)
    films = [
        replace(plain_film(f"f{i}", stacked(0.0, 10.0, 20.0), (600, 512)), patient=f"p{i}", age_years=age)
        for i, age in enumerate(ages)
    ]
    exact = PredictionSet(films, [prediction_of(film, SLOTS) for film in films])
    tables = evaluate_predictions(exact, DEFAULT_RULES, HEADER).tables
    assert list(tables["by_age_band"]) == ["under 40", "40-49", "50-59", "60-69", "70 and over", "unknown"]
    assert list(tables["slips_by_level"]) == ["L5/S1", "L4/L5", "L3/L4"]


def test_slips_and_cobb_angles_of_moved_films_are_right(report: EvaluationReport) -> None:
    numbers = report.numbers
    assert numbers["slip_mae_percent"].value == pytest.approx(0, abs=1e-9)
    assert numbers["grade_accuracy"].value == 100
    assert numbers["cobb_smape_percent"].n == 1
    assert (numbers["cobb_smape_percent"].value, numbers["cobb_cmae_deg"].value) == (0, 0)
    # The AP film, of 200 x 400 px, is moved by 8 and 1 px.
    assert numbers["nmse"].value == pytest.approx((8 / 200) ** 2 + (1 / 400) ** 2)
    assert numbers["nmse"].n == 68
    assert math.isnan(numbers["cobb_smape_percent"].low), "one patient has no interval"


def test_a_saved_report_loads_as_an_equal_one(report: EvaluationReport, tmp_path: Path) -> None:
    report.save(tmp_path / "report")
    loaded = EvaluationReport.load(tmp_path / "report")
    assert loaded == report
    assert loaded != report.model_copy(update={"seed": 1})
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"report.json", "numbers.csv", "anatomy.csv", "by_level.csv", "by_sex.csv", "slips_by_level.csv"} <= names


def test_the_csv_tables_hold_the_same_values_as_the_report(report: EvaluationReport) -> None:
    files = report.files()
    table = pd.read_csv(io.StringIO(files["anatomy.csv"])).set_index(["group", "name"])
    for kind, numbers in report.tables["anatomy"].items():
        for name, estimate in numbers.items():
            row = table.loc[(kind, name)]
            assert row["value"] == pytest.approx(estimate.value, nan_ok=True)
            assert (row["n"], row["n_absent"]) == (estimate.n, estimate.n_absent)
    json.loads(files["report.json"], parse_constant=lambda name: pytest.fail(f"{name} is not valid JSON"))


def test_the_same_seed_gives_the_same_report() -> None:
    first, second = (evaluate_predictions(predictions().select([0, 1]), DEFAULT_RULES, HEADER) for _ in range(2))
    assert first == second


def test_films_without_labels_are_rejected() -> None:
    film = plain_film("a", None)
    with pytest.raises(DataError, match="synthetic val: no film has labels; there is nothing to measure"):
        evaluate_predictions(PredictionSet([film], [prediction_of(film, SLOTS)]), DEFAULT_RULES, HEADER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no evaluation report"),
        ("{", "holds no evaluation report"),
        ('{"format": 9}', "report format 9, this version reads 1"),
        ("[]", "report format None, this version reads 1"),
        ('{"format": 1, "dataset": 3}', r"report\.json is damaged: "),
    ],
)
def test_a_folder_without_a_valid_report_is_rejected(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        EvaluationReport.load(tmp_path)


@pytest.mark.parametrize(
    ("sex", "age", "strata"),
    [
        ("F", 73, ("F", "70 and over")),
        ("M", 39, ("M", "under 40")),
        ("M", 40, ("M", "40-49")),
        ("", None, ("unknown", "unknown")),
    ],
)
def test_films_are_grouped_by_sex_and_age_band(sex: str, age: int | None, strata: tuple[str, str]) -> None:
    film = replace(plain_film("a", (square(0, 1, 1),)), sex=sex, age_years=age)
    (row,) = film_strata([film]).to_dict("records")
    assert (row["sex"], row["age_band"], row["source"], row["facing"]) == (*strata, "made", "left")


def test_instance_rates_are_also_given_in_px640(report: EvaluationReport) -> None:
    # Films of 600 px, shifted by (2i, 1): 1.1, 2.4, 4.4 and 6.5 px640. Nothing matches on the AP film, which is shifted
    # by 8 px: more than half the height of its bodies, 14 px.
    numbers = report.numbers
    lateral = 4 * len(stacked(0.0, 30.0))
    total = 4 * lateral + 68
    assert numbers["instance_sdr_5px640"].value == pytest.approx(100 * 3 * lateral / total)
    assert numbers["instance_sdr_10px640"].value == pytest.approx(100 * 4 * lateral / total)
    assert numbers["instance_sdr_15px640"].n == total
