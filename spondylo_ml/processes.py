"""The processes of one training run, as `torchrun` starts them. Read from its environment, without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spondylo_ml.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")


@dataclass(frozen=True)
class Process:
    """One of the processes that train a model together.

    Attributes:
        rank: its number, from 0; the first process alone logs, and writes files.
        count: number of processes on all machines.
        per_machine: number of processes on each machine.
    """

    rank: int = 0
    count: int = 1
    per_machine: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process logs, writes files and says what happens."""
        return self.rank == 0


ALONE = Process()


def launched_process() -> Process:
    """This process as torchrun started it; `ALONE` without torchrun.

    Raises:
        ConfigError: the machines have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    rank, count, per_machine, machines = (int(os.environ[name]) for name in VARIABLES)
    if count != per_machine * machines:
        raise ConfigError(
            f"torchrun started {count} processes on {machines} machines, {per_machine} of them on this one: give each "
            "machine the same number (--nproc-per-node)"
        )
    return Process(rank, count, per_machine)
