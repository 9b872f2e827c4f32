"""The URI of the tracking store: what it names, and how it is shown. Imports no MLflow, which takes seconds."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlparse

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SERVERS = ("postgresql", "mysql")
"""Databases whose drivers know `connect_timeout`."""


def shown(uri: str) -> str:
    """The URI as it may be shown: without a password."""
    database = database_url(uri)
    if database is not None:
        return database.render_as_string(hide_password=True)
    parts = urlparse(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri


def database_url(uri: str) -> URL | None:
    """The URI of a database; None for a server, a folder, or what is no URI."""
    try:
        url = make_url(uri)
    except ArgumentError:
        return None
    return url if url.get_backend_name() in ("sqlite", "mssql", *SERVERS) else None


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other."""
    url = database_url(uri)
    if url is None or url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).absolute()


def usual_uri() -> str:
    """The store of a new process, found without MLflow: that of the environment, or `mlflow.db` in this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
