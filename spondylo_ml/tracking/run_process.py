"""The process that works on a run, as tags of the run, and whether it has died without ending the run.

Only the machine of the process can tell. A process id alone does not: another process may have it by now, and it means
nothing after a restart of the machine. Therefore the tags also hold when the process started, counted from the start of
the machine.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
from mlflow.entities import Run

from spondylo_ml.tracking.outcome import OPEN

HOST, PID, STARTED = "process_host", "process_id", "process_started"
_PROC = Path("/proc")


def process_tags() -> dict[str, str]:
    """Tags of the run on which this process works."""
    started = _Start.of(os.getpid())
    return {HOST: _host(), PID: str(os.getpid()), STARTED: str(started) if started else ""}


def has_died(run: Run) -> bool:
    """Whether the store shows the run as running although its process has ended, which was on this machine.

    False wherever that is not certain: for another machine or container, and a run without these tags.
    """
    tags = run.data.tags
    pid, then = tags.get(PID, ""), _Start.parse(tags.get(STARTED, ""))
    if run.info.status not in OPEN or tags.get(HOST) != _host() or not pid.isdigit():
        return False
    if then is None:  # this system does not tell when a process started
        return not psutil.pid_exists(int(pid))
    here = _Start.of(os.getpid())
    if here is None or here.boot != then.boot:
        return here is not None
    return here.namespace == then.namespace and _Start.of(int(pid)) != then


def process_text(run: Run) -> str:
    """The process of a run in words."""
    return f"process {run.data.tags.get(PID)} on {run.data.tags.get(HOST, '').partition(' ')[0]}"


@dataclass(frozen=True)
class _Start:
    """When a process started: the start of the machine, the namespace of process ids, and clock ticks since then."""

    boot: str
    namespace: str
    ticks: str

    def __str__(self) -> str:
        return f"{self.boot} {self.namespace} {self.ticks}"

    @classmethod
    def parse(cls, text: str) -> _Start | None:
        parts = text.split(" ")
        return cls(*parts) if len(parts) == 3 else None

    @classmethod
    def of(cls, pid: int) -> _Start | None:
        """That of a process that lives; None if there is none, or the system is not Linux."""
        try:
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
            namespace = os.readlink(_PROC / "self/ns/pid")
            state, *numbers = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else cls(boot, namespace, numbers[18])  # a zombie has ended


@cache
def _host() -> str:
    """The name of this machine, with a digest of its id where it has one: many are called localhost."""
    try:
        number = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        number = b""
    return f"{socket.gethostname()} {hashlib.sha256(b'spondylo_ml' + number).hexdigest()[:12]}"
