"""`ui`: start MLflow's server on the project's store, and open the leaderboard."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import requests

from spondylo_ml.config import UiConfig
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.addresses import experiment_path
from spondylo_ml.tracking.experiments import prepare_experiment
from spondylo_ml.tracking.store import chosen_experiment, find_experiment
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.tracking.views import LEADERBOARD

log = logging.getLogger(__name__)

START_S, POLL_S = 120.0, 0.2
WORKERS = "1"
"""Processes of the server: one user needs no more, and each takes memory and seconds to start."""

NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""The server starts no processes for the scorers of language models, eight at once; a user's own setting is kept."""


def ui(config: UiConfig) -> str:
    """Serve the store until Ctrl-C; a store that is a server already is only opened.

    Raises:
        TrackingError: the port is in use, or the server does not start.
    """
    require_store()
    path = opening_path(config.experiment)
    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        _open(f"{uri.rstrip('/')}/{path}", config.browser)
        return "the server of MLFLOW_TRACKING_URI shows it"
    with serving(uri, config.host, config.port) as (address, process):
        _open(f"{address}/{path}", config.browser)
        log.info("Ctrl-C stops the server.")
        try:
            code = process.wait()
        except KeyboardInterrupt:
            return "server stopped"
    raise TrackingError(f"the server ended with exit code {code}")


def opening_path(requested: str | None) -> str:
    """The part of the address after that of the server: the experiment's leaderboard, or all experiments."""
    experiment = find_experiment(chosen_experiment(requested, EXPERIMENT))
    if experiment is None:
        return experiment_path("")
    prepare_experiment(experiment)
    return experiment_path(experiment.experiment_id, LEADERBOARD)


@contextmanager
def serving(uri: str, host: str, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start MLflow's server on a store, wait until it answers, and yield its address and process; ends it at the end.

    Raises:
        TrackingError: the port is in use, or the server does not start.
    """
    _require_free(host, port)
    address = f"http://{host}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", host, "--port", str(port), "--workers", WORKERS]
    variables = NO_JOBS | {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "server.log"
        with output.open("wb") as stream:
            # In a session of its own, so that Ctrl-C reaches only this process, which then ends the server's workers.
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=variables, start_new_session=True)
        try:
            _wait_until_it_answers(address, process, output)
            yield address, process
        finally:
            _end(process)


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TrackingError(
                f"port {port} of {host} cannot be used ({error.strerror}): give another one, --port {port + 1}"
            ) from None


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise TrackingError(f"MLflow's server did not start: {lines[-1] if lines else 'it printed nothing'}")
        try:
            requests.get(f"{address}/health", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(POLL_S)
    raise TrackingError(f"MLflow's server did not answer at {address} within {START_S:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are in its session."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _open(address: str, wanted: bool) -> None:
    """Print the address, and open it where there is a screen."""
    log.info("%s", address)
    screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if wanted and screen:
        webbrowser.open(address)
