"""Runs whose process was killed: found with certainty on the same machine, left alone elsewhere."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from stores import NOW_MS, TRAINING_TAGS, add_run

from spondylo_ml.cli.summaries.store import clean_summary
from spondylo_ml.config import CleanConfig
from spondylo_ml.errors import RunInUseError, TrackingError
from spondylo_ml.tracking import run_process
from spondylo_ml.tracking.dead_runs import dead_runs, end_dead_runs, name_dead_runs
from spondylo_ml.tracking.run_process import process_tags
from spondylo_ml.tracking.store import open_run
from spondylo_ml.tracking.unopened_run import end_unopened_run
from spondylo_ml.workflows.clean import clean

RUN = """
import time
from spondylo_ml.tracking.store import open_run
with open_run("here", "unet #1", command="train") as run_id:
    print(run_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file with the id of this machine, which a test may change."""
    path = tmp_path / "machine-id"
    path.write_text("b" * 32)
    monkeypatch.setattr(run_process, "_MACHINE_ID", path)
    run_process._machine_id.cache_clear()
    yield path
    run_process._machine_id.cache_clear()


FREE_ID = "4194999"
"""An id that no process of Linux can have."""


def dead_ids() -> list[str]:
    return [run.info.run_id for run in dead_runs()]


@pytest.mark.slow
def test_a_killed_run_is_named_and_gets_its_state(client: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    store = {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=os.environ | store
    ) as process:
        try:
            assert process.stdout is not None
            run_id = process.stdout.readline().strip()
            assert client.get_run(run_id).info.status == "RUNNING"
            assert dead_ids() == [], "it lives"
        finally:
            process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert dead_ids() == [run_id], "nobody has asked for its exit code yet"
    assert dead_ids() == [run_id]
    name_dead_runs(except_run=run_id)
    assert caplog.text == ""
    name_dead_runs()
    name_dead_runs()
    (message,) = caplog.messages
    assert message.startswith(
        f"run {run_id} (unet #1) was killed: the store shows it as running, but process {process.pid}"
    )
    assert message.endswith("python -m spondylo_ml clean sets its state to KILLED")

    cleaning = clean(CleanConfig())
    run = client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["error"].startswith(f"killed: process {process.pid} on ")
    assert run.data.tags["error"].endswith("ended without a word")
    assert f"run {run_id} (unet #1) was killed: its state is no longer RUNNING but KILLED" in clean_summary(cleaning)
    assert clean(CleanConfig()).killed == ()


def test_only_what_is_certain_is_taken_for_dead(client: MlflowClient, machine_id: Path) -> None:
    own = process_tags()
    boot, namespace, ticks = own["process_started"].split()
    others = {
        "another process has the id": own | {"process_started": f"{boot} {namespace} {int(ticks) + 1}"},
        "the machine was restarted": own | {"process_started": f"0-0 {namespace} {ticks}"},
        "the id is free": own | {"process_id": FREE_ID},
    }
    alive = [
        own,
        own | {"process_host": "another machine", "process_id": FREE_ID},
        own | {"process_started": "", "process_id": FREE_ID},
        own | {"process_started": f"{boot} pid:[1] 5"},
        {},
    ]
    for tags in alive:
        add_run(client, tags=TRAINING_TAGS | tags, status="RUNNING")
    assert dead_ids() == []
    for why, tags in others.items():
        run_id = add_run(client, tags=TRAINING_TAGS | tags, status="RUNNING")
        assert run_id in dead_ids(), why
        client.set_terminated(run_id, "KILLED")
        assert dead_ids() == []


def test_a_run_whose_child_another_process_works_on_is_not_taken_for_dead(client: MlflowClient) -> None:
    dead = TRAINING_TAGS | process_tags() | {"process_id": FREE_ID}
    parent = add_run(client, tags=dead, status="RUNNING")
    of_parent = {"mlflow.parentRunId": parent}
    lost = add_run(client, tags=dead | of_parent, status="RUNNING")
    add_run(client, tags=TRAINING_TAGS | of_parent, status="RUNNING")  # of no known process
    living = add_run(client, tags=TRAINING_TAGS | process_tags() | of_parent, status="RUNNING")
    assert dead_ids() == [lost]
    client.set_terminated(living)
    assert set(dead_ids()) == {lost, parent}


@pytest.mark.parametrize("content", ["", "\n", None], ids=["empty", "blank", "missing"])
def test_another_machine_of_the_same_name_is_not_this_one(
    client: MlflowClient, machine_id: Path, content: str | None
) -> None:
    own = process_tags()
    assert own["process_host"].startswith(socket.gethostname() + " ")
    _, namespace, ticks = own["process_started"].split()
    of_other = {"process_started": f"0-0 {namespace} {ticks}", "process_id": FREE_ID}
    machine_id.write_text("c" * 32)
    run_process._machine_id.cache_clear()
    add_run(client, tags=TRAINING_TAGS | own | of_other, status="RUNNING")
    assert dead_ids() == [], "it has another id"

    machine_id.unlink()
    if content is not None:
        machine_id.write_text(content)
    run_process._machine_id.cache_clear()
    own = process_tags()
    add_run(client, tags=TRAINING_TAGS | own | of_other, status="RUNNING")
    assert dead_ids() == [], "neither has an id, as in many containers"
    ended = add_run(client, tags=TRAINING_TAGS | own | {"process_id": FREE_ID}, status="RUNNING")
    assert dead_ids() == [ended], "since it was started, only this machine has this boot id"


def test_a_process_that_the_system_hides_is_not_taken_for_dead(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = process_tags()
    boot, namespace, _ = own["process_started"].split()
    hiding = tmp_path / "proc"  # as /proc mounted with hidepid=2: only one's own processes
    for name in ("sys/kernel/random/boot_id", f"{os.getpid()}/stat"):
        (hiding / name).parent.mkdir(parents=True)
        (hiding / name).write_text((Path("/proc") / name).read_text())
    (hiding / "self/ns").mkdir(parents=True)
    (hiding / "self/ns/pid").symlink_to(namespace)
    monkeypatch.setattr(run_process, "_PROC", hiding)
    parent = own | {"process_id": str(os.getppid()), "process_started": f"{boot} {namespace} 5"}
    add_run(client, tags=TRAINING_TAGS | parent, status="RUNNING")
    assert dead_ids() == []
    ended = add_run(client, tags=TRAINING_TAGS | parent | {"process_id": FREE_ID}, status="RUNNING")
    assert dead_ids() == [ended]


def change_database(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_run_whose_state_may_not_be_changed_is_listed_and_the_others_are_ended(
    client: MlflowClient, tmp_path: Path
) -> None:
    tags = TRAINING_TAGS | process_tags() | {"process_id": FREE_ID}
    first, refused, last = (add_run(client, tags=tags, status="RUNNING") for _ in range(3))
    change_database(
        tmp_path,
        f"CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN NEW.run_uuid = '{refused}' "
        "BEGIN SELECT RAISE(ABORT, 'only its owner may'); END",
    )
    cleaning = clean(CleanConfig())
    states = {run_id: client.get_run(run_id).info.status for run_id in (first, refused, last)}
    assert states == {first: "KILLED", refused: "RUNNING", last: "KILLED"}
    assert {run.info.run_id for run in cleaning.killed} == {first, last}
    (line,) = [line for line in clean_summary(cleaning).splitlines() if refused in line]
    assert line.startswith(f"run {refused} was killed, but its state could not be changed: ")
    assert line.endswith("only its owner may"), "without the SQL that MLflow quotes"
    assert "error" not in client.get_run(refused).data.tags


def test_a_store_that_does_not_tell_which_runs_are_dead_is_only_said_once(
    client: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert dead_ids() == []
    change_database(tmp_path, "ALTER TABLE runs RENAME TO moved")
    with pytest.raises(MlflowException):
        dead_runs()
    name_dead_runs()
    name_dead_runs()
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("spondylo_ml")]
    (message,) = messages
    assert message.startswith("whether other runs were killed is not known: ")
    assert "no such table: runs" in message


def add_dead_run(client: MlflowClient) -> str:
    """A run that the store shows as running, and whose process has ended."""
    return add_run(client, tags=TRAINING_TAGS | process_tags() | {"process_id": FREE_ID}, status="RUNNING")


def test_clean_does_not_end_a_run_that_is_resumed_at_that_moment(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_dead_run(client)
    start_run, killed = mlflow.start_run, []

    def start_and_clean(**options: Any) -> mlflow.ActiveRun:
        started = start_run(**options)
        killed.extend(clean(CleanConfig()).killed)
        return started

    monkeypatch.setattr(mlflow, "start_run", start_and_clean)
    with open_run("", "resumed", run_id, command="train"):
        assert killed == []
        resumed = client.get_run(run_id)
        assert resumed.info.status == "RUNNING"
        assert "error" not in resumed.data.tags


def test_a_run_that_was_resumed_since_the_store_was_asked_is_not_ended(client: MlflowClient) -> None:
    run_id = add_dead_run(client)
    (seen,) = dead_runs()
    with open_run("", "resumed", run_id, command="train"):
        assert end_dead_runs([seen]) == ([], {})
        assert client.get_run(run_id).info.status == "RUNNING"


@pytest.mark.slow
def test_clean_ends_runs_of_the_experiment_asked_for_at_the_time_last_known(client: MlflowClient) -> None:
    silent, other = add_dead_run(client), add_dead_run(client)
    client.log_metric(other, "a", 1.0, timestamp=NOW_MS, step=2)
    client.log_metric(other, "b", 1.0, timestamp=NOW_MS - 5, step=1)
    client.create_experiment("elsewhere")
    assert clean(CleanConfig(experiment="elsewhere")).killed == ()
    assert client.get_run(silent).info.status == client.get_run(other).info.status == "RUNNING"
    with pytest.raises(TrackingError, match="unknown experiment 'nowhere'"):
        clean(CleanConfig(experiment="nowhere"))

    assert {run.info.run_id for run in clean(CleanConfig(experiment="Default")).killed} == {silent, other}
    assert client.get_run(other).info.end_time == NOW_MS, "of its last metric"
    assert client.get_run(silent).info.end_time == client.get_run(silent).info.start_time


def test_a_run_of_a_living_process_is_refused_and_left_as_it_is(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = process_tags()
    boot, namespace, _ = own["process_started"].split()
    parent = run_process._Start.of(os.getppid())
    assert parent is not None
    of_parent = {"process_id": str(os.getppid()), "process_started": f"{boot} {namespace} {parent.ticks}"}
    run_id = add_run(client, tags=TRAINING_TAGS | own | of_parent, status="RUNNING")
    before = client.get_run(run_id).to_dictionary()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    for error in (TrackingError("of the second process"), None):
        end_unopened_run("train", error)
    with (
        pytest.raises(RunInUseError, match=f"run {run_id} is in use: process {os.getppid()} on .* works on it. Wait"),
        open_run("", "second", command="evaluate"),
    ):
        pass
    monkeypatch.delenv("MLFLOW_RUN_ID")
    with pytest.raises(RunInUseError), open_run("", "second", run_id, command="train"):
        pass
    assert client.get_run(run_id).to_dictionary() == before
