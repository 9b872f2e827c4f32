"""The database of studies, and the lock by which workers take turns.

The database or the operating system owns the lock, and releases it when its holder dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, NullPool, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from spondylo_ml.errors import ConfigError, DataError, first_line, nearest_hint
from spondylo_ml.folders import require_writable
from tuning.grpc_storage import ProxiedStorage, StudiesLostError
from tuning.options import DEFAULT_PORT

PROXY = "grpc"
DATABASES = ("sqlite", "postgresql", PROXY)
SILENT_BEATS = 3
SQLITE_TIMEOUT_S = 60
CONNECT_S = 5

StudyStorage = RDBStorage | ProxiedStorage


def open_storage(url: str, heartbeat_s: int) -> StudyStorage:
    """Open the database of studies, or connect to its proxy.

    Raises:
        ConfigError: as `open_database`, or the proxy does not answer.
    """
    return _proxied(url, heartbeat_s) if database_kind(url) == PROXY else open_database(url, heartbeat_s)


def _proxied(url: str, heartbeat_s: int) -> ProxiedStorage:
    parts = make_url(url)
    if not parts.host:
        raise ConfigError(f"storage {url}: no host; a proxy is given as grpc://host:{DEFAULT_PORT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            storage = ProxiedStorage(parts.host, parts.port or DEFAULT_PORT, heartbeat_s, SILENT_BEATS * heartbeat_s)
        storage.require_answer(CONNECT_S)
    except ImportError:
        raise ConfigError(
            f"storage {url}: a proxy is reached through grpcio, which is not installed: in a clone, "
            "pip install -e '.[proxy]'"
        ) from None
    except StudiesLostError as error:
        raise ConfigError(
            f"storage {url}: {error}. Start it with python -m tuning.proxy --storage <database> --host <host> "
            f"--port {parts.port or DEFAULT_PORT}"
        ) from None
    return storage


def open_database(url: str, heartbeat_s: int) -> RDBStorage:
    """Open the database of studies; create it if there is none.

    Raises:
        ConfigError: the kind of database is not supported, its driver is missing, it does not answer, or it belongs to
            another program.
    """
    kind = database_kind(url)
    options: dict[str, object] = {"pool_pre_ping": True}
    if kind == "sqlite":
        options = {"connect_args": {"timeout": SQLITE_TIMEOUT_S}}
    try:
        # One worker creates the tables, the others wait for it.
        tables_lock = _sqlite_lock(url, "tables") if kind == "sqlite" else _server_lock(create_engine(url), "tables")
        with warnings.catch_warnings(), tables_lock:
            warnings.simplefilter("ignore", ExperimentalWarning)
            _require_own_database(url)
            return RDBStorage(url, options, heartbeat_interval=heartbeat_s, grace_period=SILENT_BEATS * heartbeat_s)
    except (ImportError, SQLAlchemyError, OSError) as error:
        raise _cannot_be_opened(url, error) from None


def require_storage(url: str) -> None:
    """Check that the database can be reached, or created, before any film is read.

    Raises:
        ConfigError: as `open_storage`.
    """
    kind = database_kind(url)
    if kind == PROXY:
        _proxied(url, 1).close()
        return
    try:
        if kind == "sqlite":
            require_writable(_sqlite_path(url).parent)
        else:
            create_engine(url, connect_args={"connect_timeout": CONNECT_S}, poolclass=NullPool).connect().close()
    except (ImportError, SQLAlchemyError, DataError) as error:
        raise _cannot_be_opened(url, error) from None


def _cannot_be_opened(url: str, error: Exception) -> ConfigError:
    safe_url = without_password(url)
    if isinstance(error, ImportError):
        return ConfigError(
            f"storage {safe_url}: the driver of this database is not installed. "
            "For PostgreSQL: pip install 'psycopg[binary]'"
        )
    reason = first_line(error)
    return ConfigError(f"storage {safe_url} cannot be opened: {type(error).__name__}: {reason}")


def _require_own_database(url: str) -> None:
    """Optuna would mistake the schema version of another program, such as MLflow, for its own."""
    engine = create_engine(url)
    tables = inspect(engine).get_table_names()
    engine.dispose()
    if "alembic_version" in tables and "studies" not in tables:
        owner = "MLflow" if "experiments" in tables else "another program"
        raise ConfigError(
            f"storage {without_password(url)} is {owner}'s database: use a separate one for studies, "
            "such as sqlite:///studies.db"
        )


def database_kind(url: str) -> str:
    """sqlite, postgresql, or grpc for a proxy.

    Raises:
        ConfigError: not a database URL, or another kind of database.
    """
    try:
        kind = make_url(url).get_backend_name()
    except ArgumentError:
        raise ConfigError(f"storage {url!r} is not a database URL, such as sqlite:///studies.db") from None
    if kind not in DATABASES:
        raise ConfigError(
            f"storage: unknown database {kind!r}.{nearest_hint(kind, DATABASES)} Allowed: {', '.join(DATABASES)}"
        )
    return kind


def without_password(url: str) -> str:
    """The URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


class StudyLock:
    """Lets one worker at a time change what is enqueued in a study."""

    def __init__(self, storage: StudyStorage, study: str) -> None:
        self._storage, self._name = storage, study

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Wait for the lock; yields a function that releases it early."""
        with ExitStack() as stack:
            stack.enter_context(self._taken())
            yield stack.close

    def _taken(self) -> AbstractContextManager[None]:
        if isinstance(self._storage, ProxiedStorage):
            return self._storage.lock(self._name)
        if database_kind(self._storage.url) == "sqlite":
            return _sqlite_lock(self._storage.url, self._name)
        return _server_lock(self._storage.engine, self._name)


@contextmanager
def explained_if_lost(url: str) -> Iterator[None]:
    """Say how to go on if the database, or its proxy, no longer answers.

    Raises:
        StudiesLostError: it did.
    """
    grpc = sys.modules.get("grpc")  # without it no error is of a proxy
    lost = (StudiesLostError, StorageInternalError, SQLAlchemyError, *((grpc.RpcError,) if grpc else ()))
    try:
        yield
    except (*lost, UnboundLocalError) as error:  # Optuna raises the latter while it handles one of the others
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, lost):
            cause = cause.__context__
        if cause is None:
            raise
        raise StudiesLostError(
            f"the studies in {without_password(url)} cannot be reached any more ({_first_line(cause)}). Once they can "
            "be, the same command resumes the study"
        ) from error


def _first_line(error: BaseException) -> str:
    code = getattr(error, "code", None)  # gRPC prints many lines, of which the status is the reason
    return code().name if callable(code) else first_line(error)


def _sqlite_path(url: str) -> Path:
    database = make_url(url).database
    if not database or database == ":memory:":
        raise ConfigError("storage: a study in memory cannot be resumed; give a file, such as sqlite:///studies.db")
    return Path(database)


@contextmanager
def _sqlite_lock(url: str, name: str) -> Iterator[None]:
    path = Path(f"{_sqlite_path(url)}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system releases it when the process ends, however it does
        yield


@contextmanager
def _server_lock(engine: Engine, name: str) -> Iterator[None]:
    """A PostgreSQL lock of the session, which ends with the connection."""
    key = int.from_bytes(hashlib.sha256(f"spondylo_ml {name}".encode()).digest()[:8], "big", signed=True)
    # Autocommit: no transaction stays open while the lock is held.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
