"""Trying a model without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """The model's running statistics and modes, and torch's random state, are afterwards as they were.

    Weights and gradients are not kept: whoever tries a model takes its gradients by `torch.autograd.grad`.
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
    """Where its weights lie; the CPU for a model without weights."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
