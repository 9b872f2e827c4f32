"""Real servers for tests: PostgreSQL from Debian's packages, and an MLflow server on any store."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

POSTGRES = Path("/usr/lib/postgresql")
START_SECONDS = 180.0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_postgres() -> Path:
    """The folder of PostgreSQL's programs; skips the test, with the reason, where something is missing."""
    found = sorted(POSTGRES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip(f"no PostgreSQL in {POSTGRES}: apt-get install postgresql")
    if find_spec("psycopg") is None and find_spec("psycopg2") is None:
        pytest.skip("MLflow reaches PostgreSQL through psycopg, which is not installed: pip install 'psycopg[binary]'")
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """SQLAlchemy's URI of a new, empty PostgreSQL that listens on a Unix socket alone."""
    programs = require_postgres()
    # Not below pytest's tmp_path: a socket's path is short, and the user postgres may not look into root's folders.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    init = [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync", "-E", "UTF8"]
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [programs / "pg_ctl", "-D", data, "-l", log, "-w"]
    try:
        _run(init, user, folder)
        _run([*control, "-t", str(round(START_SECONDS)), "-o", options, "start"], user, folder, log)
        driver = "psycopg" if find_spec("psycopg") else "psycopg2"
        yield f"postgresql+{driver}://mlflow@/postgres?host={folder}"
    finally:
        if data.exists():
            subprocess.run([*control, "-m", "immediate", "stop"], user=user, cwd=folder, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mlflow_server(folder: Path, backend_uri: str | None = None, port: int | None = None) -> Iterator[str]:
    """The address of an MLflow server that serves its artefacts itself.

    Args:
        folder: of the artefacts, the server's log, and the SQLite store where no `backend_uri` is given.
    """
    port = port or free_port()
    address, log = f"http://127.0.0.1:{port}", folder / "server.log"
    store = backend_uri or f"sqlite:///{folder}/mlflow.db"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--artifacts-destination", str(folder / "artefacts"),
    ]  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream, env=kept, start_new_session=True)
    try:
        _wait_until_healthy(address, process, log)
        yield address
    finally:
        # The server's workers are in its session: they end with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended:\n{log.read_text()}"
        try:
            requests.get(f"{address}/health", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start within {START_SECONDS:.0f} s:\n{log.read_text()}")


def _run(command: list[object], user: str | None, folder: Path, log: Path | None = None) -> None:
    """A command as a user; its output where it fails. That goes to a file: pg_ctl's child keeps a pipe open."""
    with (folder / f"{Path(str(command[0])).name}.out").open("w+") as stream:
        done = subprocess.run(
            [str(part) for part in command], user=user, cwd=folder, stdout=stream, stderr=subprocess.STDOUT
        )
        stream.seek(0)
        more = log.read_text() if log is not None and log.exists() else ""
        assert done.returncode == 0, stream.read() + more
