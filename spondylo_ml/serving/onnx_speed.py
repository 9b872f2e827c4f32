"""Compare the speed of torch and ONNX Runtime for one network on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import Any

import torch

from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.onnx_network import COMPUTE
from spondylo_ml.training.cost import time_ms
from spondylo_ml.training.device import choose_compute

BATCHES = (1, 8)
LEAST_ROUNDS, MOST_ROUNDS = 3, 31
SECONDS = 10.0
"""Time spent on each batch size, for at least `LEAST_ROUNDS` and at most `MOST_ROUNDS` rounds."""

Autocast = Callable[[], AbstractContextManager[Any]]
Contender = tuple[torch.nn.Module, Autocast]


def measure_speed(bundle: Bundle, onnx_bundle: Bundle, seconds: float = SECONDS) -> dict[str, Any]:
    """Median milliseconds per batch for each backend, by batch size.

    The backends alternate, so that other load on the machine affects them equally. `torch_fp32` has the precision of
    ONNX Runtime and of `predict`; `torch_bf16` is measured too where the processor supports it.
    """
    automatic = choose_compute(bundle.config.training.model_copy(update={"device": "cpu", "precision": "auto"}))
    contenders: dict[str, Contender] = {"torch_fp32": (bundle.model, COMPUTE.autocast)}
    if automatic.precision != "fp32":
        contenders[f"torch_{automatic.precision}"] = (bundle.model, automatic.autocast)
    contenders["onnx"] = (onnx_bundle.model, COMPUTE.autocast)
    by_batch = {}
    for batch in BATCHES:
        images = torch.randint(0, 256, (batch, 1, *bundle.config.data.network_input_hw), dtype=torch.uint8)
        by_batch[str(batch)] = _alternate(contenders, images, seconds)
    return {"threads": torch.get_num_threads(), "milliseconds_a_batch": by_batch}


def _alternate(contenders: dict[str, Contender], images: torch.Tensor, seconds: float) -> dict[str, float]:
    calls = {name: partial(_run, *contender, images) for name, contender in contenders.items()}
    for call in calls.values():
        call()  # first calls also plan and allocate
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    rounds, start = 0, time.perf_counter()
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and time.perf_counter() - start < seconds):
        for name, call in calls.items():
            times_ms[name].append(time_ms(call))
        rounds += 1
    return {name: round(median(times), 2) for name, times in times_ms.items()} | {"rounds": rounds}


def _run(network: torch.nn.Module, autocast: Autocast, images: torch.Tensor) -> None:
    with torch.inference_mode(), autocast():
        network(images)
