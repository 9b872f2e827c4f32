"""The process that works on a run, as tags of the run, and whether it has died without ending the run.

Only the machine of the process can tell. A process id alone does not: another process may have it by now, and it means
nothing after a restart of the machine. Therefore the tags also hold when the process started, counted from the start of
the machine. What cannot be read, such as processes that the system hides, says nothing.
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
ENDED = "ended"
_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")


def process_tags() -> dict[str, str]:
    """Tags of the run on which this process works."""
    started = _Start.of(os.getpid())
    return {HOST: _host(), PID: str(os.getpid()), STARTED: str(started) if started else ""}


def has_died(run: Run) -> bool:
    """Whether the store shows the run as running although its process has ended, which was on this machine.

    False wherever that is not certain: for another machine or container, for what this system does not tell, and a run
    without these tags.
    """
    tags = run.data.tags
    pid, then = tags.get(PID, ""), _Start.parse(tags.get(STARTED, ""))
    if run.info.status not in OPEN or tags.get(HOST) != _host() or not pid.isdecimal():
        return False
    here = _Start.of(os.getpid())
    if then is None or here is None:  # some systems do not tell when a process started: then neither is known
        return then is here and _is_absent(int(pid))
    if here.boot != then.boot:  # restarted, or another machine of the same name
        return bool(_machine_id())
    if here.namespace != then.namespace:
        return False
    now = _Start.of(int(pid))
    return _is_absent(int(pid)) if now is None else now != then


def process_text(run: Run) -> str:
    """The process of a run in words."""
    return f"process {run.data.tags.get(PID)} on {run.data.tags.get(HOST, '').partition(' ')[0]}"


@dataclass(frozen=True)
class _Start:
    """When a process started: the start of the machine, the namespace of process ids, and clock ticks since then.

    Instead of the ticks, `ENDED` for a process that has ended and whose exit code nobody has asked for.
    """

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
        """That of a process; None if there is none, it cannot be read, or the system is not Linux."""
        try:
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
            namespace = os.readlink(_PROC / "self/ns/pid")
            state, *numbers = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return cls(boot, namespace, ENDED if state in "ZX" else numbers[18])


def _is_absent(pid: int) -> bool:
    """Whether the system says that no process has this id."""
    if os.name == "nt":  # os.kill would end the process
        return not psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)  # psutil looks into /proc as well, where a living process may be hidden
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _host() -> str:
    """The name of this machine, with a digest of its id where it has one: many are called localhost."""
    return f"{socket.gethostname()} {hashlib.sha256(b'spondylo_ml' + _machine_id()).hexdigest()[:12]}"


@cache
def _machine_id() -> bytes:
    """What tells this machine from others of its name; empty if it has nothing like that."""
    try:
        return _MACHINE_ID.read_bytes().strip()
    except OSError:
        return b""
