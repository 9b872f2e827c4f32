"""A real scoring server, started as users start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

START_SECONDS = 180.0


@dataclass(frozen=True)
class ScoringServer:
    """A running server.

    Attributes:
        url: address of `/invocations`.
        log: file with the output of the server.
    """

    url: str
    log: Path

    def post(self, body: bytes, content_type: str | None = "application/json") -> requests.Response:
        """Send one request and return the response."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return requests.post(self.url, data=body, headers=headers, timeout=120)


@contextmanager
def scoring_server(model_uri: str, tracking_uri: str, folder: Path) -> Iterator[ScoringServer]:
    """`mlflow models serve` on a free local port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri, "--env-manager", "local"]
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "SPONDYLO_FILMS"))
    }
    # MLflow starts `uvicorn` by name.
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    variables = {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "PATH": search_path,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    log = folder / "scoring_server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            stdout=stream,
            stderr=stream,
            env=inherited | variables,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
        yield ScoringServer(f"http://127.0.0.1:{port}/invocations", log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # also kills the worker, a child in the same session
        process.wait()


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended:\n{log.read_text()}"
        try:
            requests.get(address, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start within {START_SECONDS:.0f} s:\n{log.read_text()}")
