"""Requests that are not sent to the real server of the tests: too large, or to a model that fails."""

from __future__ import annotations

import json
import logging
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from mlflow.pyfunc import scoring_server

from spondylo_ml.serving import http_requests
from spondylo_ml.serving.artefact import SIGNATURE
from spondylo_ml.serving.http_requests import MAX_BODY_BYTES, SERVER, answer, replace_mlflow_answer

BODY = b'{"dataframe_records": [{"image": ""}]}'


class Failing:
    """A model whose every prediction fails."""

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        raise RuntimeError("no memory for /films/Someone.png")


def accept(table: object) -> None:
    """Accept any table, also one of other columns than the model's."""


def respond(body: bytes) -> tuple[int, dict[str, Any]]:
    response, status, _ = answer(body, "application/json", Failing(), SIGNATURE.inputs, accept)
    return status, json.loads(response)


def test_a_too_large_body_is_refused_before_it_is_parsed() -> None:
    status, answer_json = respond(bytes(MAX_BODY_BYTES + 2**20))
    assert (status, answer_json["error_code"]) == (413, "CONTENT_TOO_LARGE")
    assert answer_json["message"] == "a request of 129.0 MiB: at most 128 MiB are read, send fewer at once"


TOO_MANY = {
    "films": ({"dataframe_records": [{"image": ""}] * 129}, "129 films: at most 128"),
    "rows": ({"dataframe_split": {"columns": ["image"], "data": [[""]] * 129}}, "129 films: at most 128"),
    "rows by column": ({"dataframe_split": {"data": {"image": [""] * 129}}}, "129 films: at most 128"),
    "rows by name": (
        {
            "dataframe_split": {
                "data": {"image": {f"{n}": "" for n in range(100)}, "b": {f"b{n}": "" for n in range(99)}}
            }
        },
        "199 films: at most 128",
    ),
    "index": ({"dataframe_split": {"columns": ["image"], "index": list(range(129)), "data": [[""]]}}, "129 films: at"),
    "columns": ({"dataframe_records": [{f"c{n}": 0} for n in range(128)]}, "128 columns: at most 16"),
    "column names": ({"dataframe_split": {"columns": [f"c{n}" for n in range(17)], "data": []}}, "17 columns: at most"),
    "cells": ({"dataframe_split": {"columns": ["image"], "data": [["", *range(17)]]}}, "18 columns: at most 16"),
    "cells without names": ({"dataframe_records": [list(range(17))]}, "17 columns: at most 16"),
}


@pytest.mark.parametrize("case", TOO_MANY)
def test_too_many_rows_or_columns_are_refused(case: str) -> None:
    table, reason = TOO_MANY[case]
    status, answer_json = respond(json.dumps(table).encode())
    assert (status, answer_json["error_code"]) == (413, "CONTENT_TOO_LARGE")
    assert f"a request of {reason}" in answer_json["message"]


def status_and_peak_bytes(body: bytes) -> tuple[int, int]:
    """Status of the answer to a request, and the most memory that it took."""
    tracemalloc.start()
    try:
        status, _ = respond(body)
        return status, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"dataframe_split": {"columns": ["image", "image"], "data": [["", ""]]}}', "has a name twice"),
        ('{"dataframe_records": [{"image": "", "facing": "left", "facing": "right"}]}', "has a name twice"),
        (
            '{"dataframe_records": [{"image": ""}, {"image": "", "spacing_x_mm": true}]}',
            "spacing_x_mm is a number; given",
        ),
        (
            '{"dataframe_split": {"columns": ["image", "spacing_y_mm"], "data": [["", false]]}}',
            "spacing_y_mm is a number; given true or false",
        ),
        ('{"dataframe_split": {"data": {"image": [""], "spacing_y_mm": [true]}}}', "spacing_y_mm is a number"),
    ],
)
def test_doubled_names_and_truth_values_in_place_of_numbers_are_refused(body: str, message: str) -> None:
    status, answer_json = respond(body.encode())
    assert (status, answer_json["error_code"]) == (400, "BAD_REQUEST")
    assert message in answer_json["message"]


def test_a_small_request_for_a_huge_table_costs_no_memory() -> None:
    body = json.dumps({"dataframe_records": [{f"c{n}": 0} for n in range(3000)]}).encode()
    status, peak_bytes = status_and_peak_bytes(body)
    assert status == 413
    assert peak_bytes < 5e6, "as a table it has 9 million cells"


NAMES = {
    "lists": [list(range(3000))],
    "objects": [{f"c{n}": 0} for n in range(3000)],
    "an object": {f"c{n}": 0 for n in range(3000)},
}


@pytest.mark.parametrize("part", ["columns", "index"])
@pytest.mark.parametrize("form", NAMES)
def test_names_of_several_levels_are_refused_before_they_become_a_huge_table(form: str, part: str) -> None:
    plain = {"columns": ["image"], "index": [0], "data": []}
    status, answer_json = respond(json.dumps({"dataframe_split": plain | {part: NAMES[form]}}).encode())
    assert (status, answer_json["error_code"]) == (400, "BAD_REQUEST")
    assert f"{part} of dataframe_split is a list of plain names; given lists or objects" in answer_json["message"]


def test_a_small_split_table_with_names_of_several_levels_costs_no_memory() -> None:
    levels = [list(range(3000))]
    body = json.dumps({"dataframe_split": {"columns": levels, "index": levels, "data": []}}).encode()
    status, peak_bytes = status_and_peak_bytes(body)
    assert status == 400
    assert peak_bytes < 5e6, "as a table it has 9 million cells"


def test_a_failing_model_gives_status_500_and_its_message_goes_to_the_log_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status, answer_json = respond(BODY)
    assert (status, answer_json["error_code"]) == (500, "INTERNAL_ERROR")
    assert answer_json["message"] == "the model failed (RuntimeError): the server's log says why"
    assert "Someone.png" in caplog.text


def test_requests_are_replaced_only_in_a_scoring_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = scoring_server.invocations
    assert not replace_mlflow_answer(accept)
    assert scoring_server.invocations is original
    monkeypatch.setitem(sys.modules, SERVER, ModuleType(SERVER))
    monkeypatch.setattr(scoring_server, "invocations", original)  # restored at the end
    assert replace_mlflow_answer(accept)
    assert scoring_server.invocations(BODY, None, Failing(), SIGNATURE.inputs).status == 415
    monkeypatch.delattr(scoring_server, "invocations")
    with caplog.at_level(logging.WARNING, logger=http_requests.__name__):
        assert not replace_mlflow_answer(accept)
    assert "this version of MLflow handles requests differently" in caplog.text
