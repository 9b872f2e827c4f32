"""Real servers for tests: PostgreSQL from Debian packages, and an MLflow server on any store."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from stores import store_in

from spondylo_ml.workflows.ui import NO_JOBS

POSTGRES = Path("/usr/lib/postgresql")
START_SECONDS = 180.0
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    """A free local port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_postgres() -> Path:
    """The folder of the PostgreSQL programs; skips the test with the reason if something is missing."""
    initdb_files = sorted(POSTGRES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not initdb_files:
        pytest.skip(f"no PostgreSQL in {POSTGRES}: apt-get install postgresql")
    if find_spec("psycopg") is None and find_spec("psycopg2") is None:
        pytest.skip("MLflow reaches PostgreSQL through psycopg, which is not installed: pip install 'psycopg[binary]'")
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    return initdb_files[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """Start an empty PostgreSQL that listens on a Unix socket only; its SQLAlchemy URI."""
    programs = require_postgres()
    # Not below tmp_path: socket paths are limited in length, and the user postgres cannot read the folders of root.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    init = [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync", "-E", "UTF8"]
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control: list[str | Path] = [programs / "pg_ctl", "-D", data, "-l", log, "-w"]
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
    """Start an MLflow server that also serves artefacts; its address.

    Args:
        folder: for artefacts, the log of the server, and the SQLite store unless `backend_uri` is given.
    """
    port = port or free_port()
    address, log = f"http://127.0.0.1:{port}", folder / "server.log"
    store = backend_uri or store_in(folder)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--artifacts-destination", str(folder / "artefacts"),
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=folder, stdout=stream, stderr=stream, env=inherited | NO_JOBS, start_new_session=True
        )
    try:
        wait_until_healthy(address, process, log)
        yield address
    finally:
        # The workers are in the session of the server and end with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an MLflow server answers; fails with its log if it ends."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended:\n{log.read_text()}"
        try:
            requests.get(f"{address}/health", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start within {START_SECONDS:.0f} s:\n{log.read_text()}")


def _run(command: Sequence[object], user: str | None, folder: Path, log: Path | None = None) -> None:
    """Run a command as a user; fails with its output, which goes to a file: the child of pg_ctl keeps pipes open."""
    with (folder / f"{Path(str(command[0])).name}.out").open("w+") as stream:
        process = subprocess.run(
            [str(part) for part in command], user=user, cwd=folder, stdout=stream, stderr=subprocess.STDOUT
        )
        stream.seek(0)
        log_text = log.read_text() if log is not None and log.exists() else ""
        assert process.returncode == 0, stream.read() + log_text


@contextmanager
def orthanc(folder: Path, user: str, password: str) -> Iterator[str]:
    """Start an empty Orthanc that speaks DICOMweb on the loopback; its URL. Skips the test where there is none."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not DICOMWEB_PLUGIN.exists():
        pytest.skip("no Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb")
    port = free_port()
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port, "DicomServerEnabled": False,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {user: password},
        "Plugins": [str(DICOMWEB_PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        _wait_for_orthanc(f"http://127.0.0.1:{port}/system", (user, password), process, folder / "log")
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        process.kill()  # its data are thrown away, and a clean end takes seconds
        process.wait(30)


def _wait_for_orthanc(url: str, auth: tuple[str, str], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            requests.get(url, auth=auth, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    pytest.fail(f"Orthanc does not answer: {log.read_text()}")
