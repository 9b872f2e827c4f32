"""Empty MLflow stores for tests, copied from one: MLflow creates the tables of a new store in hundreds of commits.

Nor does any SQLite database wait for the disk. It need not survive a power cut in a test; it still survives the end of
each process that wrote to it, also by SIGKILL.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, event


@event.listens_for(Engine, "connect")
def _do_not_wait_for_the_disk(connection: object, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


MS_A_DAY = 24 * 3600 * 1000
NOW_MS = 20_000 * MS_A_DAY
"""The time from which the age of the runs of `add_run` counts."""

TRAINING_TAGS = {"git_commit": "c", "checkpoint_folder": "/nowhere", "model": "unet", "dataset": "phantom"}


def store_in(folder: Path) -> str:
    """The URI of the SQLite store of a folder; an empty one is made if the folder has none."""
    file = folder / "mlflow.db"
    if not file.exists():
        file.write_bytes(_empty_store())
    return f"sqlite:///{file}"


@cache
def _empty_store() -> bytes:
    """The file of a store with all tables and no experiment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{file}").search_experiments()
        connection = sqlite3.connect(file)
        # Whoever opens a copy creates the experiment Default again, with artefacts in its own current folder.
        connection.execute("DELETE FROM experiments")
        connection.commit()
        connection.close()
        return file.read_bytes()


def add_run(
    client: MlflowClient,
    name: str = "run",
    tags: Mapping[str, str] = TRAINING_TAGS,
    metrics: Mapping[str, float] | None = None,
    days_old: float = 100,
    status: str = "FINISHED",
    parent: str | None = None,
) -> str:
    """Add a run that ended so many days before `NOW_MS`, by default a training run; returns its id."""
    ended = round(NOW_MS - days_old * MS_A_DAY)
    all_tags = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
    run_id = str(client.create_run("0", start_time=ended - 1000, run_name=name, tags=all_tags).info.run_id)
    for metric, value in (metrics or {}).items():
        client.log_metric(run_id, metric, value)
    if status != "RUNNING":
        client.set_terminated(run_id, status, end_time=ended)
    return run_id
