"""What a model costs: memory and time, measured in the process that asks."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import torch

BYTES_PER_MB = 1e6
WARM_UP_CALLS = 3


def peak_memory_mb() -> float:
    """Most main memory that this process has held, without the processes that it started; NaN on Windows."""
    if sys.platform == "win32":
        return math.nan
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_MB


def peak_gpu_memory_mb() -> float:
    """Most memory that tensors have held on the GPU; NaN where this process used none."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return used / BYTES_PER_MB if used else math.nan


def latency_ms(calls: Iterable[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median time of the calls after the first `WARM_UP_CALLS`, ms; NaN where no more are given."""
    taken = []
    for call in calls:
        started = clock()
        call()
        taken.append(1000 * (clock() - started))
    return statistics.median(taken[WARM_UP_CALLS:]) if len(taken) > WARM_UP_CALLS else math.nan
