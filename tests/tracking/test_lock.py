"""Only one of two simultaneous promotions runs; a lock left behind is reported and never taken over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from stores import store_in

import spondylo_ml
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.lock import HOST, ID, OWNER, PID, SINCE, promotion_lock

NAME = "landmarks"
HOLDER = """
import sys, mlflow
from spondylo_ml.tracking.lock import promotion_lock
mlflow.set_tracking_uri(sys.argv[1])
with promotion_lock(sys.argv[2]) as lock:
    print(lock.lock_id, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """Makes an empty SQLite store the current one; its URI."""
    before, uri = mlflow.get_tracking_uri(), store_in(tmp_path)
    mlflow.set_tracking_uri(uri)
    MlflowClient().search_experiments(max_results=1)
    yield uri
    mlflow.set_tracking_uri(before)


def start_holder(uri: str) -> subprocess.Popen[str]:
    """Start another process that takes the lock and holds it until it receives a line."""
    path = os.pathsep.join([str(Path(spondylo_ml.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, uri, NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def locks() -> list[str]:
    return [model.name for model in MlflowClient().search_registered_models()]


def test_mlflow_creates_a_registered_model_only_once_until_it_is_deleted(store: str) -> None:
    client = MlflowClient()
    client.create_registered_model("once")
    with pytest.raises(MlflowException) as caught:
        client.create_registered_model("once")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    client.delete_registered_model("once")
    client.create_registered_model("once")


def test_the_lock_names_its_holder_and_is_released_at_the_end(store: str) -> None:
    with promotion_lock(NAME) as lock:
        lock_model = MlflowClient().get_registered_model("landmarks.lock")
        assert lock_model.tags[ID] == lock.lock_id
        assert lock_model.tags[PID] == str(os.getpid())
        assert {OWNER, HOST, SINCE} <= lock_model.tags.keys()
        lock.require_held()
    assert locks() == []


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_the_lock_is_released_after_an_error(store: str, error: BaseException) -> None:
    with pytest.raises(type(error)), promotion_lock(NAME):
        raise error
    assert locks() == []


def test_two_models_can_be_promoted_at_the_same_time(store: str) -> None:
    with promotion_lock(NAME), promotion_lock("other"):
        assert sorted(locks()) == ["landmarks.lock", "other.lock"]


def test_a_second_promotion_is_refused_with_the_holder_and_the_first_keeps_the_lock(store: str) -> None:
    with promotion_lock(NAME) as lock:
        message = (
            rf"another promotion holds landmarks\.lock: .* process {os.getpid()}, since .*--break_lock {lock.lock_id}"
        )
        with pytest.raises(TrackingError, match=message), promotion_lock(NAME):
            pytest.fail("two processes hold one lock")
        lock.require_held()


@pytest.mark.slow
def test_only_one_of_two_processes_gets_the_lock(store: str) -> None:
    processes = [start_holder(store), start_holder(store)]
    ended: list[tuple[int, str, str]] = []
    while not ended:
        time.sleep(0.1)
        ended += [(p.returncode, *p.communicate()) for p in processes if p.poll() is not None]
    assert len(ended) == 1, "the other one holds the lock"
    assert ended[0][0] == 1
    assert "TrackingError: another promotion holds landmarks.lock" in ended[0][2]
    (winner,) = (p for p in processes if p.poll() is None)
    output, errors = winner.communicate("\n", timeout=60)
    assert winner.returncode == 0, errors
    assert re.fullmatch(r"[0-9a-f]{12}\n", output)
    assert locks() == []


@pytest.mark.slow
def test_the_lock_of_a_dead_process_is_reported_and_removed_only_by_its_id(store: str) -> None:
    dead = start_holder(store)
    assert dead.stdout is not None
    lock_id = dead.stdout.readline().strip()
    dead.kill()
    dead.communicate()
    message = rf"no process {dead.pid} runs on this machine any more: it died\..* --break_lock {lock_id}"
    with pytest.raises(TrackingError, match=message), promotion_lock(NAME):
        pytest.fail("a lock was stolen")
    with pytest.raises(TrackingError, match=f"is not 'other' but '{lock_id}', and is left alone"):
        with promotion_lock(NAME, "other"):
            pytest.fail("a lock was stolen")
    with promotion_lock(NAME, lock_id) as lock:
        assert lock.lock_id != lock_id
    with (
        pytest.raises(TrackingError, match=r"there is no lock landmarks\.lock to break"),
        promotion_lock(NAME, lock_id),
    ):
        pytest.fail("there was no lock to break")


def test_a_promotion_notices_a_broken_lock_and_leaves_the_new_one_alone(store: str) -> None:
    with promotion_lock(NAME) as lost:
        with promotion_lock(NAME, lost.lock_id):
            with pytest.raises(
                TrackingError, match=r"the lock landmarks\.lock was broken while this promotion was running"
            ):
                lost.require_held()
        with pytest.raises(TrackingError, match="was broken while"):
            lost.require_held()
        MlflowClient().create_registered_model("landmarks.lock", tags={ID: "somebody"})
    assert locks() == ["landmarks.lock"]
