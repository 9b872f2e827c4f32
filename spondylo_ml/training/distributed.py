"""Collective operations over the processes of one training run; each returns its argument where there is one."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import distributed, nn

from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.errors import ConfigError, LostProcessError
from spondylo_ml.processes import ALONE, Process, launched_process
from spondylo_ml.training.device import Compute

T = TypeVar("T")

LONGEST_WAIT = timedelta(hours=2)
"""For a process that still reads its films; one that has ended is noticed at once."""

_OF_GLOO = ("gloo", "Connection closed by peer", "Connection reset by peer")
"""In the messages of the plain RuntimeError that gloo raises when another process has ended."""


@contextmanager
def process_group() -> Iterator[None]:
    """Be one of the processes that torchrun started, until the block ends.

    Raises:
        LostProcessError: another one has ended.
    """
    if launched_process().count == 1:
        yield
        return
    with naming_lost_process():
        # What is not on the GPU, such as predictions, goes through gloo.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    yield
    distributed.destroy_process_group()


def this_process() -> Process:
    """This process, with its rank in the group; `ALONE` without one."""
    return launched_process() if distributed.is_available() and distributed.is_initialized() else ALONE


def broadcast_from_rank0(value: T) -> T:
    """The value that the first process gives."""
    if this_process().count == 1:
        return value
    values = [value]
    with naming_lost_process():
        distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather_at_rank0(value: T) -> list[T] | None:
    """The values of all processes, in the order of their ranks, in the first one; None in the others."""
    process = this_process()
    if process.count == 1:
        return [value]
    values: list[T] | None = [value] * process.count if process.is_first else None
    with naming_lost_process():
        distributed.gather_object(value, values, dst=0)
    return values


def sum_over_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """The sum over the processes of each value; all give the same names."""
    if this_process().count == 1:
        return dict(values)
    names = sorted(values)
    total = torch.tensor([values[name] for name in names], dtype=torch.float64)
    with naming_lost_process():
        distributed.all_reduce(total)
    by_name = dict(zip(names, total.tolist(), strict=True))
    return {name: by_name[name] for name in values}


def broadcast_buffers(module: nn.Module) -> None:
    """Set the buffers of a module, such as the running statistics of batch norm, to those of the first process."""
    if this_process().count > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)


def require_same_films(films: Mapping[str, Sequence[PreparedFilm]]) -> None:
    """Require that all processes have the same films in the same order: they divide them by their places.

    Raises:
        ConfigError: this process has others than the first one.
    """
    if this_process().count == 1:
        return
    summary = hashlib.blake2b()
    for film in (film for part in sorted(films) for film in films[part]):
        summary.update(film.film.film_id.encode())
        summary.update(film.image.tobytes())
        summary.update(film.corners_xy.tobytes())
    if broadcast_from_rank0(summary.digest()) != summary.digest():
        raise ConfigError(
            "the films differ from those of the first process: give all machines the same folder of films"
        )


def require_device_each(compute: Compute) -> None:
    """Require that each process of this machine has a device of its own.

    Raises:
        ConfigError: it does not.
    """
    process = this_process()
    if process.count == 1 or compute.device == "cpu":
        return
    if compute.device != "cuda":
        raise ConfigError(f"training.device: {compute.device} trains in one process; use cpu, or leave torchrun out")
    if (n_gpus := torch.cuda.device_count()) < process.per_machine:
        raise ConfigError(
            f"torchrun started {process.per_machine} processes on this machine, which has {n_gpus} GPU(s): give "
            "--nproc-per-node=gpu, or train on the processor (training.device=cpu)"
        )


@contextmanager
def naming_lost_process() -> Iterator[None]:
    """Raise `LostProcessError` in place of torch's errors. SIGTERM is then ignored: torchrun is about to send it."""
    try:
        yield
    except RuntimeError as error:
        if launched_process().count == 1 or not _is_of_communication(error):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise LostProcessError from error


def _is_of_communication(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or any(words in str(error) for words in _OF_GLOO)


class OwnSigterm(Callback):
    """Keeps the handler of SIGTERM from before the training, where there are several processes.

    Lightning's handler would tell the other processes in the middle of whatever they tell each other.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set it again; Lightning has set its own just before."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
