"""The URI of the tracking store: what it names and how it is shown. Does not import MLflow, which takes seconds."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlparse

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE, POSTGRESQL = "sqlite", "postgresql"


def uri_without_password(uri: str) -> str:
    """The URI without its password."""
    database = database_url(uri)
    if database is not None:
        return database.render_as_string(hide_password=True)
    parts = urlparse(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri


def database_url(uri: str) -> URL | None:
    """The URI parsed as that of an SQLite or PostgreSQL database; None for a server, a folder or any other text."""
    try:
        url = make_url(uri)
    except ArgumentError:
        return None
    return url if url.get_backend_name() in (SQLITE, POSTGRESQL) else None


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    url = database_url(uri)
    if url is None or url.get_backend_name() != SQLITE or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).absolute()


def usual_uri() -> str:
    """The store that a new process uses: `MLFLOW_TRACKING_URI`, or `mlflow.db` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
