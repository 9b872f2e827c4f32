"""An error that names the batch size to try, where a device ran out of memory in training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.errors import OutOfMemoryError
from spondylo_ml.training.distributed import this_process

_OF_CPU = "DefaultCPUAllocator"
"""In the message of the plain RuntimeError that torch raises without a GPU."""


@contextmanager
def naming_batch_size(training: TrainingConfig, device: str) -> Iterator[None]:
    """Raise `OutOfMemoryError` in place of torch's error.

    Args:
        device: its name, for the message.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _OF_CPU not in str(error):
            raise
        raise OutOfMemoryError(device, training.batch_size, _advice(training)) from error


def _advice(training: TrainingConfig) -> str:
    processes = this_process().count
    if training.batch_size <= processes:
        return "lower data.input_side_px, or choose a smaller model"
    half = max(processes, training.batch_size // 2 // processes * processes)
    batches = math.ceil(training.batch_size * training.accumulate_batches / half)
    return (
        f"start a new run with training.batch_size={half}; with training.accumulate_batches={batches} a step still "
        "learns from as many films"
    )
