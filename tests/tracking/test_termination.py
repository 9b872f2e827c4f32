"""Signals wait for the end of a database call, or SQLite would stay locked, and of callbacks, where they are lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
import weakref
from pathlib import Path

import pytest
import sqlalchemy

from spondylo_ml.termination import Terminated, raise_on_signals


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
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                time.sleep(0.001)

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
