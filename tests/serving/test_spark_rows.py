"""Rows for MLflow's Spark UDF have a value in every column, of the column's type."""

from __future__ import annotations

from mlflow.types import DataType
from mlflow.types.schema import Array
from small_models import unet_bundle

from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.serving.artefact import OUTPUT
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.film_result import COLUMNS
from spondylo_ml.serving.spark_rows import INSTEAD_OF_NONE, in_spark_task, without_none

PYTHON_TYPES = {DataType.string: str, DataType.boolean: bool}


def test_a_row_has_no_none_and_its_values_stay() -> None:
    good, bad = (
        result.to_row()
        for result in FilmModel(unet_bundle(), "m").predict([phantom_films(1, 4, 96).films[0], b"noise"])
    )
    assert without_none(good) == {**good, "error": ""}
    row = without_none(bad)
    assert row == {**INSTEAD_OF_NONE, "model": "m", "error": bad["error"]}
    assert tuple(row) == COLUMNS
    for name, kind in OUTPUT.items():
        expected = list if isinstance(kind, Array) else PYTHON_TYPES[kind]
        assert type(row[name]) is expected, name


def test_this_process_runs_no_task_of_spark() -> None:
    assert not in_spark_task()
