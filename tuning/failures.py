"""Why a trial failed, in words that are safe to keep in a run."""

from __future__ import annotations

import errno
import gc
import sys

from spondylo_ml.errors import NonFiniteLossError, SpondyloError
from spondylo_ml.tracking.outcome import failure_text

OUT_OF_MEMORY, LOSS_NOT_FINITE = "out of memory", "loss is not finite"


class TrialFailedError(SpondyloError):
    """A trial that ended without a usable value."""


def failure_reason(error: BaseException) -> str:
    """The kind of failure: the same text for the same cause, at any step."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, NonFiniteLossError):
        return LOSS_NOT_FINITE
    return failure_text(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, as far as the error's type shows: torch raises a bare RuntimeError on a CPU."""
    torch = sys.modules.get("torch")  # slow to import, and without it no error is torch's
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def free_memory() -> None:
    """Release what a failed trial held, so that the next one does not fail too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
