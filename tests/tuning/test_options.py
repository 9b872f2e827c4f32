"""What cannot be asked of a study, and which database it cannot be kept in."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from spondylo_ml.config import validate
from spondylo_ml.errors import ConfigError
from tuning.options import StudyOptions
from tuning.storage import open_storage, without_password


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"objectives": "mre_px512,latency_ms", "sampler": "nsga2", "pruner": "median"},
            "a study of two objectives cannot prune",
        ),
        ({"objectives": "mre_px512,latency_ms"}, "two objectives need sampler nsga2"),
        ({"sampler": "nsga2"}, "nsga2 is for two objectives, such as mre_px512,latency_ms"),
        ({"objectives": "mre_px512,mre_px512", "sampler": "random"}, "two objectives must differ"),
        ({"objectives": "latency_ms", "pruner": "median"}, "latency_ms is known only at the end"),
        ({"pruner": "wilcoxon"}, "pruner wilcoxon compares folds: set folds to 2 or more"),
        ({"trials": 0}, "trials: given 0"),
        ({"sampler": "tep"}, "Did you mean 'tpe'"),
        ({"objectives": "mre"}, r"objectives\.0: given 'mre'"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(StudyOptions, given)


def test_an_objective_has_its_direction() -> None:
    options = StudyOptions(objectives="sdr_6px, latency_ms", sampler="nsga2")  # type: ignore[arg-type]
    assert options.directions == ("maximize", "minimize")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("studies.db", r"'studies\.db' is no database URL, such as sqlite:///studies\.db"),
        ("sqlit:///studies.db", "no 'sqlit'. Did you mean 'sqlite'"),
        ("oracle://host/db", "no 'oracle'. Allowed: sqlite, postgresql$"),
        ("sqlite://", "a study in memory cannot be resumed"),
    ],
)
def test_a_database_that_cannot_be_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_storage(url, 1)


def test_a_database_that_does_not_answer_is_reported_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL is reached through psycopg: pip install 'psycopg[binary]'")
    with pytest.raises(ConfigError, match=r"storage postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/x cannot be opened"):
        open_storage("postgresql+psycopg://me:secret@127.0.0.1:1/x", 1)
    assert "secret" not in without_password("postgresql://me:secret@host/x")


def test_a_database_of_mlflow_is_reported_and_left_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(url).create_experiment("made")
    with pytest.raises(
        ConfigError, match=r"storage sqlite:.*mlflow\.db is MLflow's database: use a separate one for studies"
    ):
        open_storage(url, 1)
    assert [one.name for one in MlflowClient(url).search_experiments()] == ["made", "Default"]


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("films " * 1000)
    with pytest.raises(ConfigError, match=r"storage sqlite:.*studies\.db cannot be opened: DatabaseError"):
        open_storage(f"sqlite:///{tmp_path}/studies.db", 1)
