"""The process that works on a run, as tags of the run, and whether it lives or has died without ending the run.

Only the machine of the process can tell. A process id alone does not: another process may have it by now, and it means
nothing after a restart of the machine. Therefore the tags also hold when the process started, counted from the start of
the machine. What cannot be read, such as processes that the system hides, says nothing.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import psutil
from mlflow.entities import Run

from spondylo_ml.errors import RunInUseError
from spondylo_ml.tracking.outcome import OPEN

HOST, PID, STARTED = "process_host", "process_id", "process_started"
ENDED = "ended"
_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")


def process_tags() -> dict[str, str]:
    """Tags of the run on which this process works."""
    started = _Start.of(os.getpid())
    return {HOST: _host(), PID: str(os.getpid()), STARTED: str(started) if started else ""}


class ProcessState(Enum):
    """What is certain of the process of a run.

    UNKNOWN for another machine or container, for what this system does not tell, and for a run without these tags.
    """

    OWN = "this process"
    LIVES = "lives"
    DIED = "died"
    UNKNOWN = "unknown"


def process_state(run: Run) -> ProcessState:
    """What is certain of the process that last opened the run."""
    pid, then = run.data.tags.get(PID, ""), _Start.parse(run.data.tags.get(STARTED, ""))
    if run.data.tags.get(HOST) != _host() or not pid.isdecimal():
        return ProcessState.UNKNOWN
    here = _Start.of(os.getpid())
    if then is None or here is None:  # some systems do not tell when a process started: then neither is known
        return _died_or_unknown(then is here and _is_absent(int(pid)))
    if here.boot != then.boot:  # restarted, or another machine of the same name
        return _died_or_unknown(bool(_machine_id()))
    if here.namespace != then.namespace:
        return ProcessState.UNKNOWN
    now = _Start.of(int(pid))
    if now is None:
        return _died_or_unknown(_is_absent(int(pid)))
    if now != then:
        return ProcessState.DIED
    return ProcessState.OWN if int(pid) == os.getpid() else ProcessState.LIVES


def has_died(run: Run) -> bool:
    """Whether the store shows the run as running although its process has certainly ended."""
    return run.info.status in OPEN and process_state(run) is ProcessState.DIED


def is_abandoned(run: Run) -> bool:
    """Whether the store shows the run as running although its process has certainly ended, or none has opened it."""
    return has_died(run) or (run.info.status in OPEN and HOST not in run.data.tags)


def require_free(run: Run) -> None:
    """Require that no other process works on a run.

    Raises:
        RunInUseError: one does, on this machine.
    """
    if run.info.status in OPEN and process_state(run) is ProcessState.LIVES:
        raise RunInUseError(
            f"run {run.info.run_id} is in use: {process_text(run)} works on it. Wait for it, or end it, then try again"
        )


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


def _died_or_unknown(died: bool) -> ProcessState:
    return ProcessState.DIED if died else ProcessState.UNKNOWN


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
