"""Memory and time that a model costs, measured in the current process."""

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
    """Peak main memory of this process, child processes not counted; NaN on Windows."""
    if sys.platform == "win32":
        return math.nan
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_MB


def peak_gpu_memory_mb() -> float:
    """Peak memory of tensors on the GPU; NaN if this process used none."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return used / BYTES_PER_MB if used else math.nan


def time_ms(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Duration of a call in ms, including its work on the GPU."""
    started = clock()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (clock() - started)


def latency_ms(calls: Iterable[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median duration of the calls after the first `WARM_UP_CALLS`, ms; NaN if there are no more."""
    times = [time_ms(call, clock) for call in calls][WARM_UP_CALLS:]
    return statistics.median(times) if times else math.nan
