"""A lock that allows one promotion at a time.

MLflow's aliases can be set by anyone at any moment: there is no compare-and-swap. But the name of a registered model is
unique in every store, so that only one of two processes can create it; and unlike an experiment it can be deleted
completely. The lock is a registered model of a reserved name, which exists while a process holds it.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError, first_line

SUFFIX = ".lock"
ID, OWNER, HOST, PID, SINCE = "lock_id", "lock_owner", "lock_host", "lock_pid", "lock_taken"
ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
LOCK_DESCRIPTION = "A lock, not a model: a promotion is running. It is removed at the end; the tags say who holds it."


@dataclass(frozen=True)
class Lock:
    """A lock held by this process."""

    name: str
    lock_id: str

    def require_held(self) -> None:
        """Check that nobody has broken the lock; call before each change.

        Raises:
            TrackingError: the lock is gone, or another process holds it.
        """
        registered = _find(self.name)
        if registered is None or registered.tags.get(ID) != self.lock_id:
            raise TrackingError(
                f"the lock {self.name} was broken while this promotion was running, which stops here: "
                "look at the history (registry) and promote again"
            )


@contextmanager
def promotion_lock(registered_model: str, break_lock: str | None = None) -> Iterator[Lock]:
    """Hold the lock of this registered model until the block ends.

    Args:
        break_lock: id of an abandoned lock, which is removed first; a lock with another id is left alone.

    Raises:
        TrackingError: another process holds the lock (the message says who and how to remove it), or `break_lock` is
            not its id.
    """
    name = registered_model + SUFFIX
    if break_lock is not None:
        _break(name, break_lock)
    lock = _acquire(name)
    try:
        yield lock
    finally:
        _release(lock)


def _acquire(name: str) -> Lock:
    lock_id = uuid.uuid4().hex[:12]
    since = datetime.now(UTC).isoformat(timespec="seconds")
    tags = {ID: lock_id, OWNER: getpass.getuser(), HOST: socket.gethostname(), PID: str(os.getpid()), SINCE: since}
    try:
        MlflowClient().create_registered_model(name, tags=tags, description=LOCK_DESCRIPTION)
    except MlflowException as error:
        if error.error_code != ALREADY_EXISTS:
            raise TrackingError(f"the lock {name} cannot be acquired: {first_line(error)}") from None
        raise TrackingError(_held_text(name)) from None
    return Lock(name, lock_id)


def _release(lock: Lock) -> None:
    registered = _find(lock.name)
    if registered is not None and registered.tags.get(ID) == lock.lock_id:
        MlflowClient().delete_registered_model(lock.name)


def _break(name: str, lock_id: str) -> None:
    registered = _find(name)
    if registered is None:
        raise TrackingError(f"there is no lock {name} to break: leave break_lock out")
    if registered.tags.get(ID) != lock_id:
        raise TrackingError(f"the lock {name} is not {lock_id!r} but {registered.tags.get(ID)!r}, and is left alone")
    MlflowClient().delete_registered_model(name)


def _held_text(name: str) -> str:
    registered = _find(name)
    if registered is None:
        return f"another promotion held {name} a moment ago and has ended: try again"
    tags = registered.tags
    text = (
        f"another promotion holds {name}: {tags.get(OWNER)} on {tags.get(HOST)}, process {tags.get(PID)}, "
        f"since {tags.get(SINCE)}. Wait until it has ended"
    )
    if _is_dead(tags):
        text += f"; but no process {tags.get(PID)} runs on this machine any more: it died"
    return f"{text}. If you are sure that it died: --break_lock {tags.get(ID)}"


def _is_dead(tags: dict[str, str]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    pid = tags.get(PID, "")
    return tags.get(HOST) == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid))


def _find(name: str) -> RegisteredModel | None:
    try:
        return MlflowClient().get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise TrackingError(f"the lock {name} cannot be read: {first_line(error)}") from None
