"""Requests that are not sent to the real server of the tests: too large, or to a model that fails."""

from __future__ import annotations

import json
import logging
import sys
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
    """Accept any table."""


def respond(body: bytes) -> tuple[int, dict[str, Any]]:
    response, status, _ = answer(body, "application/json", Failing(), SIGNATURE.inputs, accept)
    return status, json.loads(response)


def test_a_too_large_body_is_refused_before_it_is_parsed() -> None:
    status, answer_json = respond(bytes(MAX_BODY_BYTES + 2**20))
    assert (status, answer_json["error_code"]) == (413, "CONTENT_TOO_LARGE")
    assert answer_json["message"] == "a request of 129.0 MiB: at most 128 MiB are read, send fewer at once"


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
