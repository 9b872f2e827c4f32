"""A training that was cut off goes on as if it had not been."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path

import pytest
import torch
from commands import TINY, environment, run, start
from mlflow.tracking import MlflowClient

EPOCHS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, "train", *TINY, "--training.epochs", str(EPOCHS), "--training.workers", "0")
    return folder


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_and_ends_as_an_uninterrupted_one(
    whole: Path, tmp_path: Path, workers: str
) -> None:
    cut = tmp_path
    run_id = _train_and_kill(cut)

    output = run(cut, "train", "--resume", run_id, "--training.workers", workers)

    assert run_id in output
    assert _run_ids(cut) == [run_id], "it goes on in the same run"
    _assert_same_weights(whole, cut)
    ours, theirs = _histories(cut, run_id), _histories(whole, _run_ids(whole)[0])
    assert ours == theirs
    assert [step for step, _ in ours["val/mre_px512"]] == list(range(1, EPOCHS + 1)), "no epoch twice, none missing"


def test_another_configuration_is_refused_and_under_mlflow_run_it_goes_on_in_the_run_opened_for_it(
    tmp_path: Path,
) -> None:
    run_id = _train_and_kill(tmp_path)
    process = start(tmp_path, "train", "--resume", run_id, "--training.learning_rate", "0.5")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "a resumed run keeps its configuration" in output
    assert "training.learning_rate was 0.0003, given 0.5" in output

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    opened = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id

    run(tmp_path, "train", "--resume", run_id, MLFLOW_RUN_ID=opened)

    assert client.get_run(opened).data.tags["resumed_from"] == run_id
    assert client.get_run(run_id).data.tags["resumed_as"] == opened
    steps = [metric.step for metric in client.get_metric_history(opened, "val/mre_px512")]
    assert sorted(steps) == list(range(1, EPOCHS + 1)), "the history of the first part is carried over"
    assert client.get_run(opened).info.status == "FINISHED"


@pytest.mark.parametrize("what", ["0123456789abcdef", "nowhere/last.ckpt"])
def test_what_cannot_be_resumed_is_said_with_the_place_looked_at(tmp_path: Path, what: str) -> None:
    process = start(tmp_path, "train", "--resume", what)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert f"cannot resume {what!r}" in output
    assert "last.ckpt does not exist" in output
    assert f"Runs with a checkpoint in {tmp_path}/checkpoints: none" in output


def _train_and_kill(folder: Path) -> str:
    """Train, and kill -9 during the third epoch; the run's id."""
    process = start(folder, "train", *TINY, "--training.epochs", str(EPOCHS))
    try:
        deadline = time.monotonic() + 200
        while not (written := list(folder.glob("checkpoints/*/metrics.jsonl"))) or len(_lines(written[0])) < 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no second epoch in 200 s"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(_lines(written[0])) < EPOCHS, "the kill came too late to mean anything"
    return written[0].parent.name


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _run_ids(folder: Path) -> list[str]:
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("spondylo-landmarks")
    return [found.info.run_id for found in client.search_runs([experiment.experiment_id])]


def _histories(folder: Path, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """(epoch, value) of every metric but the times."""
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


def test_the_local_copy_of_the_metrics_holds_every_epoch(whole: Path) -> None:
    (path,) = whole.glob("checkpoints/*/metrics.jsonl")
    rows = [json.loads(line) for line in _lines(path)]
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert all(math.isfinite(row["val/mre_px512"]) for row in rows)
