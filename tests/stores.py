"""Empty MLflow stores for tests, copied from one: MLflow creates the tables of a new store in hundreds of commits."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from mlflow.tracking import MlflowClient


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
