"""Several workers, and workers that are killed: each trial is counted once and none is lost."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from forked import ForkedProgram
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial, TrialState
from servers import mlflow_server, postgres
from studies import bowl, children, start_worker, states, study_in

from spondylo_ml.tracking.dead_runs import dead_runs
from tuning import tickets
from tuning.runs import STUDY_STATE_TAG

DEADLINE_S = 1200


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of a temporary PostgreSQL database."""
    with postgres() as url:
        yield url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[None]:
    """An MLflow server to which the test and its workers log."""
    before = mlflow.get_tracking_uri()
    with mlflow_server(tmp_path) as address:
        mlflow.set_tracking_uri(address)
        yield
        mlflow.set_tracking_uri(before)


def wait_for_trial(worker: ForkedProgram) -> str:
    """Wait until a trial begins in a worker, and return the line that reports it."""
    for line in worker.lines():
        if line.startswith("begins"):
            return line
    raise AssertionError(f"the worker ended with {worker.wait()} before a trial began")


def kill(worker: ForkedProgram) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def test_a_trial_killed_by_sigkill_fails_and_is_retried_once_with_its_parameters(tmp_path: Path) -> None:
    worker = start_worker(tmp_path, f"sqlite:///{tmp_path}/studies.db", "killed", "3", "600")
    try:
        wait_for_trial(worker)
        assert dead_runs() == [], "it lives"
    finally:
        kill(worker)
    trial, parent = dead_runs()
    assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id

    study = study_in(tmp_path, "killed", trials=3)
    assert [run.info.run_id for run in dead_runs()] == [trial.info.run_id], "this process has joined the study"
    assert states(study)[0] == "RUNNING", "the loss is not noticed yet"
    summary = study.run(bowl)

    assert summary.states == {"complete": 3, "replaced": 1}
    trials = study.study.get_trials()
    (killed,) = [trial for trial in trials if trial.state is TrialState.FAIL]
    (retry,) = [trial for trial in trials if trial.system_attrs.get("retry_history") == [killed.number]]
    assert retry.params == killed.params
    runs = {run.data.tags["trial"]: run for run in children(study)}
    assert runs[str(killed.number)].info.status == "FAILED"
    assert "its worker was lost" in runs[str(killed.number)].data.tags["error"]
    assert runs[str(retry.number)].data.tags["retry_of"] == str(killed.number)
    assert len(runs) == 4


@pytest.mark.slow
def test_a_trial_killed_twice_is_not_tried_a_third_time(tmp_path: Path) -> None:
    for _ in range(2):
        # The second worker notices after three heartbeats that the first was killed.
        worker = start_worker(tmp_path, f"sqlite:///{tmp_path}/studies.db", "twice", "1", "600", "1")
        try:
            wait_for_trial(worker)
        finally:
            kill(worker)
    study = study_in(tmp_path, "twice", trials=1)
    summary = study.run(bowl)
    assert states(study) == ["FAIL", "FAIL"]
    assert summary.states == {"fail": 1, "replaced": 1}
    assert {run.info.status for run in children(study)} == {"FAILED"}


@pytest.mark.slow
def test_a_trial_taken_but_never_started_is_retried(tmp_path: Path) -> None:
    study = study_in(tmp_path, "taken", trials=2)
    waiting = study.study.get_trials(deepcopy=False)[0]
    # A worker that died between taking the trial and its first heartbeat.
    study.storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING)
    summary = study.run(bowl)
    assert summary.states == {"complete": 2, "replaced": 1}
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_study_resumes_after_ctrl_c_in_a_worker(tmp_path: Path) -> None:
    worker = start_worker(tmp_path, f"sqlite:///{tmp_path}/studies.db", "stopped", "2", "600")
    try:
        wait_for_trial(worker)
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=DEADLINE_S)
    finally:
        kill(worker)
    study = study_in(tmp_path, "stopped", trials=2)
    assert states(study) == ["FAIL", "WAITING", "WAITING"]
    parent = MlflowClient().get_run(study.runs.parent_id)
    assert study.run(bowl).states == {"complete": 2, "replaced": 1}
    assert parent.info.run_id == study.runs.parent_id


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_four_workers_one_of_them_killed_run_exactly_the_requested_trials(tmp_path: Path, database: str) -> None:
    count = 12
    workers = [start_worker(tmp_path, database, "four", str(count), "0.3") for _ in range(4)]
    try:
        wait_for_trial(workers[0])
        time.sleep(0.1)
        kill(workers[0])
        outputs = [worker.communicate(timeout=DEADLINE_S)[0] for worker in workers[1:]]
    finally:
        for worker in workers:
            kill(worker)
    assert [worker.returncode for worker in workers[1:]] == [0, 0, 0], "\n".join(outputs)
    assert not re.search(r"deadlock|could not obtain lock|OperationalError|database is locked", "\n".join(outputs))

    study = study_in(tmp_path, "four", storage=database, trials=count)
    trials = study.study.get_trials()
    assert len(tickets.counted(trials)) == count
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) == count
    assert len(trials) - count == len(tickets.replaced(trials)) <= 1, "at most the trial that was killed"
    assert_each_trial_has_its_run(trials, study.runs.parent_id)
    assert MlflowClient().get_run(study.runs.parent_id).data.tags[STUDY_STATE_TAG] == "running", "opened once more"


def test_workers_that_start_together_enqueue_the_trials_once(tmp_path: Path) -> None:
    workers = [start_worker(tmp_path, f"sqlite:///{tmp_path}/studies.db", "race", "6", "0.05") for _ in range(3)]
    outputs = [worker.communicate(timeout=DEADLINE_S)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], "\n".join(outputs)
    study = study_in(tmp_path, "race", trials=6)
    assert states(study) == ["COMPLETE"] * 6
    assert len(children(study)) == 6


def assert_each_trial_has_its_run(trials: list[FrozenTrial], parent_id: str) -> None:
    client = MlflowClient()
    expected = {"COMPLETE": "FINISHED", "FAIL": "FAILED"}
    for trial in trials:
        run = client.get_run(trial.user_attrs[tickets.TRIAL_RUN_ID])
        assert run.info.status == expected[trial.state.name]
        assert run.data.tags["mlflow.parentRunId"] == parent_id
        assert run.data.tags["trial"] == str(trial.number)
