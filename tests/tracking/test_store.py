"""A missing store is reported before the first epoch; one that fails later does not end the training run."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from servers import free_port, mlflow_server
from stores import store_in

from spondylo_ml.config import flatten
from spondylo_ml.errors import ConfigError, FileError, TrackingError
from spondylo_ml.termination import Terminated, raise_on_signals
from spondylo_ml.tracking.experiments import DESCRIPTIONS, NOTE
from spondylo_ml.tracking.mlflow_log import OUTAGE_TAG, MlflowRunLog
from spondylo_ml.tracking.outcome import failure_text
from spondylo_ml.tracking.run_metrics import METRICS_FILE, all_metrics, metric_of, metrics_text
from spondylo_ml.tracking.selection import metric_history, numbered_name
from spondylo_ml.tracking.store import chosen_experiment, experiment_id, get_run, open_run, require_target
from spondylo_mlflow_plugin import ProjectExperiment, entry_point, runs_this_project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Makes an empty SQLite store the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


def test_an_unknown_run_is_reported(sqlite_store: MlflowClient) -> None:
    with pytest.raises(TrackingError, match="no run 'nope' in sqlite"):
        get_run("nope")


@pytest.mark.parametrize(
    ("error", "status", "reason", "stopped_by"),
    [
        (ValueError("Jane.png"), "FAILED", "ValueError. Resume it: again {run}", None),
        (ConfigError("epochs: too few"), "FAILED", "ConfigError: epochs: too few", None),
        (KeyboardInterrupt(), "KILLED", "stopped by Ctrl-C. Resume it: again {run}", "Ctrl-C"),
        (Terminated(), "KILLED", "stopped by SIGTERM. Resume it: again {run}", "SIGTERM"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_run_that_does_not_finish_says_why_and_how_to_go_on(
    sqlite_store: MlflowClient, error: BaseException, status: str, reason: str, stopped_by: str | None
) -> None:
    def fail() -> None:
        resume = "Resume it: again {}".format
        with open_run("one", "name", command="test", how_to_resume=resume):
            mlflow.set_tag("mlflow.note.content", "| a | table |")
            raise error

    with pytest.raises(type(error)):
        fail()
    (run,) = sqlite_store.search_runs([sqlite_store.get_experiment_by_name("one").experiment_id])
    run_id = run.info.run_id
    reason = reason.format(run=run_id)
    assert run.info.status == status
    assert run.data.tags["error"] == reason
    assert run.data.tags.get("stopped_by") == stopped_by
    assert run.data.tags["mlflow.note.content"] == f"🔴 **{reason}**\n\n| a | table |"
    assert getattr(error, "__notes__", []) == [f"Resume it: again {run_id}"] * ("Resume" in reason)

    with open_run("one", "name", resumed_run_id=run_id, command="test"):
        resumed = sqlite_store.get_run(run_id)
        assert {"error", "stopped_by"} & resumed.data.tags.keys() == set(), "the former attempt's end is cleared"
        assert resumed.data.tags["mlflow.note.content"] == "| a | table |"


def test_sigterm_before_the_work_starts_ends_the_run_as_killed(
    sqlite_store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run = mlflow.start_run

    def start_and_terminate(**options: Any) -> mlflow.ActiveRun:
        start_run(**options)
        raise Terminated

    monkeypatch.setattr(mlflow, "start_run", start_and_terminate)
    with pytest.raises(Terminated), open_run("one", "name", command="test"):
        pytest.fail("the work did not start")
    assert mlflow.active_run() is None, "MLflow ends it as finished with the program"
    (run,) = sqlite_store.search_runs([sqlite_store.get_experiment_by_name("one").experiment_id])
    assert (run.info.status, run.data.tags["error"]) == ("KILLED", "stopped by SIGTERM")


def test_a_store_that_fails_at_the_end_does_not_hide_the_error(
    sqlite_store: MlflowClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_the_store() -> None:
        with open_run("one", "name", command="test"):
            connection = sqlite3.connect(tmp_path / "mlflow.db")
            connection.execute("ALTER TABLE runs RENAME TO moved")
            connection.close()
            raise ValueError("the error that matters")

    with pytest.raises(ValueError, match="the error that matters"):
        lose_the_store()
    assert mlflow.active_run() is None
    assert "does not say why it ended: the store failed (MlflowException: " in caplog.text
    assert "stays RUNNING in the store, which failed (MlflowException)" in caplog.text


def test_the_first_sigterm_raises_in_the_main_thread_and_later_ones_do_not_disturb_the_tidying_up() -> None:
    before, done = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with raise_on_signals():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("work")
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("tidied up")

    with pytest.raises(Terminated):
        work()
    assert done == ["tidied up"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_experiment_comes_from_the_option_the_environment_or_the_default(
    sqlite_store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = sqlite_store.create_experiment("by number")
    assert chosen_experiment(None, "default") == "default"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    assert chosen_experiment(None, "default") == "by number"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by name")
    with pytest.raises(TrackingError, match=r"NAME is 'by name' and MLFLOW_EXPERIMENT_ID that of 'by number'"):
        chosen_experiment(None, "default")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    assert chosen_experiment(None, "default") == "by name"
    assert chosen_experiment("asked", "default") == "asked"
    with open_run(chosen_experiment(None, "default"), "name", command="test") as run_id:
        pass
    experiment = sqlite_store.get_experiment_by_name("by name")
    assert experiment is not None
    assert sqlite_store.get_run(run_id).info.experiment_id == experiment.experiment_id
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ, "the next run of this process may have another experiment"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    with pytest.raises(TrackingError, match=r"MLFLOW_EXPERIMENT_ID is 77, and .* has no such experiment: unset it"):
        chosen_experiment(None, "default")


def test_a_deleted_experiment_and_a_deleted_run_are_reported(sqlite_store: MlflowClient) -> None:
    number = sqlite_store.create_experiment("old")
    run_id = sqlite_store.create_run(number).info.run_id
    sqlite_store.delete_run(run_id)
    with pytest.raises(TrackingError, match=rf"run {run_id} was deleted: restore it \(mlflow runs restore"):
        require_target("old", resumed_run_id=run_id)
    sqlite_store.delete_experiment(number)
    with pytest.raises(TrackingError, match=rf"'old' was deleted: restore it .*--experiment-id {number}\), or give an"):
        require_target("old")
    with pytest.raises(TrackingError, match=r"'old' was deleted"), open_run("old", "name", command="test"):
        pytest.fail("no run may be opened there")


def test_a_stale_run_id_in_the_environment_is_refused_for_a_new_run(
    sqlite_store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(
        TrackingError, match=r"MLFLOW_RUN_ID is 0+, and sqlite.* has no such run: unset it for a new run"
    ):
        require_target("one")
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with open_run("another", "name", command="test") as opened:
        assert opened == run_id, "the run that `mlflow run` opened is used"
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)  # MLflow removed it from this process
    with pytest.raises(TrackingError, match=rf"MLFLOW_RUN_ID is {run_id}, a run that has ended \(FINISHED\): unset it"):
        require_target("one")
    require_target("one", resumed_run_id=run_id)


def test_an_unusable_artefact_folder_is_reported_before_the_run_is_opened(
    sqlite_store: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    sqlite_store.create_experiment("nowhere", artifact_location=f"{tmp_path}/file/artefacts")
    with pytest.raises(
        TrackingError, match=r"artefacts of runs cannot be written: .*file is a file, a folder is needed"
    ):
        require_target("nowhere")
    (tmp_path / "mlruns").write_text("")
    with pytest.raises(TrackingError, match=r"artefacts of runs cannot be written: .*mlruns is a file"):
        require_target("new")


def test_a_failure_tag_holds_our_messages_without_names_and_only_the_place_of_other_errors(tmp_path: Path) -> None:
    assert failure_text(ConfigError("epochs: too few")) == "ConfigError: epochs: too few"
    assert failure_text(FileError("Jane.png", "broken", ", found 'Jane'", "anon-1")) == "FileError: anon-1: broken"
    with pytest.raises(KeyError) as outside:
        flatten({"a": 2})["Jane"]
    assert failure_text(outside.value) == "KeyError"
    with pytest.raises(AttributeError) as inside:
        flatten("Jane")  # type: ignore[arg-type]
    assert re.fullmatch(r"AttributeError in config/resolve\.py, line \d+", failure_text(inside.value))


def test_metrics_arrive_in_order_and_nan_is_left_out(sqlite_store: MlflowClient, tmp_path: Path) -> None:
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    log = MlflowRunLog(run_id, tmp_path / "copy")
    log.metrics({"a": 1.5, "b": float("nan")}, epoch=1)
    log.metrics({"a": 2.5}, epoch=2)
    log.image(np.zeros((8, 8, 3), np.uint8), "panel/val", epoch=2)
    assert log.close() == 0
    assert [(m.step, m.value) for m in sqlite_store.get_metric_history(run_id, "a")] == [(1, 1.5), (2, 2.5)]
    run = sqlite_store.get_run(run_id)
    assert "b" not in run.data.metrics
    assert not any(name.startswith("system/") for name in run.data.metrics)
    assert (tmp_path / "copy" / "images" / "panel-val-0002.png").is_file()


def test_the_validation_error_is_the_first_metric_of_a_run(
    sqlite_store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    log = MlflowRunLog(run_id, tmp_path / "copy", system_metrics=True)
    log.metrics({"learning_rate": 0.1, "train/loss": 2.0, "val/mre_px512": 9.0}, epoch=1)

    names: list[str] = []
    deadline = time.monotonic() + 30
    while not any(name.startswith("system/") for name in names) and time.monotonic() < deadline:
        time.sleep(0.05)
        names = list(sqlite_store.get_run(run_id).data.metrics)
    assert log.close() == 0
    assert any(name.startswith("system/") for name in names)
    assert names[0] == "val/mre_px512", "MLflow's page that compares runs opens with the first metric"
    assert {"learning_rate", "train/loss"} <= set(names)


def test_restore_sends_only_the_epochs_missing_in_the_store(sqlite_store: MlflowClient, tmp_path: Path) -> None:
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    history = [{"epoch": epoch, "val/mre_px512": 10.0 / epoch} for epoch in (1, 2, 3)]
    log = MlflowRunLog(run_id, tmp_path / "copy")
    log.metrics({"val/mre_px512": 10.0}, epoch=1)
    log.restore(history)
    assert log.close() == 0
    sent = [(m.step, m.value) for m in sqlite_store.get_metric_history(run_id, "val/mre_px512")]
    assert sent == [(1, 10.0), (2, 5.0), (3, 3.33)]
    copied = [json.loads(line)["epoch"] for line in (tmp_path / "copy" / "metrics.jsonl").read_text().splitlines()]
    assert copied == [1, 2, 3], "in the copy on disk, too"


@pytest.mark.slow
def test_a_store_outage_during_training_loses_nothing_and_is_tagged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    port = free_port()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    try:
        client = MlflowClient()
        with mlflow_server(tmp_path, port=port):
            run_id = client.create_run(client.create_experiment("one")).info.run_id
            log = MlflowRunLog(run_id, tmp_path / "copy", retry_seconds=0.2)
            log.metrics({"a": 1.0}, epoch=1)
            while not client.get_metric_history(run_id, "a"):
                time.sleep(0.05)
        log.metrics({"a": 2.0}, epoch=2)
        time.sleep(0.5)
        with mlflow_server(tmp_path, port=port):
            log.metrics({"a": 3.0}, epoch=3)
            assert log.close(timeout_s=60) == 0
            assert [m.value for m in client.get_metric_history(run_id, "a")] == [1.0, 2.0, 3.0]
            assert client.get_run(run_id).data.tags[OUTAGE_TAG] == "true"
    finally:
        mlflow.set_tracking_uri(before)


def test_if_the_store_never_returns_the_unsent_calls_are_counted_and_the_copy_is_complete(
    sqlite_store: MlflowClient, tmp_path: Path
) -> None:
    log = MlflowRunLog("a run that does not exist", tmp_path / "copy", retry_seconds=0.05)
    for epoch in (1, 2, 3):
        log.metrics({"a": float(epoch)}, epoch)
    assert log.close(timeout_s=30) == 3
    assert len((tmp_path / "copy" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_of_an_epoch_that_was_logged_twice_the_later_value_is_read(sqlite_store: MlflowClient) -> None:
    run_id = sqlite_store.create_run("0").info.run_id
    for step, value, timestamp in ((1, 9.0, 1), (2, 7.0, 4), (2, 8.0, 2), (3, 6.0, 5)):
        sqlite_store.log_metric(run_id, "val/mre_px512", value, timestamp=timestamp, step=step)
    assert metric_history(run_id, "val/mre_px512") == [(1, 9.0), (2, 7.0), (3, 6.0)]


def test_child_runs_below_the_run_that_mlflow_opened_are_new_runs(
    sqlite_store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow_run_id = sqlite_store.create_run(sqlite_store.create_experiment("mlflow run")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", mlflow_run_id)
    with open_run("", "parent", command="test") as parent:
        with open_run("", "first", command="test") as first:
            pass
        with open_run("", "second", command="test") as second:
            pass
        assert sqlite_store.get_run(parent).info.status == "RUNNING"
    assert parent == mlflow_run_id
    assert len({parent, first, second}) == 3
    for child in (first, second):
        assert sqlite_store.get_run(child).data.tags["mlflow.parentRunId"] == parent


def test_a_run_has_its_command_and_belongs_to_the_run_that_it_is_about(sqlite_store: MlflowClient) -> None:
    with open_run("spondylo-landmarks", "trained", command="train") as trained:
        pass
    with open_run("spondylo-landmarks", "evaluated", command="evaluate", about=trained) as evaluated:
        pass
    tags = sqlite_store.get_run(evaluated).data.tags
    assert (tags["command"], tags["mlflow.parentRunId"]) == ("evaluate", trained)
    assert "mlflow.parentRunId" not in sqlite_store.get_run(trained).data.tags


def test_the_experiments_have_descriptions_which_a_user_may_change(sqlite_store: MlflowClient) -> None:
    for name in ("spondylo-landmarks", "spondylo-landmarks-tools"):
        number = experiment_id(name)
        assert sqlite_store.get_experiment(number).tags[NOTE] == DESCRIPTIONS[name]
        sqlite_store.set_experiment_tag(number, NOTE, "mine")
        assert experiment_id(name) == number
        assert sqlite_store.get_experiment(number).tags[NOTE] == "mine"
    assert NOTE not in sqlite_store.get_experiment(experiment_id("my own")).tags


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-e", "train", "-P", "model=unet"], "spondylo-landmarks"),
        ([], "spondylo-landmarks"),
        (["--entry-point=phantom"], "spondylo-landmarks-tools"),
        (["--entry-point", "promote"], "spondylo-landmarks-tools"),
    ],
)
def test_mlflow_run_of_this_project_writes_to_the_experiment_of_the_command(
    sqlite_store: MlflowClient, monkeypatch: pytest.MonkeyPatch, arguments: list[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/mlflow", "run", str(ROOT), *arguments])
    provider = ProjectExperiment()
    assert provider.in_context()
    assert sqlite_store.get_experiment(provider.get_experiment_id()).name == name


def test_other_programs_and_projects_keep_their_experiment(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("name: another\n")
    here = str(ROOT)
    assert not runs_this_project(["/usr/bin/mlflow", "run", str(tmp_path)])
    assert not runs_this_project(["/usr/bin/mlflow", "ui", here])
    assert not runs_this_project(["train.py", "run", here])
    assert runs_this_project(["x/mlflow/__main__.py", "run", "--env-manager", "local", here])
    assert runs_this_project(["mlflow", "run", "https://host/someone/spondylo_ml.git#projects"])
    assert entry_point(["mlflow", "run", here, "-e", "audit"]) == "audit"


def test_runs_of_one_name_are_numbered_in_their_experiment(sqlite_store: MlflowClient) -> None:
    assert numbered_name("one", "unet lr2e-3") == "unet lr2e-3 #1"
    number = experiment_id("one")
    for name in ("unet lr2e-3 #1", "unet lr2e-3 #7", "unet lr2e-3 s1.0 #9", "mine", "unet lr2e-3 #x"):
        sqlite_store.create_run(number, run_name=name)
    assert numbered_name("one", "unet lr2e-3") == "unet lr2e-3 #8"
    assert numbered_name("one", "it's") == "it's #1"
    assert numbered_name("two", "unet lr2e-3") == "unet lr2e-3 #1"


def test_a_metric_that_is_not_logged_is_read_from_the_file_and_one_of_an_old_run_from_the_run(
    sqlite_store: MlflowClient,
) -> None:
    number = experiment_id("one")
    old, new = (sqlite_store.create_run(number, run_name=name) for name in ("old", "new"))
    for run, value in ((old, 7.123456), (new, 5.12)):
        sqlite_store.log_metric(run.info.run_id, "val_best/mre_px512", value)
    sqlite_store.log_metric(old.info.run_id, "val_best/sdr_12px", 60.0)
    text = metrics_text({"mre_px512": 5.123456, "sdr_12px": 70.0, "mre_mm": float("nan")})
    sqlite_store.log_text(new.info.run_id, text, METRICS_FILE)
    old, new = (sqlite_store.get_run(run.info.run_id) for run in (old, new))
    assert (metric_of(old, "val_best/sdr_12px"), metric_of(new, "val_best/sdr_12px")) == (60.0, 70.0)
    assert all_metrics(new)["val_best/mre_px512"] == 5.123456
    assert all_metrics(old) == {"val_best/mre_px512": 7.123456, "val_best/sdr_12px": 60.0}
    assert math.isnan(metric_of(new, "val_best/mre_mm"))
    assert math.isnan(metric_of(old, "val_best/no_such_metric"))
