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
from contextlib import contextmanager
from pathlib import Path

from spondylo_ml.errors import TrackingError

log = logging.getLogger(__name__)

LOCK_FILE = "training.lock"


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created, until the block ends.

    Raises:
        TrackingError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise TrackingError(_held(path)) from None
            log.warning("%s cannot be locked (%s): do not train this run twice at a time", path, error.strerror)
        else:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} trains this run")
            file.flush()
        yield


def _held(path: Path) -> str:
    # Closing a second opening of the file would release a lock of this process; another process holds this one.
    holder = path.read_text(encoding="utf-8", errors="replace")[:200] or "another process trains this run"
    return f"{path.parent} is in use: {holder}. Wait for it, or end it, then try again"
