"""How long torch and ONNX Runtime take for the same network, here and now."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import median
from typing import Any

import torch

from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.onnx_network import COMPUTE, input_hw
from spondylo_ml.training.device import choose_compute

BATCHES = (1, 8)
LEAST_ROUNDS, MOST_ROUNDS = 3, 31
SECONDS = 10.0
"""A batch size is measured so long, at the least `LEAST_ROUNDS` and at the most `MOST_ROUNDS` times."""


def measure_speed(bundle: Bundle, onnx_bundle: Bundle, seconds: float = SECONDS) -> dict[str, Any]:
    """Median milliseconds a batch of each backend, by batch size.

    The backends take turns, so that whatever else the machine does falls on all of them alike. `torch_fp32` computes as
    ONNX Runtime and `predict` do; `torch_bf16` is there for comparison where the processor has it.
    """
    own = choose_compute(bundle.config.training.model_copy(update={"device": "cpu", "precision": "auto"}))
    contenders = {"torch_fp32": (bundle.model, COMPUTE.autocast)}
    if own.precision != "fp32":
        contenders[f"torch_{own.precision}"] = (bundle.model, own.autocast)
    contenders["onnx"] = (onnx_bundle.model, COMPUTE.autocast)
    by_batch = {}
    for batch in BATCHES:
        images = torch.randint(0, 256, (batch, 1, *input_hw(bundle.config)), dtype=torch.uint8)
        by_batch[str(batch)] = _take_turns(contenders, images, seconds)
    return {"threads": torch.get_num_threads(), "milliseconds_a_batch": by_batch}


def _take_turns(contenders: dict[str, Any], images: torch.Tensor, seconds: float) -> dict[str, float]:
    for network, precision in contenders.values():
        _timed(network, precision, images)  # first calls also plan and allocate
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    rounds, start = 0, time.perf_counter()
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and time.perf_counter() - start < seconds):
        for name, (network, precision) in contenders.items():
            taken[name].append(_timed(network, precision, images))
        rounds += 1
    return {name: round(1000 * median(times), 2) for name, times in taken.items()} | {"rounds": rounds}


def _timed(
    network: torch.nn.Module, precision: Callable[[], AbstractContextManager[Any]], images: torch.Tensor
) -> float:
    with torch.inference_mode(), precision():
        start = time.perf_counter()
        network(images)
        return time.perf_counter() - start
