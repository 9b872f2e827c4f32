"""What MLflow's pages show of a part of the films."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from builders import plain_film, square
from mlflow.store.tracking.dbmodels.models import SqlDataset
from sqlalchemy import event
from stores import store_in

from spondylo_ml.data.films import digest
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.tracking.film_dataset import FilmDataset, dataset_of_metrics, profile_of
from spondylo_ml.tracking.provenance import log_dataset


def test_a_dataset_has_a_profile_a_schema_and_the_digest_of_its_films() -> None:
    films = phantom_films(6, 0, 128)
    films = replace(films, films=tuple(replace(film, split="val") for film in films.films))
    whole = digest(films.part("val"), films.slots)
    stored = FilmDataset(films, "val", whole).to_dict()
    assert (stored["name"], stored["digest"]) == (f"{films.name}-val", whole[:36])
    profile = json.loads(stored["profile"])
    assert (profile["films"], profile["labelled"], profile["patients"]) == (6, 6, 6)
    assert profile["vertebrae"]["L5"] == 6
    assert 0 < sum(profile["grades"].values()) <= 6 * 9
    assert [column["name"] for column in json.loads(stored["schema"])["mlflow_colspec"]][:2] == ["film", "patient"]
    linked = dataset_of_metrics(films.name, "val", whole)
    assert (linked.name, linked.digest) == (stored["name"], stored["digest"])


def test_films_without_labels_are_counted_and_have_no_levels() -> None:
    films = [plain_film("a", (square(1, 5, 5),)), plain_film("b", ()), plain_film("c", None)]
    profile = profile_of(films)
    assert (profile["films"], profile["labelled"]) == (3, 2)
    assert sum(profile["vertebrae"].values()) == 1
    assert profile["grades"] == {}


def test_slips_are_counted_on_a_limited_number_of_films(monkeypatch: pytest.MonkeyPatch) -> None:
    films = phantom_films(6, 0, 128).films
    whole = profile_of(films)
    monkeypatch.setattr("spondylo_ml.tracking.film_dataset.MOST_GRADED_FILMS", 2)
    limited = profile_of(films)
    assert (whole["graded_films"], limited["graded_films"]) == (6, 2)
    assert limited["grades"] == profile_of([films[0], films[5]])["grades"]
    assert limited["vertebrae"] == whole["vertebrae"]


def test_two_runs_may_log_the_same_films_at_the_same_moment(tmp_path: Path) -> None:
    films = phantom_films(2, 0, 128)
    films = replace(films, films=tuple(replace(film, split="val") for film in films.films))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    columns = ("experiment_id", "name", "digest", "dataset_source_type", "dataset_source")
    logged_by_the_other: list[str] = []

    def log_before(_: object, __: object, row: SqlDataset) -> None:
        if logged_by_the_other:
            return
        logged_by_the_other.append(row.digest)
        with sqlite3.connect(tmp_path / "mlflow.db") as other:
            statement = f"INSERT INTO datasets (dataset_uuid, {', '.join(columns)}) VALUES ('other', ?, ?, ?, ?, ?)"
            other.execute(statement, [getattr(row, column) for column in columns])

    event.listen(SqlDataset, "before_insert", log_before)
    try:
        with mlflow.start_run() as active:
            log_dataset(films, ["val"])
        (logged,) = mlflow.get_run(active.info.run_id).inputs.dataset_inputs
    finally:
        event.remove(SqlDataset, "before_insert", log_before)
        mlflow.set_tracking_uri(before)
    assert [logged.dataset.digest] == logged_by_the_other
