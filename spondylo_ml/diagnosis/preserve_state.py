"""Running a model without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Restore the model's buffers and modes, and torch's random state, at the end.

    Weights and gradients are not restored: compute gradients with `torch.autograd.grad`.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    device = device_of(model)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        try:
            yield
        finally:
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
            for module, mode in modes.items():
                module.training = mode


def device_of(model: nn.Module) -> torch.device:
    """The device of a model's weights; the CPU for a model without weights."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
