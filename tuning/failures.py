"""Why a trial failed, in words that a run may keep."""

from __future__ import annotations

import gc
import sys

from spondylo_ml.errors import NonFiniteLossError, SpondyloError
from spondylo_ml.tracking.store import failure_text

OUT_OF_MEMORY, NOT_FINITE = "out of memory", "loss is not finite"
MEMORY_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


class TrialFailedError(SpondyloError):
    """A trial that ended without a value that counts."""


def reason(error: BaseException) -> str:
    """The kind of failure: the same text for the same cause, wherever in a training it arose."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, NonFiniteLossError):
        return NOT_FINITE
    return failure_text(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or off it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error).lower() for words in MEMORY_PHRASES)


def free_memory() -> None:
    """Give back what a failed trial held, so that it does not take the next one down."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
