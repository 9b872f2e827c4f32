"""The model as an MLflow pyfunc: all forms of a film, one row per film with its error, bad requests refused."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from dicoms import dicom, gradient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import predictions_to_json
from small_models import SAME_CORNER_PX, unet_bundle
from stores import store_in

from spondylo_ml.data.film_pixels import LIMITS
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.serving.artefact import OUTPUT, REQUIRED, SIGNATURE, log_bundle
from spondylo_ml.serving.film_result import COLUMNS

PIXELS = phantom_films(1, 4, 96).films[0].image.read()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a model logged to a new store."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(folder))
    try:
        experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            log_bundle(unet_bundle(), step=1)
        (path,) = (folder / "artifacts").rglob("MLmodel")
        return str(path.parent)
    finally:
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def model(logged: str) -> Any:
    return mlflow.pyfunc.load_model(logged)


def test_the_output_matches_the_logged_schema(model: Any) -> None:
    assert tuple(OUTPUT) == COLUMNS
    assert model.metadata.signature == SIGNATURE
    results = model.predict(pd.DataFrame({"image": [text(PNG)]}))
    assert tuple(results.columns) == COLUMNS
    assert results.iloc[0]["model"].startswith("unet, digest ")


def test_every_form_of_a_film_gives_the_same_result(model: Any) -> None:
    lines = base64.encodebytes(PNG).decode()  # lines of 76 characters, as MIME and the command base64 write them
    spaced = f" {text(PNG)[:40]}\t{text(PNG)[40:]} "
    cells = [
        text(PNG),
        PNG,
        PIXELS,
        PIXELS.tolist(),
        PIXELS.astype(np.int64),
        lines,
        lines.replace("\n", "\r\n"),
        spaced,
    ]
    rows = [model.predict(pd.DataFrame({"image": [cell]})).iloc[0] for cell in cells]
    rows += [row for _, row in model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)})).iterrows()]
    assert [row["error"] for row in rows] == [None] * 2 * len(cells)
    assert len({row["film_key"] for row in rows}) == 1
    for row in rows[1:]:  # a batch is summed in another order, and untrained maps are flat
        np.testing.assert_allclose(row["corners_xy_px"], rows[0]["corners_xy_px"], atol=SAME_CORNER_PX)


def test_bad_films_have_their_error_in_their_row_and_do_not_affect_others(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(PNG)
    bad = {
        "": "not an image that can be read",
        text(b"noise" * 99): "not an image that can be read",
        str(path): "not base64; a path is not opened unless",
        f"file:{path}": "paths are not opened here: send the film's bytes as base64",
        text(b"x" * (LIMITS.max_bytes + 1)): "MiB of the largest film|more than the 64 MiB that are read",
        text(dicom(gradient(), NumberOfFrames=3)): "a DICOM file of 3 frames",
    }
    cells = [text(PNG), *bad, text(PNG)]
    results = model.predict(pd.DataFrame({"image": cells}))
    assert len(results) == len(cells)
    assert results["error"].iloc[[0, -1]].tolist() == [None, None]
    for error, message in zip(results["error"].iloc[1:-1], bad.values(), strict=True):
        assert pd.Series([error]).str.contains(message).all(), error
    assert results.iloc[1:-1][["corners_xy_px", "slips", "film_key"]].isna().all(axis=None)
    np.testing.assert_allclose(results.iloc[0]["corners_xy_px"], results.iloc[-1]["corners_xy_px"], atol=SAME_CORNER_PX)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([[1, 2], [3]], "rows of the array differ in length"),
        ([1, 2, 3], r"1 axes and type .*: \(height, width\) grey levels are needed"),
        (3, "image holds a int: base64 text"),
        (None, "the row has nothing in image"),
    ],
)
def test_invalid_cells_are_reported(model: Any, cell: object, message: str) -> None:
    results = model.predict(pd.DataFrame({"image": pd.Series([cell, text(PNG)], dtype=object)}))
    assert pd.Series([results.iloc[0]["error"]]).str.contains(message).all(), results.iloc[0]["error"]
    assert results.iloc[1]["error"] is None


def test_facing_and_spacing_of_a_request_are_used_or_reported(model: Any) -> None:
    cells: dict[str, list[Any]] = {
        "facing": ["right", "up", None, "left", None],
        "spacing_x_mm": [0.2, None, 0.2, -1.0, None],
        "spacing_y_mm": [0.2, None, None, 0.2, None],
    }
    results = model.predict(pd.DataFrame({"image": [text(PNG)] * 5} | cells))
    assert results.iloc[0]["facing"] == "right"
    assert results["error"].iloc[1] == "facing must be one of left, right, none, unknown"
    assert results["error"].iloc[2] == "spacing_x_mm and spacing_y_mm must be given together or not at all"
    assert results["error"].iloc[3].startswith("pixel spacing must be positive")
    assert results["error"].iloc[4] is None


def test_paths_are_read_only_below_the_configured_folder(
    logged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for path in (films / "a.png", tmp_path / "outside.png"):
        path.write_bytes(PNG)
    (films / "link.png").symlink_to(tmp_path / "outside.png")
    cells = [
        "file:a.png",
        f"file://{films}/a.png",
        "file:../outside.png",
        "file:link.png",
        f"file:{tmp_path}/outside.png",
    ]
    by_config = mlflow.pyfunc.load_model(logged, model_config={"films_below": str(films)})
    monkeypatch.setenv("SPONDYLO_FILMS_BELOW", str(films))
    for model in (by_config, mlflow.pyfunc.load_model(logged)):
        errors = model.predict(pd.DataFrame({"image": cells}))["error"].tolist()
        assert errors == [None, None, *["the path lies outside the folder from which films are read here"] * 3]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"picture": ["x"]}), "image"),
        (pd.DataFrame({"image": []}), "the request holds no film"),
    ],
)
def test_a_request_without_a_table_of_films_is_refused(model: Any, table: pd.DataFrame, message: str) -> None:
    with pytest.raises(MlflowException, match=message) as error:
        model.predict(table)
    assert error.value.get_http_status_code() == 400


def test_an_unknown_column_is_named_with_the_nearest(model: Any) -> None:
    python_model = model.unwrap_python_model()
    with pytest.raises(MlflowException, match=r"unknown column 'facin'\. Did you mean 'facing'\?"):
        python_model.predict(None, pd.DataFrame({"image": [""], "facin": ["left"]}))
    with pytest.raises(MlflowException, match="a table with the column 'image' is needed; given list"):
        python_model.predict(None, ["x"])


def test_results_are_valid_json_as_the_server_writes_them(model: Any) -> None:
    stream = StringIO()
    predictions_to_json(model.predict(pd.DataFrame({"image": [text(PNG), "x"]})), stream)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    good, bad = json.loads(stream.getvalue(), parse_constant=refuse)["predictions"]
    assert tuple(good) == tuple(bad) == COLUMNS
    assert np.array(good["corners_xy_px"]).shape == (10, 4, 2)
    assert bad["error"]
    assert bad["slips"] is None


def test_a_tampered_artefact_does_not_load(logged: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = Path(shutil.copytree(logged, tmp_path / "copy"))
    (weights,) = copy.rglob("weights.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(Exception, match=r"weights\.safetensors was changed after it was saved"),
    ):
        mlflow.pyfunc.load_model(str(copy))


@pytest.mark.slow
def test_the_model_needs_only_its_own_code_and_its_listed_packages(logged: str, tmp_path: Path) -> None:
    code = f"""
import sys; sys.path = [p for p in sys.path if p]
import json, mlflow, pandas as pd
rows = mlflow.pyfunc.load_model({logged!r}).predict(pd.DataFrame({{"image": [{text(PNG)!r}]}}))
import spondylo_ml
print(json.dumps([spondylo_ml.__file__, rows.iloc[0]["error"], sorted({{m.split(".")[0] for m in sys.modules}})]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300
    )
    assert process.returncode == 0, process.stderr
    file, error, modules = json.loads(process.stdout.splitlines()[-1])
    assert file.startswith(logged), "the logged code is used"
    assert error is None
    listed = {re.split(r"[=<>]", line)[0] for line in (Path(logged) / "requirements.txt").read_text().splitlines()}
    assert listed >= set(REQUIRED)
    owners = packages_distributions()
    used = {
        normalised(owner)
        for module in modules
        for owner in owners.get(module, ())
        if normalised(owner) != "spondylo-ml"
    }
    assert "torch" in used
    # MLflow, Lightning, Pillow and pydicom use them if installed.
    optional = {"pip", "setuptools", "wheel", "psutil", "rich", "defusedxml", "pyjpegls"}
    assert used - with_dependencies(listed) - optional == set()


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_dependencies(names: set[str]) -> set[str]:
    """The distributions and all their dependencies, as installed here."""
    collected: set[str] = set()
    pending = [normalised(name) for name in names]
    while pending:
        name = pending.pop()
        if name in collected:
            continue
        collected.add(name)
        try:
            requirements = requires(name) or []
        except PackageNotFoundError:
            continue
        pending += [
            normalised(re.split(r"[\s\[;<>=!~(]", requirement)[0])
            for requirement in requirements
            if "extra ==" not in requirement
        ]
    return collected
