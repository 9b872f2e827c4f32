"""A registered model behind `mlflow models serve`: responses to films and to invalid requests over HTTP."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pytest
import requests
from dicoms import PLANTED_WORDS, dataset, dicom, file_bytes, gradient, with_identifiers
from mlflow.tracking import MlflowClient
from scoring_server import ScoringServer, scoring_server
from small_models import SAME_CORNER_PX, unet_bundle
from stores import store_in

import spondylo_ml
from benchmarks.serving_load import main as measure_load
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.serving.artefact import log_bundle
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.film_result import COLUMNS
from spondylo_ml.serving.model_address import REGISTERED_MODEL

PIXELS = phantom_films(1, 4, 96).films[0].image.read()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
DICOM = dicom(gradient((96, 64)), ImagerPixelSpacing=[0.2, 0.1])
NOISE = np.random.default_rng(0).bytes(30 << 20)
FILM_VALUES = tuple(name for name in COLUMNS if name not in ("model", "error"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an SQLite store whose registry has a champion."""
    folder = tmp_path_factory.mktemp("registry")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(folder))
    try:
        experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            uri = log_bundle(unet_bundle(), step=1)
        version = mlflow.register_model(uri, REGISTERED_MODEL).version
        MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", version)
        yield mlflow.get_tracking_uri()
    finally:
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def in_process(store: str) -> FilmModel:
    return spondylo_ml.load("champion")


@pytest.fixture(scope="module")
def server(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoringServer]:
    folder = tmp_path_factory.mktemp("serving")
    with scoring_server(f"models:/{REGISTERED_MODEL}@champion", store, folder) as running:
        yield running


@pytest.fixture(scope="module")
def first(server: ScoringServer) -> dict[str, Any]:
    """The row of the good film, before any bad request was sent."""
    (row,) = rows_of(server.post(request(PNG)))
    return row


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def request(*cells: object) -> bytes:
    """A request body with one row per cell; bytes as base64."""
    return json.dumps(
        {"dataframe_records": [{"image": text(c) if isinstance(c, bytes) else c} for c in cells]}
    ).encode()


def rows_of(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text[:500]
    rows: list[dict[str, Any]] = answer.json()["predictions"]
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


def assert_same(value: Any, expected: Any) -> None:
    """Compare nested values; floats with a tolerance."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys()
        for name, expected_value in expected.items():
            assert_same(value[name], expected_value)
    elif isinstance(expected, list | tuple):
        assert len(value) == len(expected)
        for item, expected_item in zip(value, expected, strict=True):
            assert_same(item, expected_item)
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-5)
    else:
        assert value == expected


def assert_no_detail_of_the_server(answer: str, folder: Path) -> None:
    """The response holds no path, module name or traceback."""
    for word in ("Traceback", ".py", "site-packages", sys.prefix, str(Path.cwd()), str(folder), "root:"):
        assert word not in answer


def test_films_of_all_formats_in_one_request_give_the_values_of_the_python_interface(
    server: ScoringServer, in_process: FilmModel
) -> None:
    films = [JPEG, PNG, DICOM]
    rows = rows_of(server.post(request(*films)))
    assert [row["error"] for row in rows] == [None] * 3
    assert all(row["slips"] for row in rows)
    for row, result in zip(rows, in_process.predict(films), strict=True):
        expected = json.loads(json.dumps(result.to_row()))
        assert_same({name: row[name] for name in FILM_VALUES}, {name: expected[name] for name in FILM_VALUES})
    assert any("bodies would be" in text and "the spacing is ignored" in text for text in rows[2]["warnings"])
    assert all(slip["slip_mm"] is None for slip in rows[2]["slips"])


def test_dataframe_split_and_arrays_give_the_same_response(server: ScoringServer, first: dict[str, Any]) -> None:
    columns = ["image", "facing", "spacing_x_mm", "spacing_y_mm"]
    split = {"columns": columns, "index": [0], "data": [[text(PNG), None, None, None]]}
    for body in (json.dumps({"dataframe_split": split}).encode(), request(PIXELS.tolist())):
        (row,) = rows_of(server.post(body, "application/json; charset=utf-8"))
        assert_same(row, first)


def decompression_bomb() -> bytes:
    """A small PNG whose header claims 60000 x 60000 px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BAD_FILMS = {
    "nothing": ("", "not an image that can be read"),
    "null": (None, "the row has nothing in image"),
    "a number": (3, "image holds a int"),
    "no grey levels": ([["a"]], "(height, width) grey levels are needed"),
    "30 MB of noise": (NOISE, "not an image that can be read"),
    "a bomb": (decompression_bomb(), "a film of 60000 x 60000 px: more than the 50 million px"),
    "half a film": (PNG[: len(PNG) // 2], "broken"),
    "a path": ("/etc/passwd", "the text is not base64; a path is not opened"),
    "a path with its scheme": ("file:/etc/passwd", "paths are not opened here: send the film's bytes as base64"),
    "an address": ("http://127.0.0.1/film.png", "the text is not base64"),
    "three frames": (dicom(gradient(), NumberOfFrames=3), "a DICOM file of 3 frames"),
}


@pytest.mark.parametrize("name", BAD_FILMS)
def test_a_bad_film_has_its_error_in_its_row_and_the_others_are_correct(
    server: ScoringServer, first: dict[str, Any], name: str
) -> None:
    cell, message = BAD_FILMS[name]
    answer = server.post(request(PNG, cell, PNG))
    before, bad, after = rows_of(answer)
    assert message in bad["error"]
    assert {column for column, value in bad.items() if value is not None} == {"model", "error"}
    for good in (before, after):
        # In a batch the network sums in another order, which moves the peaks of untrained, flat maps; intervals are
        # computed from these corners and differ as much.
        np.testing.assert_allclose(good["corners_xy_px"], first["corners_xy_px"], atol=SAME_CORNER_PX)
        assert (good["film_key"], good["error"]) == (first["film_key"], None)
    assert_no_detail_of_the_server(answer.text, server.log.parent)
    (again,) = rows_of(server.post(request(PNG)))
    assert_same(again, first)


def body(tree: object) -> bytes:
    return json.dumps(tree).encode()


JSON = "application/json"
BAD_REQUESTS: dict[str, tuple[bytes, str | None, int, str]] = {
    "no body": (b"", JSON, 400, r"the body cannot be read as JSON \(JSONDecodeError\)"),
    "an empty object": (b"{}", JSON, 400, "the body holds one table as dataframe_records or dataframe_split; given no"),
    "a list": (b"[]", JSON, 400, "given a JSON list"),
    "another key": (body({"inputs": [text(PNG)]}), JSON, 400, "given inputs. A request is, for example"),
    "two tables": (body({"dataframe_records": [], "dataframe_split": {}}), JSON, 400, "given dataframe_records, data"),
    "no rows": (body({"dataframe_records": []}), JSON, 400, "a table with the column 'image' is needed; given"),
    "no list of rows": (body({"dataframe_records": "x"}), JSON, 400, "must be a list of records"),
    "a row too long": (
        body({"dataframe_split": {"columns": ["image"], "data": [[1, 2]]}}),
        JSON,
        400,
        "1 columns passed",
    ),
    "wrong columns": (body({"dataframe_records": [{"img": text(PNG)}]}), JSON, 400, r"'image' is needed; given \['img"),
    "a column too many": (
        body({"dataframe_records": [{"image": text(PNG), "facin": "left"}]}),
        JSON,
        400,
        "unknown column 'facin'. Did you mean 'facing'",
    ),
    "a spacing in words": (
        body({"dataframe_records": [{"image": text(PNG), "spacing_x_mm": "a", "spacing_y_mm": "b"}]}),
        JSON,
        400,
        "Failed to convert column spacing_x_mm",
    ),
    "a spacing of 3 MB": (
        body({"dataframe_records": [{"image": text(PNG), "spacing_x_mm": "a" * 3_000_000, "spacing_y_mm": "b"}]}),
        JSON,
        400,
        "Failed to convert column spacing_x_mm",
    ),
    "too deep": (b"[" * 100_000, JSON, 400, r"cannot be read as JSON \(RecursionError\)"),
    "a number too long": (b'{"dataframe_records":[{"image":%s}]}' % (b"9" * 5000), JSON, 400, "cannot be read as JSON"),
    "half a character": (b'{"dataframe_records":[{"image":"\\ud800"}]}', JSON, 400, "Invalid input"),
    "30 MB of noise": (NOISE, JSON, 400, r"cannot be read as JSON \(UnicodeDecodeError\)"),
    "a film without a table": (PNG, "image/png", 415, "the content type must be application/json in UTF-8; given imag"),
    "no content type": (request(PNG), None, 415, "in UTF-8; given none"),
    "another encoding": (request(PNG), "application/json; charset=latin1", 415, "given application/json; charset=lat"),
    "a CSV": (b"image\n" + text(PNG).encode(), "text/csv", 415, "given text/csv"),
    "Parquet": (b"PAR1", "application/vnd.apache.parquet", 415, "given application/vnd.apache.parquet"),
    "too many films": (request(*[""] * 129), JSON, 413, "a request of 129 films: at most 128 films are read"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_request_without_a_table_of_films_is_refused_with_a_clear_message(
    server: ScoringServer, first: dict[str, Any], name: str
) -> None:
    body, content_type, status, message = BAD_REQUESTS[name]
    answer = server.post(body, content_type)
    assert answer.status_code == status, answer.text[:500]
    error = answer.json()
    assert set(error) == {"error_code", "message"}
    assert re.search(message, error["message"]), error["message"]
    assert len(answer.content) < 1500, "the request is not echoed"
    assert_no_detail_of_the_server(answer.text, server.log.parent)
    (again,) = rows_of(server.post(request(PNG)))
    assert_same(again, first)


def test_identifiers_in_a_film_are_neither_returned_nor_logged(server: ScoringServer) -> None:
    planted = file_bytes(with_identifiers(dataset(gradient((96, 64)))))
    truncated = planted[: len(planted) // 2]
    answer = server.post(request(planted, truncated))
    good, bad = rows_of(answer)
    assert good["error"] is None
    assert bad["error"]
    server.post(planted)
    output = answer.text + server.log.read_text()
    assert [word for word in PLANTED_WORDS if word in output] == []


def test_concurrent_clients_get_the_responses_of_a_single_one(server: ScoringServer, first: dict[str, Any]) -> None:
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: server.post(request(PNG)), range(18)))
    for answer in answers:
        (row,) = rows_of(answer)
        assert_same(row, first)


def test_the_load_benchmark_prints_a_row_per_client_count(server: ScoringServer, capsys: Any) -> None:
    assert measure_load([f"--url={server.url}", "--clients=1,3", "--requests=6", "--long-side-px=64"]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if re.match(r"\| +\d", line)]
    assert [(int(row[0]), int(row[1]), int(row[2])) for row in rows] == [(1, 6, 0), (3, 6, 0)]
    assert all(0 < float(row[3]) <= float(row[4]) and float(row[5]) > 0 for row in rows)
    assert measure_load([f"--url={server.url[:-3]}", "--long-side-px=64"]) == 1
    assert "no result from" in (output := capsys.readouterr().out)
    assert "status 404" in output
    with pytest.raises(SystemExit):
        measure_load(["--url=http://example.org/invocations"])
    assert "--url must be on this machine" in capsys.readouterr().err


def test_the_requests_in_the_documentation_work(server: ScoringServer, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    (tmp_path / "film.dcm").write_bytes(DICOM)
    (shell,), (python,) = (re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) for language in ("bash", "python"))
    for program, code in (("bash", shell), (sys.executable, python)):
        assert "http://127.0.0.1:5000/invocations" in code
        if "curl" in code and shutil.which("curl") is None:
            continue
        code = code.replace("http://127.0.0.1:5000/invocations", server.url)
        process = subprocess.run([program, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert process.returncode == 0, process.stderr
        assert "slip_percent" in process.stdout


def test_the_server_logged_no_traceback(server: ScoringServer) -> None:
    assert "Traceback" not in server.log.read_text()
