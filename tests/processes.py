"""Runs functions in several processes of one group, as torchrun would start them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from servers import free_port

from spondylo_ml.training.distributed import process_group


@dataclass(frozen=True)
class Failure:
    """An exception of a process."""

    kind: type[Exception]
    message: str


def environment_of(rank: int, count: int, port: int) -> dict[str, str]:
    """The variables that torchrun sets on one machine."""
    values = {
        "TORCHELASTIC_RUN_ID": "test", "RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count,
        "GROUP_RANK": 0, "GROUP_WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    return {name: str(value) for name, value in values.items()}


def in_processes(work: Callable[[int], Any], count: int = 2, timeout_s: float = 120) -> list[Any]:
    """What `work` returns for each rank, in a forked process of each; a `Failure` where it raises."""
    fork, port = multiprocessing.get_context("fork"), free_port()
    processes, results = [], []
    for rank in range(count):
        result, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_run, args=(work, environment_of(rank, count, port), sender))
        process.start()
        sender.close()
        processes.append(process)
        results.append(result)
    try:
        assert all(result.poll(timeout_s) for result in results), "the processes wait for each other"
        return [pickle.loads(result.recv_bytes()) for result in results]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _run(work: Callable[[int], Any], environment: dict[str, str], sender: Connection) -> None:
    os.environ.update(environment)
    try:
        with process_group():
            result = work(int(environment["RANK"]))
    except Exception as error:
        result = Failure(type(error), str(error))
    sender.send_bytes(pickle.dumps(result))  # not send: it would share tensors with a process that ends
