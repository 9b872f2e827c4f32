"""An unusable store is reported at once, where MLflow alone would retry for two minutes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from stores import store_in

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.tracking.store_uri import sqlite_file, uri_without_password

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _restored_uri() -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:////proc/a.db", r"sqlite:////proc/a\.db cannot be opened: /proc cannot be written"),
        ("sqlite:///{folder}/text.txt/a.db", r"text\.txt is a file, a folder is needed"),
        ("sqlite:///{folder}/text.txt", r"text\.txt cannot be opened: file is not a database"),
        ("sqlite:///{folder}", r"cannot be opened: .* is a folder"),
        ("sqlite://", r"is in memory and ends with this process: name a file"),
        ("postgresql://me:secret@127.0.0.1:1/db", r"postgresql://me:\*\*\*@127\.0\.0\.1:1/db cannot be opened"),
        ("http://me:secret@127.0.0.1:1", r"server http://me:\*\*\*@127\.0\.0\.1:1 does not answer \(ConnectionError\)"),
        ("nonsense://x", r"the MLflow store nonsense://x cannot be opened"),
    ],
)
def test_an_unusable_store_is_reported_in_one_line_without_its_password(tmp_path: Path, uri: str, message: str) -> None:
    (tmp_path / "text.txt").write_text("no database\n" * 200)
    mlflow.set_tracking_uri(uri.format(folder=tmp_path))
    with pytest.raises(TrackingError, match=message) as caught:
        require_store()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "set MLFLOW_TRACKING_URI" in str(caught.value)


@pytest.mark.slow
def test_a_store_that_another_process_writes_to_is_usable(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    assert require_store() == uri
    writer = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert require_store() == uri
    finally:
        writer.close()


def test_a_store_whose_tables_were_not_made_to_the_end_is_reported(tmp_path: Path) -> None:
    """As one is left by a process that was killed while MLflow made its tables."""
    uri = store_in(tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("DROP TABLE params")
        database.execute("CREATE TABLE _alembic_tmp_tags (a)")
        database.execute("UPDATE alembic_version SET version_num = '4465047574b1'")
    database.close()
    mlflow.set_tracking_uri(uri)
    with pytest.raises(TrackingError, match=r"not made to the end \(.*_alembic_tmp_tags.*\)\. If it is new, remove"):
        require_store()


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_all_can(tmp_path: Path) -> None:
    code = "from spondylo_ml.tracking.store_check import require_store; print(require_store())"
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=300)[0] for process in processes] == [f"{uri}\n"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_only_a_local_sqlite_store_has_a_file() -> None:
    assert sqlite_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite_file("sqlite:///b.db") == Path.cwd() / "b.db"
    for other in ("sqlite://", "sqlite:///:memory:", "postgresql://a/b", "http://a", "file:///a", "mlruns"):
        assert sqlite_file(other) is None
    assert uri_without_password("http://a:5000/x") == "http://a:5000/x"
