"""Checks, within seconds, that the tracking store can be used.

MLflow itself retries a database for two minutes before it reports that it cannot be reached.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.folders import require_writable
from spondylo_ml.tracking.store_uri import POSTGRESQL, SQLITE, database_url, sqlite_file, uri_without_password

PREFLIGHT_SECONDS = 5
OTHER_STORE = "set MLFLOW_TRACKING_URI (unset: a local mlflow.db)"


def require_store() -> str:
    """The URI of the store, after checking that it answers and is writable.

    Raises:
        TrackingError: the store does not answer within a few seconds, or cannot be opened or written.
    """
    uri = mlflow.get_tracking_uri()
    if urlparse(uri).scheme in ("http", "https"):
        _require_server(uri)
        return uri
    database = database_url(uri)
    if database is not None:
        _require_database(database)
    file = sqlite_file(uri)
    try:
        with _alone_in(file.resolve().parent) if file else nullcontext():
            MlflowClient().search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise _cannot_be_opened(uri, error) from None
    return uri


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process opens a store in this folder.

    MLflow makes the tables of a new store in hundreds of steps. Of several processes that do so at once most fail.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def store_name() -> str:
    """The URI of the current store, without its password."""
    return uri_without_password(mlflow.get_tracking_uri())


def _require_server(uri: str) -> None:
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=PREFLIGHT_SECONDS).raise_for_status()
    except requests.RequestException as error:
        reason = type(error).__name__
        raise TrackingError(
            f"the MLflow server {uri_without_password(uri)} does not answer ({reason}). Start it, or {OTHER_STORE}."
        ) from None


def _require_database(url: URL) -> None:
    """Connect once; for a file, also take a write lock."""
    uri = url.render_as_string(hide_password=False)
    file = sqlite_file(uri)
    if file is None and url.get_backend_name() == SQLITE:
        raise TrackingError(
            f"the MLflow store {uri} is in memory and ends with this process: name a file, or {OTHER_STORE}."
        )
    try:
        if file is not None:
            _require_file(file)
        elif url.get_backend_name() == POSTGRESQL:
            engine = create_engine(url, connect_args={"connect_timeout": PREFLIGHT_SECONDS}, poolclass=NullPool)
            with engine.connect():
                pass
    except (SQLAlchemyError, sqlite3.Error, ImportError, DataError) as error:
        raise _cannot_be_opened(uri, error) from None


def _require_file(file: Path) -> None:
    if file.is_dir():
        raise DataError(f"{file} is a folder")
    require_writable(file.parent)
    if not file.exists():
        return
    connection = sqlite3.connect(file, timeout=PREFLIGHT_SECONDS, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:  # busy: another process is writing, so it is writable
            raise
    finally:
        connection.close()


def _cannot_be_opened(uri: str, error: Exception) -> TrackingError:
    """The driver's reason on one line: drivers write several, some with the password."""
    reason = " ".join((str(getattr(error, "orig", None) or error).strip().splitlines() or [""])[0].split())
    password = urlparse(uri).password
    reason = reason.replace(password, "***") if password else reason
    if "_alembic_tmp" in reason:
        reason = f"its tables were not made to the end ({reason}). If it is new, remove its file and try again"
    advice = "Start the database server, or" if urlparse(uri).hostname else "To use another store,"
    return TrackingError(
        f"the MLflow store {uri_without_password(uri)} cannot be opened: {reason.rstrip('.')}. {advice} {OTHER_STORE}."
    )
