"""Check that a training step fits into memory, and find the batch size that does.

Memory for the backward pass is estimated from the tensors that autograd saves in the forward pass of a few films. That
works on any device and allocates no more than those few films need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.diagnosis.preserve_state import preserve_state
from spondylo_ml.diagnosis.results import CheckResult, check_result
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.distributed import this_process

NAME = "memory"
GIB = 1024**3
MOMENTS = {"adam": 2, "adamw": 2, "radam": 2, "sgd": 1}
IN_FLIGHT = 4
"""Extra tensors of the largest size in the backward pass: incoming and outgoing gradients, and work space."""
USABLE = 0.9
"""Usable share of the free memory: the rest allows for fragmentation and other processes."""
FEW, MORE = 2, 3
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training run needs besides films and weights.

    Attributes:
        fixed: gradients, optimiser moments, averaged weights, and all else that does not depend on the batch size.
        per_film: bytes for each film of a batch.
    """

    fixed: int
    per_film: int

    def needed(self, batch_size: int) -> int:
        """Bytes of a step with this batch size."""
        return self.fixed + self.per_film * batch_size

    def batch_that_fits(self, available: int) -> int:
        """Largest batch for which `USABLE` of the available bytes suffice; 0 if none fits."""
        return max(0, int((USABLE * available - self.fixed) // max(1, self.per_film)))


def footprint(model: LandmarkModel, batch_of: Callable[[int], FilmBatch], config: TrainingConfig) -> Footprint:
    """The footprint, from forward passes of two batch sizes.

    Args:
        batch_of: gives a batch of this many films on the model's device.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    few, more = (_kept_bytes(model, batch_of(count)) for count in (FEW, MORE))
    per_film = max(0, (more - few) // (MORE - FEW))
    copies = 1 + MOMENTS[config.optimizer] + (config.ema_decay > 0)
    return Footprint(copies * weights + max(0, few - FEW * per_film), per_film)


def check_memory(need: Footprint, config: TrainingConfig, n_films: int, available: int) -> CheckResult:
    """Check that this process's share of a step with the configured batch size fits; otherwise advise a size that does.

    Args:
        n_films: number of training films, the largest possible batch.
        available: free bytes on the device.
    """
    processes = this_process().count
    batch = min(config.batch_size // processes, n_films)
    fitting = need.batch_that_fits(available)
    needed = need.needed(batch)
    text = f"a step of {batch} films needs about {_gib(needed)} GiB of {_gib(available)} GiB that are free"
    steps = math.ceil(config.accumulate_batches * batch / max(1, fitting))
    advice = (
        f"training.batch_size={processes * fitting} would fit; with training.accumulate_batches={steps} a step still "
        "learns from as many films. Or lower data.input_side_px."
        if fitting
        else "Not even one film fits: lower data.input_side_px, or choose a smaller model."
    )
    return check_result(NAME, batch <= fitting, text, needed / GIB, USABLE * available / GIB, "GiB", advice)


def available_bytes(device: torch.device) -> int:
    """Free memory of a GPU, including unused memory reserved by torch, or of the CPU within its container's limit.

    Processes that train on one machine share the latter.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    free = int(psutil.virtual_memory().available)
    limit = container_free_bytes(CGROUP)
    return (free if limit is None else min(free, limit)) // this_process().per_machine


def container_free_bytes(folder: Path) -> int | None:
    """Free bytes of a container's control group (version 2); None if there is none or it has no limit.

    Cached files count as used there but can be evicted at any time, so they are added.
    """
    try:
        limit, used = ((folder / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
        lines = [line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    if limit == "max":
        return None
    cached = sum(int(value) for name, value in lines if name == "inactive_file")
    return int(limit) - int(used) + cached


def _kept_bytes(model: LandmarkModel, batch: FilmBatch) -> int:
    """Bytes saved for the backward pass, without the weights, plus those in flight during it."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        preserve_state(model),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        # The losses keep the graph, and thus every counted tensor, alive until the end.
        losses = model.train().losses(batch)
        total = sum(kept.values()) + IN_FLIGHT * max(kept.values(), default=0)
        del losses
    return total


def _gib(count: int) -> str:
    return f"{count / GIB:.2f}"
