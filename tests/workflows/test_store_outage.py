"""An MLflow server that is stopped for two minutes and started again while a run trains."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from commands import PLAIN, start
from forked import ForkedProgram
from mlflow.tracking import MlflowClient
from servers import free_port, mlflow_server

AWAY_S, LONGEST_S = 120, 1200


@pytest.mark.slow
@pytest.mark.parametrize(
    "length",
    [("--training.epochs", "2"), ("--training.epochs", "1000", "--training.minutes", "3.5")],
    ids=["training ends meanwhile", "it goes on"],
)
def test_a_server_that_is_away_for_two_minutes_loses_nothing(tmp_path: Path, length: tuple[str, ...]) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with mlflow_server(tmp_path, port=port):
        training = start(tmp_path, "train", *PLAIN, *length, MLFLOW_TRACKING_URI=address)
        _wait_for_an_epoch(tmp_path, training)
    stopped = time.monotonic()
    while time.monotonic() < stopped + AWAY_S:
        assert training.poll() is None, training.communicate()
        time.sleep(0.5)
    with mlflow_server(tmp_path, port=port):
        output, _ = training.communicate(timeout=LONGEST_S)
        assert training.returncode == 0, output
        client = MlflowClient(address)
        (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
        assert run.info.status == "FINISHED"
        epochs = _epochs(tmp_path)
        history = client.get_metric_history(run.info.run_id, "val/mre_px512")
        assert {metric.step: metric.value for metric in history} == pytest.approx(epochs, abs=0.01), (
            "as rounded in runs"
        )
        assert len(history) == len(epochs)
        assert "index.html" in [file.path for file in client.list_artifacts(run.info.run_id)]
        (logged,) = run.outputs.model_outputs
        assert client.get_logged_model(logged.model_id).status == "READY"
    assert "not sent" not in output


def _wait_for_an_epoch(folder: Path, training: ForkedProgram) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not any(path.read_text() for path in folder.glob("checkpoints/*/metrics.jsonl")):
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _epochs(folder: Path) -> dict[int, float]:
    """Validation error by epoch, of the copy in the run's folder."""
    (path,) = folder.glob("checkpoints/*/metrics.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["epoch"]: row["val/mre_px512"] for row in rows}
