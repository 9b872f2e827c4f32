"""A store that is not there is found before the first epoch; one that goes away does not end the training."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pytest
import requests
from mlflow.tracking import MlflowClient

from spondylo_ml.config import flatten
from spondylo_ml.errors import ConfigError, FileError, TrackingError
from spondylo_ml.tracking.mlflow_log import OUTAGE_TAG, MlflowRunLog
from spondylo_ml.tracking.store import failure_text, get_run, open_run, preflight


@pytest.fixture
def sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """An empty SQLite store as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


@contextmanager
def _server(folder: Path, port: int) -> Iterator[None]:
    """A real MLflow server over the SQLite store of the folder."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen([*command, *store], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    try:
        for _ in range(600):
            try:
                requests.get(f"http://127.0.0.1:{port}/health", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_does_not_answer_is_named_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mlflow.get_tracking_uri()
    uri = f"http://127.0.0.1:{_free_port()}"
    mlflow.set_tracking_uri(uri)
    try:
        with pytest.raises(TrackingError, match=f"the MLflow server {uri} does not answer"):
            preflight()
    finally:
        mlflow.set_tracking_uri(before)


def test_a_run_that_does_not_exist_is_said(sqlite_store: MlflowClient) -> None:
    with pytest.raises(TrackingError, match="no run 'nope' in sqlite"):
        get_run("nope")


@pytest.mark.parametrize(("error", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_ends_by_an_error_has_that_state(
    sqlite_store: MlflowClient, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), open_run("one", "name") as run_id:
        raise error
    run = sqlite_store.get_run(run_id)
    assert run.info.status == status
    assert run.data.tags.get("failure") == ("ValueError" if status == "FAILED" else None)


def test_a_failure_says_our_own_message_without_names_and_of_others_only_where_they_arose(tmp_path: Path) -> None:
    assert failure_text(ConfigError("epochs: too few")) == "ConfigError: epochs: too few"
    assert failure_text(FileError("Jane.png", "broken", ", found 'Jane'", "anon-1")) == "FileError: anon-1: broken"
    with pytest.raises(KeyError) as caught:
        flatten({"a": 2})["Jane"]
    assert failure_text(caught.value) == "KeyError"
    with pytest.raises(AttributeError) as inside:
        flatten("Jane")  # type: ignore[arg-type]
    assert re.fullmatch(r"AttributeError in config/resolve\.py, line \d+", failure_text(inside.value))


def test_what_is_logged_arrives_in_order_and_nan_is_left_out(sqlite_store: MlflowClient, tmp_path: Path) -> None:
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    log = MlflowRunLog(run_id, tmp_path / "copy")
    log.metrics({"a": 1.5, "b": float("nan")}, epoch=1)
    log.metrics({"a": 2.5}, epoch=2)
    log.image(np.zeros((8, 8, 3), np.uint8), "panel/val", epoch=2)
    log.tag("who", "me")
    assert log.close() == 0
    assert [(m.step, m.value) for m in sqlite_store.get_metric_history(run_id, "a")] == [(1, 1.5), (2, 2.5)]
    run = sqlite_store.get_run(run_id)
    assert "b" not in run.data.metrics
    assert run.data.tags["who"] == "me"
    assert (tmp_path / "copy" / "images" / "panel-val-0002.png").is_file()


def test_restore_sends_only_the_epochs_that_the_store_does_not_have(sqlite_store: MlflowClient, tmp_path: Path) -> None:
    run_id = sqlite_store.create_run(sqlite_store.create_experiment("one")).info.run_id
    history = [{"epoch": epoch, "val/mre_px512": 10.0 / epoch} for epoch in (1, 2, 3)]
    log = MlflowRunLog(run_id, tmp_path / "copy")
    log.metrics({"val/mre_px512": 10.0}, epoch=1)
    log.restore(history)
    assert log.close() == 0
    found = [(m.step, m.value) for m in sqlite_store.get_metric_history(run_id, "val/mre_px512")]
    assert found == [(1, 10.0), (2, 5.0), (3, 10.0 / 3)]


def test_an_outage_during_training_loses_nothing_and_is_tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    port = _free_port()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    try:
        client = MlflowClient()
        with _server(tmp_path, port):
            run_id = client.create_run(client.create_experiment("one")).info.run_id
            log = MlflowRunLog(run_id, tmp_path / "copy", retry_seconds=0.2)
            log.metrics({"a": 1.0}, epoch=1)
            while not client.get_metric_history(run_id, "a"):
                time.sleep(0.05)
        log.metrics({"a": 2.0}, epoch=2)
        time.sleep(0.5)
        with _server(tmp_path, port):
            log.metrics({"a": 3.0}, epoch=3)
            assert log.close(timeout_s=60) == 0
            assert [m.value for m in client.get_metric_history(run_id, "a")] == [1.0, 2.0, 3.0]
            assert client.get_run(run_id).data.tags[OUTAGE_TAG] == "true"
    finally:
        mlflow.set_tracking_uri(before)


def test_a_store_that_never_comes_back_is_counted_and_the_copy_is_whole(
    sqlite_store: MlflowClient, tmp_path: Path
) -> None:
    log = MlflowRunLog("a run that does not exist", tmp_path / "copy", retry_seconds=0.05)
    for epoch in (1, 2, 3):
        log.metrics({"a": float(epoch)}, epoch)
    assert log.close(timeout_s=30) == 3
    assert len((tmp_path / "copy" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3
