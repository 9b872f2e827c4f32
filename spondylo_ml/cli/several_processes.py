"""Commands under torchrun, which starts each of them several times."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from spondylo_ml.errors import ConfigError
from spondylo_ml.processes import launched_process

TRAIN = "train"
HELP = {"-h", "--help", "--help-all"}


def runs_here(arguments: Sequence[str]) -> bool:
    """Whether this process runs the command; if torchrun started others before it, it first trains with them.

    Raises:
        ConfigError: a command that does not train in several processes.
        SpondyloError: as `follow`.
    """
    process = launched_process()
    trains = arguments[:1] == [TRAIN] and not HELP & set(arguments)
    if process.is_first:
        if process.count > 1 and arguments[:1] != [TRAIN]:
            raise ConfigError(f"only {TRAIN} runs in several processes: start this command without torchrun")
        return True
    if trains:
        import_module("spondylo_ml.workflows.train.processes").follow()
    return False
