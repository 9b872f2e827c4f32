"""Addresses of runs in the MLflow UI, and the server that shows them."""

from __future__ import annotations

import socket
import sys

import pytest

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.addresses import experiment_path, run_path
from spondylo_ml.workflows.ui import serving


def test_a_path_opens_the_mode_for_training_runs() -> None:
    assert run_path("7", "abc") == "#/experiments/7/runs/abc?workflowType=machine_learning"
    assert run_path("7", "abc", "artifacts") == "#/experiments/7/runs/abc/artifacts?workflowType=machine_learning"
    assert experiment_path("7") == "#/experiments/7/runs?workflowType=machine_learning"
    assert experiment_path("7", "best") == "#/experiments/7/runs?viewStateShareKey=best&workflowType=machine_learning"
    assert experiment_path("") == "#/experiments?workflowType=machine_learning"


def test_a_port_in_use_is_an_error_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(TrackingError, match=rf"port {port} of 127\.0\.0\.1 cannot be used .*: .* --port {port + 1}"),
            serving("sqlite://", "127.0.0.1", port),
        ):
            pass


def test_a_server_that_does_not_start_gives_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/ls")  # any program that prints an error and ends
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(TrackingError, match=r"MLflow.s server did not start: .*ls"), serving("x", "127.0.0.1", port):
        pass
