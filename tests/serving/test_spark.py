"""The script of docs/archive.md: a registered model reads an archive on Spark, as one process reads it."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pyarrow.parquet
import pytest
from mlflow.tracking import MlflowClient
from small_models import SAME_CORNER_PX, unet_bundle
from stores import store_in

from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.serving.artefact import log_bundle
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.serving.spark_rows import without_none

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="no pyspark: pip install -e '.[spark]'"),
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java, which Spark needs: apt-get install default-jre"),
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "archive.md"
NO_FILM = b"not a film"


@pytest.mark.slow
def test_2000_films_are_read_as_one_process_reads_them(tmp_path: Path) -> None:
    bundle, every_bad = unet_bundle(), 50
    store = _store_with(bundle, tmp_path)
    films = _archive(tmp_path / "films", {"2024-01": 1200, "2024-02": 800}, 96, every_bad)
    _read_on_spark(tmp_path, store)
    errors = _assert_as_one_process(_results(tmp_path, "2024-01") | _results(tmp_path, "2024-02"), films, bundle)
    assert errors == 2000 // every_bad


def _store_with(bundle: Bundle, folder: Path) -> str:
    """The URI of a store in which the model is the champion."""
    store, before = store_in(folder), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    try:
        experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            version = mlflow.register_model(log_bundle(bundle, step=1), REGISTERED_MODEL)
        MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", version.version)
    finally:
        mlflow.set_tracking_uri(before)
    return store


def _archive(folder: Path, counts: Mapping[str, int], side_px: int, every_bad: int) -> dict[str, bytes]:
    """Write synthetic films, and some files that are none, into the parts; content by part and name."""
    drawn = iter(phantom_films(sum(counts.values()), 4, side_px).films)
    files = {}
    for part, count in counts.items():
        (folder / part / "below").mkdir(parents=True)
        for number in range(count):
            png = cv2.imencode(".png", next(drawn).image.read())[1].tobytes()
            name = f"{part}/below/{number:04}.png"
            files[name] = NO_FILM if number % every_bad == 0 else png
            (folder / name).write_bytes(files[name])
    return files


def _read_on_spark(folder: Path, store: str) -> None:
    """Run the page's script, with two workers."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    (folder / "read_archive.py").write_text(script, encoding="utf-8")
    options = {
        "spark.ui.enabled": "false", "spark.log.level": "WARN",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
    }  # fmt: skip
    spec = find_spec("pyspark")
    assert spec is not None
    (home,) = spec.submodule_search_locations or ()
    process = subprocess.run(
        [
            f"{home}/bin/spark-submit", "--master", "local[2]",
            *(f"--conf={name}={value}" for name, value in options.items()), "read_archive.py",
        ],
        cwd=folder, capture_output=True, text=True, timeout=3600,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "MLFLOW_TRACKING_URI": store},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-10_000:]


def _results(folder: Path, part: str) -> dict[str, dict[str, Any]]:
    """The rows of a part by the film's path below `films`."""
    rows = pyarrow.parquet.read_table(folder / "results" / part).to_pylist()
    by_name = {row.pop("path").removeprefix(f"file:{folder}/films/"): row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def _assert_as_one_process(rows: Mapping[str, dict[str, Any]], films: Mapping[str, bytes], bundle: Bundle) -> int:
    """Compare the rows with the results of this process; returns the number of films that cannot be read."""
    assert rows.keys() == films.keys()
    results = FilmModel(bundle, bundle.config.model.name).stream(films.values())
    expected = [without_none(result.to_row()) for result in results]
    for name, values in zip(films, expected, strict=True):
        assert rows[name]["model"].startswith(f"{values['model']}, digest ")
        _assert_same({**rows[name], "model": values["model"]}, values)
    return sum(values["error"] != "" for values in expected)


def _assert_same(value: Any, expected: Any) -> None:
    """Compare nested values; numbers with the tolerance for batches of different size."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys()
        for name, expected_value in expected.items():
            _assert_same(value[name], expected_value)
    elif isinstance(expected, list):
        assert len(value) == len(expected)
        for item, expected_item in zip(value, expected, strict=True):
            _assert_same(item, expected_item)
    elif isinstance(expected, float):
        np.testing.assert_allclose(value, expected, atol=SAME_CORNER_PX)
    else:
        assert value == expected or (expected is None and math.isnan(value))
