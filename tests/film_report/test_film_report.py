"""The report as data: valid by its schema, written without loss, without patient data."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter
from reports import LEVEL_UNCERTAINTY, film_with, report_of
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import Measure, plain
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.film_report import report as report_module
from spondylo_ml.film_report.report import FilmReport, film_key, film_report, write_json
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing

SCHEMA = json.loads(Path(report_module.__file__).with_name("film_report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def report() -> FilmReport:
    return report_of(replace(film_with(10.0, 0.0), spacing=Spacing(0.4, 0.4, "PixelSpacing")))


def schema_of_types() -> dict[str, Any]:
    """JSON schema (2020-12) of a report, derived from its types."""
    schema = TypeAdapter(FilmReport).json_schema()
    measure = schema["$defs"][Measure.__name__]
    measure["properties"]["value"] = {"title": "Value", "type": ["number", "null"]}
    measure["required"] = ["value", "unit", "reason"]
    for part in (schema, *schema["$defs"].values()):
        part["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def test_the_schema_file_matches_the_types() -> None:
    assert SCHEMA == schema_of_types(), "write schema_of_types() to film_report.schema.json"


def test_the_json_file_holds_the_values_of_the_report(report: FilmReport, tmp_path: Path) -> None:
    tree = json.loads(write_json(report, tmp_path / "report.json").read_text(encoding="utf-8"))
    assert tree == report.to_json()
    (level, *_) = tree["measurement"]["levels"]
    assert level["slip"]["value"] == pytest.approx(10.0)
    assert level["other_slip"]["value"] is None
    assert tree["uncertainty"] == [plain(asdict(LEVEL_UNCERTAINTY))]


@pytest.mark.parametrize("facing", [Facing.LEFT, Facing.UNKNOWN, Facing.NONE])
def test_reports_are_valid_by_the_schema_and_broken_ones_are_not(facing: Facing) -> None:
    tree = report_of(film_with(10.0, 0.0, facing=facing)).to_json()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(tree)
    for key, value in (("film_key", 3), ("extra", 1), ("measurement", {})):
        assert not validator.is_valid(tree | {key: value})


def test_absent_values_are_null_with_a_reason(report: FilmReport) -> None:
    tree = report.to_json()
    other = tree["measurement"]["levels"][0]["other_slip"]
    assert other["value"] is None
    assert other["reason"].startswith("the lower vertebra's inferior posterior corner is absent")
    assert tree["corners"][0]["corners_px"] == [[100.0, 500.0], [200.0, 500.0], None, None]
    assert [body["name"] for body in tree["corners"]] == ["S1", "L5", "L4"]


def test_the_film_is_identified_only_by_a_digest_of_its_pixels(report: FilmReport) -> None:
    text = json.dumps(report.to_json())
    assert "secret" not in text
    assert "4711" not in text
    assert report.notice == FILM_NOTICE
    pixels = film_with(0.0).image.read()
    assert report.film_key == film_key(pixels)
    assert len(report.film_key) == 12
    assert film_key(pixels) != film_key(pixels.reshape(400, 640))
    assert film_key(pixels) != film_key(pixels[::-1])


def test_uncertainty_of_an_unmeasured_level_is_refused() -> None:
    film = film_with(10.0)
    with pytest.raises(DataError, match=r"uncertainty is given for slots \[7\]; measured are \[1\]"):
        film_report(film, measure_film(film), uncertainty=[replace(LEVEL_UNCERTAINTY, upper_slot=7)])


def test_measured_vertebrae_may_differ_from_the_labels_of_the_film() -> None:
    film = replace(film_with(10.0), vertebrae=None)
    report = film_report(
        film, measure_film(film, vertebrae=stacked(30.0)), vertebrae=stacked(30.0), corners_from="a model"
    )
    assert report.corners[1].corners_px[0] == (70.0, 100.0)
    assert report.corners_from == "a model"
