"""Signals wait where they would do harm: in a database call SQLite would stay locked, in some callbacks they are lost,
and in the start and the end of a run it would stay RUNNING.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
import weakref
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sqlalchemy
from mlflow.tracking import MlflowClient

from spondylo_ml.termination import Terminated, raise_on_signals
from spondylo_ml.tracking.store import open_run


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("moment", ["before_cursor_execute", "commit"])
def test_a_signal_in_a_database_call_is_raised_after_it_and_the_database_is_free(
    tmp_path: Path, moment: str, number: signal.Signals, raised: type[BaseException]
) -> None:
    path, after = tmp_path / "store.db", []
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE tags (value INTEGER)"))

    def work() -> None:
        sqlalchemy.event.listen(engine, moment, lambda *details: os.kill(os.getpid(), number), once=True)
        with raise_on_signals():
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("INSERT INTO tags VALUES (1)"))
            after.append("committed")
            while True:
                time.sleep(0.001)

    with pytest.raises(raised):
        work()
    assert after == ["committed"]
    other = sqlite3.connect(path, timeout=0)
    other.execute("INSERT INTO tags VALUES (2)")
    other.commit()
    assert other.execute("SELECT value FROM tags").fetchall() == [(1,), (2,)]


class Passing:
    """Is removed as soon as it is made."""


class Dying:
    """Is asked to end by SIGTERM as it is removed, where Python only prints exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("callback", ["of a weak reference", "of an object"])
def test_a_signal_in_a_callback_is_not_lost(callback: str) -> None:
    def work() -> None:
        with raise_on_signals():
            if callback == "of an object":
                Dying()
            else:
                weakref.finalize(Passing(), os.kill, os.getpid(), signal.SIGTERM)
            wait()

    with pytest.raises(Terminated):
        work()


def test_a_signal_elsewhere_is_raised_at_once_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    done = []

    def work(number: signal.Signals) -> None:
        with raise_on_signals():
            os.kill(os.getpid(), number)
            done.append(number)

    for number, raised in ((signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)):
        with pytest.raises(raised):
            work(number)
    assert done == []
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_work_that_ends_before_a_postponed_signal_comes_again_is_finished(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    sqlalchemy.event.listen(engine, "commit", lambda connection: os.kill(os.getpid(), signal.SIGTERM))
    with raise_on_signals(), engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE tags (value INTEGER)"))
    time.sleep(0.1)
    with sqlite3.connect(tmp_path / "store.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("tags",)]


def wait() -> None:
    """Wait for a signal."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(0.001)


def send_at_the_call_of(function: str, number: signal.Signals) -> None:
    """Send this process a signal as soon as a function of this name is called."""

    def on_event(frame: FrameType, event: str, detail: Any) -> None:
        if event == "call" and frame.f_code.co_name == function:
            sys.setprofile(None)
            os.kill(os.getpid(), number)

    sys.setprofile(on_event)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("function", "status"),
    [
        ("create_run", "KILLED"),  # before MLflow knows the run as the active one
        ("set_terminated", "FINISHED"),  # after MLflow has forgotten it
    ],
)
def test_a_run_that_is_stopped_as_it_starts_or_ends_does_not_stay_running(
    client: MlflowClient, function: str, status: str, number: signal.Signals
) -> None:
    def work() -> None:
        with raise_on_signals():
            send_at_the_call_of(function, number)
            with open_run("stopped", "one", command="train"):
                if function == "create_run":
                    wait()
            wait()

    with pytest.raises(KeyboardInterrupt):
        work()
    (experiment,) = client.search_experiments(filter_string="name = 'stopped'")
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.info.status == status


def test_a_run_that_fails_and_is_stopped_as_it_ends_is_failed(client: MlflowClient) -> None:
    def work() -> None:
        with raise_on_signals(), open_run("stopped", "one", command="train"):
            send_at_the_call_of("set_terminated", signal.SIGTERM)
            raise ValueError("the reason")

    with pytest.raises((ValueError, Terminated)):
        work()
    (experiment,) = client.search_experiments(filter_string="name = 'stopped'")
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.info.status == "FAILED"
