"""The report as data: it obeys its schema, comes back as it was, and tells nothing about the patient."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from reports import SURE, film_with, report_of
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.film_report.report import (
    SCHEMA_FILE,
    FilmReport,
    film_key,
    film_report,
    report_from_json,
    report_schema,
    write_json,
)
from spondylo_ml.landmarks import Facing, Spacing


@pytest.fixture
def report() -> FilmReport:
    return report_of(replace(film_with(10.0, 0.0), spacing=Spacing(0.4, 0.4, "PixelSpacing")))


def test_the_schema_file_is_made_from_the_types() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == report_schema()


def test_the_json_comes_back_as_the_same_report(report: FilmReport, tmp_path: Path) -> None:
    tree = json.loads(write_json(report, tmp_path / "report.json").read_text(encoding="utf-8"))
    back = report_from_json(tree)
    assert back.to_json() == tree == report.to_json()
    assert back.measurement.levels[0].slip.value == pytest.approx(10.0)
    assert np.isnan(back.measurement.levels[0].other_slip.value)
    assert back.uncertainty == (SURE,)


@pytest.mark.parametrize("facing", [Facing.LEFT, Facing.UNKNOWN, Facing.NONE])
def test_reports_obey_the_schema_and_broken_ones_do_not(facing: Facing) -> None:
    tree = report_of(film_with(10.0, 0.0, facing=facing)).to_json()
    check = jsonschema.Draft202012Validator(report_schema())
    check.validate(tree)
    for key, value in (("film_key", 3), ("extra", 1), ("measurement", {})):
        assert not check.is_valid(tree | {key: value})


def test_absent_values_are_null_with_a_reason(report: FilmReport) -> None:
    tree = report.to_json()
    other = tree["measurement"]["levels"][0]["other_slip"]
    assert other["value"] is None
    assert other["reason"].startswith("the lower vertebra's inferior posterior corner is absent")
    assert tree["corners"][0]["corners_px"] == [[100.0, 500.0], [200.0, 500.0], None, None]
    assert [body["name"] for body in tree["corners"]] == ["S1", "L5", "L4"]


def test_the_film_is_named_by_its_pixels_alone(report: FilmReport) -> None:
    text = json.dumps(report.to_json())
    assert "secret" not in text
    assert "4711" not in text
    assert report.notice == FILM_NOTICE
    pixels = film_with(0.0).image.read()
    assert report.film_key == film_key(pixels)
    assert len(report.film_key) == 12
    assert film_key(pixels) != film_key(pixels.reshape(400, 640))
    assert film_key(pixels) != film_key(pixels[::-1])


def test_what_breaks_the_format_is_reported_with_its_place(report: FilmReport) -> None:
    tree = report.to_json()
    with pytest.raises(DataError, match="not a film report of this version: format 'x', this reads"):
        report_from_json(tree | {"format": "x"})
    broken = copy.deepcopy(tree)
    broken["measurement"]["levels"][0]["slip"] = "much"
    with pytest.raises(DataError, match=r"film report: measurement\.levels\.0\.slip: "):
        report_from_json(broken)


def test_uncertainty_of_a_level_that_is_not_there_is_refused() -> None:
    film = film_with(10.0)
    with pytest.raises(DataError, match=r"uncertainty is given for slots \[7\]; measured are \[1\]"):
        film_report(film, measure_film(film), uncertainty=[replace(SURE, upper_slot=7)])


def test_measured_vertebrae_may_be_others_than_the_film_s() -> None:
    film = replace(film_with(10.0), vertebrae=None)
    made = film_report(
        film, measure_film(film, vertebrae=stacked(30.0)), vertebrae=stacked(30.0), corners_from="a model"
    )
    assert made.corners[1].corners_px[0] == (70.0, 100.0)
    assert made.corners_from == "a model"
