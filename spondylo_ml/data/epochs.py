"""Which films each batch of an epoch holds, and how several processes share them.

The order depends only on seed and epoch, and each batch holds the same films whatever the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from torch.utils.data import Sampler

from spondylo_ml.processes import ALONE, Process

T = TypeVar("T")

FEWEST_FILMS = 2
"""Batch norm cannot compute a variance from a single film whose deepest features are one cell."""


class EpochIndex(NamedTuple):
    """A film to load, and the epoch and the showing within it that seed its augmentation."""

    epoch: int
    row: int
    showing: int = 0


class EpochSampler(Sampler[EpochIndex]):
    """A new order in each epoch, which depends only on seed and epoch and so is the same after a restart."""

    def __init__(self, count: int, seed: int, first_epoch: int = 0, shown: int = 1) -> None:
        """Args:
        first_epoch: epoch to start with, for a resumed training run: Lightning calls `set_epoch` only after a worker
            has fetched the first films.
        shown: how often an epoch shows each film.
        """
        self._count, self._seed, self._epoch, self._shown = count, seed, first_epoch, shown

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count * self._shown

    def __iter__(self) -> Iterator[EpochIndex]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self))
        return iter([EpochIndex(self._epoch, int(i % self._count), int(i // self._count)) for i in order])


class Share(NamedTuple):
    """A process's share of a batch.

    Attributes:
        n_films: films of the whole batch.
        fraction: of these films in this process; 0 if its films only stand in, since each process has to take part.
    """

    n_films: int
    fraction: float


class SharedBatches(Sampler[list[EpochIndex]]):
    """A process's share of each batch of an epoch; a last batch of a single film is left out.

    All processes have equal shares of a whole batch. Those of a smaller last batch differ by a film at most; where it
    is too small, some processes have none, and load films of the first one instead.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, process: Process = ALONE) -> None:
        """Args: batch_size: films of all processes, a multiple of their number."""
        self.sampler = sampler  # Lightning calls its set_epoch
        self._batch_size, self._process = batch_size, process
        left_over = len(sampler) % batch_size
        self._n_films = len(sampler) - (left_over if left_over < FEWEST_FILMS and len(sampler) > batch_size else 0)

    def __len__(self) -> int:
        return math.ceil(self._n_films / self._batch_size)

    def __iter__(self) -> Iterator[list[EpochIndex]]:
        order = list(self.sampler)
        for step in range(len(self)):
            sizes = self._sizes(step)
            first = step * self._batch_size + sum(sizes[: self._process.rank])
            own = order[first : first + sizes[self._process.rank]]
            yield own or order[step * self._batch_size :][: sizes[0]]

    def share(self, step: int) -> Share:
        """This process's share of the batch of a step, from 0."""
        sizes = self._sizes(step)
        return Share(sum(sizes), sizes[self._process.rank] / sum(sizes))

    def _sizes(self, step: int) -> list[int]:
        """The number of films of each process in a step."""
        n_films = min(self._batch_size, self._n_films - step * self._batch_size)
        n_processes = self._process.count
        fewest = min(FEWEST_FILMS, self._batch_size // n_processes)
        taking = max(1, min(n_processes, n_films // fewest))
        sizes = [n_films // taking + (rank < n_films % taking) for rank in range(taking)]
        return sizes + [0] * (n_processes - taking)


def in_turn(batches: Sequence[T], process: Process) -> list[T]:
    """The batches that a process takes where they are dealt out in turn.

    Each process has the same number of batches; where there is none left for it, it has the last one again.
    """
    rounds = math.ceil(len(batches) / process.count)
    last = len(batches) - 1
    return [batches[min(turn * process.count + process.rank, last)] for turn in range(rounds)]
