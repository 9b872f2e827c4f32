"""One training run in several processes: the first one leads, as if it were alone, and the others train with it.

The first process reads the command line, opens the run in MLflow, and logs, draws, prints and saves. The others read
the same films and compute their share of each batch.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.config import Config
from spondylo_ml.errors import ConfigError, DataError, LostProcessError, SpondyloError
from spondylo_ml.models.zoo import build_model
from spondylo_ml.processes import launched_process
from spondylo_ml.training.device import choose_compute
from spondylo_ml.training.distributed import broadcast_from_rank0, process_group, this_process
from spondylo_ml.training.fit import fit_with_first
from spondylo_ml.workflows.train.films import load_training_films, prepare_parts, resolve_from_films


@dataclass(frozen=True)
class Plan:
    """What the other processes need to know of a training run."""

    config: Config
    resume_from: Path | None


@contextmanager
def leading() -> Iterator[None]:
    """Lead the processes that torchrun started, for the runs of the block; the others end with it."""
    with process_group():
        yield
        broadcast_from_rank0(None)


def announce(config: Config, resume_from: Path | None) -> None:
    """Tell the other processes which run comes next.

    Raises:
        ConfigError: the films of a batch cannot be shared equally; or the command line did not start this process.
    """
    count, batch_size = launched_process().count, config.training.batch_size
    if count == 1:
        return
    if this_process().count == 1:
        raise ConfigError("under torchrun, models are trained by the command: torchrun ... -m spondylo_ml train")
    if batch_size % count:
        raise ConfigError(
            f"training.batch_size: given {batch_size}, the films of a step in all {count} processes, which cannot be "
            f"shared equally: give a multiple of {count}, such as {count * -(-batch_size // count)}, or start another "
            "number of processes"
        )
    broadcast_from_rank0(Plan(config, resume_from.resolve() if resume_from else None))


def follow() -> None:
    """Train with the first process until it has no more runs; prints nothing.

    Raises:
        SpondyloError: an error of this process, with its number and machine.
        SystemExit: another process has ended, which says why.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # there is nothing to clean up
        signal.signal(number, signal.SIG_DFL)
    os.environ.pop("MLFLOW_RUN_ID", None)  # the first process goes on with that run
    logging.disable(logging.ERROR)
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), process_group():
            while (plan := _next_plan()) is not None:
                _train_with_first(plan)
    except LostProcessError:
        raise SystemExit(1) from None
    except SpondyloError as error:
        process = launched_process()
        where = f"process {process.rank + 1} of {process.count} on {socket.gethostname()}"
        raise SpondyloError(f"{where}: {error}") from None


def _next_plan() -> Plan | None:
    return broadcast_from_rank0(None)


def _train_with_first(plan: Plan) -> None:
    if plan.resume_from is not None and not plan.resume_from.is_file():
        raise DataError(
            f"{plan.resume_from}, from which the run resumes, does not exist here: start it in a folder that all "
            "machines share"
        )
    films, _, _ = load_training_films(plan.config)
    config = resolve_from_films(plan.config, films)
    model = build_model(config, films.slots)
    prepared = prepare_parts(config, films.part("train"), films.part("val"), films.slots)
    fit_with_first(model, config, choose_compute(config.training), prepared, plan.resume_from)
