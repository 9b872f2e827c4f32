"""A training run that was stopped or killed resumes and ends as if it had not been interrupted."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path

import pytest
import torch
from commands import PLAIN, environment, run, start
from mlflow.tracking import MlflowClient

EPOCHS = 4


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted training run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(folder, "train", *PLAIN, "--training.epochs", str(EPOCHS), "--training.workers", "0")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "by"),
    [pytest.param("0", signal.SIGTERM, id="SIGTERM"), pytest.param("1", signal.SIGKILL, id="SIGKILL")],
)
def test_a_run_stopped_within_an_epoch_resumes_and_equals_an_uninterrupted_one(
    uninterrupted: Path, tmp_path: Path, workers: str, by: signal.Signals
) -> None:
    run_id = _train_and_stop(tmp_path, by)

    output = run(tmp_path, "train", "--resume", run_id, "--training.workers", workers)

    assert run_id in output
    assert _run_ids(tmp_path) == [run_id], "resumed in the same run"
    tags = MlflowClient(environment(tmp_path)["MLFLOW_TRACKING_URI"]).get_run(run_id).data.tags
    assert {"error", "stopped_by"} & tags.keys() == set()
    assert "stopped by" not in tags["mlflow.note.content"]
    _assert_same_weights(uninterrupted, tmp_path)
    resumed_history, expected_history = (
        _histories(tmp_path, run_id),
        _histories(uninterrupted, _run_ids(uninterrupted)[0]),
    )
    assert resumed_history == expected_history
    assert [step for step, _ in resumed_history["val/mre_px512"]] == list(range(1, EPOCHS + 1)), (
        "no epoch twice, none missing"
    )


@pytest.mark.slow
def test_another_configuration_is_refused_and_under_mlflow_run_the_new_run_resumes(
    tmp_path: Path,
) -> None:
    run_id = _train_and_stop(tmp_path, signal.SIGKILL)
    process = start(tmp_path, "train", "--resume", run_id, "--training.learning_rate", "0.5")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "a resumed run keeps its configuration" in output
    assert "training.learning_rate was 0.0003, given 0.5" in output

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow_run_id = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id

    run(tmp_path, "train", "--resume", run_id, MLFLOW_RUN_ID=mlflow_run_id)

    assert client.get_run(mlflow_run_id).data.tags["resumed_from"] == run_id
    assert client.get_run(run_id).data.tags["resumed_as"] == mlflow_run_id
    steps = [metric.step for metric in client.get_metric_history(mlflow_run_id, "val/mre_px512")]
    assert sorted(steps) == list(range(1, EPOCHS + 1)), "the history of the first part is carried over"
    assert client.get_run(mlflow_run_id).info.status == "FINISHED"


@pytest.mark.parametrize("target", ["0123456789abcdef", "nowhere/last.ckpt"])
def test_the_error_says_where_the_checkpoint_was_looked_for(tmp_path: Path, target: str) -> None:
    process = start(tmp_path, "train", "--resume", target)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert f"cannot resume {target!r}" in output
    assert "last.ckpt does not exist" in output
    assert f"Runs with a checkpoint in {tmp_path}/checkpoints: none" in output


def _train_and_stop(folder: Path, by: signal.Signals) -> str:
    """Send a training run this signal during the third epoch; its run id."""
    process = start(folder, "train", *PLAIN, "--training.epochs", str(EPOCHS))
    try:
        deadline = time.monotonic() + 200
        while (
            not (metric_files := list(folder.glob("checkpoints/*/metrics.jsonl"))) or len(_lines(metric_files[0])) < 2
        ):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no second epoch in 200 s"
            time.sleep(0.01)
    finally:
        process.send_signal(by)
        output, _ = process.communicate(timeout=100)
    assert len(_lines(metric_files[0])) < EPOCHS, "stopped too late: training was over"
    run_id = metric_files[0].parent.name
    if by is signal.SIGTERM:
        _assert_stop_is_explained(folder, run_id, process.returncode, output)
    return run_id


def _assert_stop_is_explained(folder: Path, run_id: str, code: int | None, output: str) -> None:
    """SIGTERM is no success: exit code, status, tags, description and terminal say so, with the command to go on."""
    advice = f"Resume it: python -m spondylo_ml train --resume {run_id}"
    assert code == 143, output
    assert output.endswith(f"stopped by SIGTERM\n{advice}\n")
    stopped = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"]).get_run(run_id)
    assert stopped.info.status == "KILLED"
    assert stopped.data.tags["error"] == f"stopped by SIGTERM. {advice}"
    assert stopped.data.tags["stopped_by"] == "SIGTERM"
    assert stopped.data.tags["mlflow.note.content"].startswith(f"🔴 **stopped by SIGTERM. {advice}**")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _run_ids(folder: Path) -> list[str]:
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("spondylo-landmarks")
    return [item.info.run_id for item in client.search_runs([experiment.experiment_id])]


def _histories(folder: Path, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """(epoch, value) of every metric except times."""
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    names = [name for name in client.get_run(run_id).data.metrics if not name.startswith("time/")]
    return {name: sorted((m.step, m.value) for m in client.get_metric_history(run_id, name)) for name in names}


def _assert_same_weights(one: Path, other: Path) -> None:
    states = []
    for folder in (one, other):
        (path,) = folder.glob("checkpoints/*/last.ckpt")
        states.append(torch.load(path, weights_only=True)["state_dict"])
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_local_copy_of_the_metrics_holds_every_epoch(uninterrupted: Path) -> None:
    (path,) = uninterrupted.glob("checkpoints/*/metrics.jsonl")
    rows = [json.loads(line) for line in _lines(path)]
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert all(math.isfinite(row["val/mre_px512"]) for row in rows)
