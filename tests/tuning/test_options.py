"""Invalid options of a study, and databases that cannot hold one."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from spondylo_ml.config import validate
from spondylo_ml.errors import ConfigError
from tuning.options import StudyOptions
from tuning.storage import open_storage, without_password


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_options_that_contradict_each_other_are_rejected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(StudyOptions, options)


def test_the_objectives_determine_the_directions() -> None:
    options = StudyOptions(objectives="sdr_6px, latency_ms", sampler="nsga2")  # type: ignore[arg-type]
    assert options.directions == ("maximize", "minimize")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("studies.db", r"'studies\.db' is not a database URL, such as sqlite:///studies\.db"),
        ("sqlit:///studies.db", "unknown database 'sqlit'. Did you mean 'sqlite'"),
        ("oracle://host/db", "unknown database 'oracle'. Allowed: sqlite, postgresql, grpc$"),
        ("sqlite://", "a study in memory cannot be resumed"),
    ],
)
def test_an_unusable_database_is_rejected(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_storage(url, 1)


def test_an_unreachable_database_is_reported_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL is reached through psycopg: pip install 'psycopg[binary]'")
    with pytest.raises(ConfigError, match=r"storage postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/x cannot be opened"):
        open_storage("postgresql+psycopg://me:secret@127.0.0.1:1/x", 1)
    assert "secret" not in without_password("postgresql://me:secret@host/x")


def test_a_database_of_mlflow_is_rejected_and_not_changed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(url).create_experiment("test")
    with pytest.raises(
        ConfigError, match=r"storage sqlite:.*mlflow\.db is MLflow's database: use a separate one for studies"
    ):
        open_storage(url, 1)
    assert [experiment.name for experiment in MlflowClient(url).search_experiments()] == ["test", "Default"]


def test_a_file_that_is_not_a_database_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "studies.db").write_text("films " * 1000)
    with pytest.raises(ConfigError, match=r"storage sqlite:.*studies\.db cannot be opened: DatabaseError"):
        open_storage(f"sqlite:///{tmp_path}/studies.db", 1)
