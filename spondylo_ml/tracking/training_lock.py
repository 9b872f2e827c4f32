"""A lock on the folder of a run's checkpoints, so that two processes never train one run.

The operating system releases it however the process ends. Child processes do not inherit it: those that load films may
live for seconds after their parent was killed.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from spondylo_ml.errors import RunInUseError, TrackingError

log = logging.getLogger(__name__)

LOCK_FILE = "training.lock"

_held: set[Path] = set()
"""The lock files that this process holds."""


@contextmanager
def training_lock(folder: Path, purpose: str = "trains this run") -> Iterator[None]:
    """Hold the lock of a folder, which is created, until the block ends; nothing is done if this process holds it.

    Args:
        purpose: what this process does meanwhile, for the message of another one.

    Raises:
        RunInUseError: another process holds it.
        TrackingError: nothing can be written to the folder.
    """
    path = folder.resolve() / LOCK_FILE
    if path in _held:  # closing a second opening of the file would release the lock
        yield
        return
    with _opened(path) as file:
        _lock(file, path, purpose)
        _held.add(path)
        try:
            yield
        finally:
            _held.remove(path)


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise TrackingError(
            f"checkpoints cannot be written to {path.parent} ({error.strerror}): make it writable, or start a new run"
        ) from None


def _lock(file: FileIO, path: Path, purpose: str) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise RunInUseError(_in_use(path)) from None
        log.warning("%s cannot be locked (%s): do not train this run twice at a time", path, error.strerror)
        return
    with suppress(OSError):  # a full disk: it is locked all the same, and what frees the disk needs the lock
        file.truncate(0)
        file.write(f"held by process {os.getpid()} on {socket.gethostname()}, which {purpose}".encode())


def _in_use(path: Path) -> str:
    # Closing a second opening of the file would release a lock of this process; another process holds this one.
    holder = path.read_text(encoding="utf-8", errors="replace")[:200] or "another process trains this run"
    return f"{path.parent} is in use: {holder}. Wait for it, or end it, then try again"
