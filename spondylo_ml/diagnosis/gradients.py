"""Check that every part of the loss reaches its head, and list parameters that none reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.diagnosis.preserve_state import preserve_state
from spondylo_ml.diagnosis.results import CheckResult, check_result
from spondylo_ml.models.base import LandmarkModel

NAME = "gradients"
LISTED = 5


@dataclass(frozen=True)
class GradientCensus:
    """Losses and gradients of one batch.

    Attributes:
        parts: value of each part of the loss.
        faults: faults of the parts, in words.
        unreached: parameters that no part of the loss depends on.
        unexpected: those of them that the model does not declare unused.
        silent: parameters whose gradient is exactly 0 on this batch, although the loss depends on them.
    """

    parts: dict[str, float]
    faults: tuple[str, ...]
    unreached: tuple[str, ...]
    unexpected: tuple[str, ...]
    silent: tuple[str, ...]


def gradient_census(model: LandmarkModel, batch: FilmBatch) -> GradientCensus:
    """Losses and gradients of a batch in train mode; the model and the random state are unchanged."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with preserve_state(model), torch.enable_grad():
        parts = model.train().losses(batch)
        faults = [fault for part in parts if (fault := _fault(part, parts[part], named, model.loss_heads().get(part)))]
        faults += [
            f"the part {part!r} has a weight but is not computed" for part in model.loss_heads() if part not in parts
        ]
        differentiable = [value for value in parts.values() if value.requires_grad]
        gradients: Sequence[Tensor | None] = [None] * len(named)
        if differentiable:
            gradients = torch.autograd.grad(torch.stack(differentiable).sum(), list(named.values()), allow_unused=True)
    by_name = dict(zip(named, gradients, strict=True))
    declared_unused = model.unused_parameters()
    unreached = tuple(name for name, gradient in by_name.items() if gradient is None)
    return GradientCensus(
        parts={part: float(value.detach()) for part, value in parts.items()},
        faults=tuple(faults),
        unreached=unreached,
        unexpected=tuple(name for name in unreached if name not in declared_unused),
        silent=tuple(name for name, g in by_name.items() if g is not None and not bool(g.any())),
    )


def check_gradients(census: GradientCensus) -> CheckResult:
    """Check that each part is finite and reaches its head, and that unreached parameters are declared unused."""
    faults = list(census.faults)
    if census.unexpected:
        more = f" and {len(census.unexpected) - LISTED} more" if len(census.unexpected) > LISTED else ""
        faults.append(f"no part reaches {', '.join(census.unexpected[:LISTED])}{more}")
    n_unused = len(census.unreached) - len(census.unexpected)
    sound = f"{', '.join(census.parts)}: each reaches its head; {n_unused} parameter tensors are not in use"
    return check_result(
        NAME,
        not faults,
        "; ".join(faults) or sound,
        float(len(faults)),
        0.0,
        "faults",
        "Look for detach(), no_grad() or a head that is not called between the network and that loss; set the "
        "weight of an unwanted part to 0 in the section loss. If a loss is not finite, lower its weight or train with "
        "training.precision=fp32.",
        census.unreached,
    )


def _fault(part: str, value: Tensor, named: dict[str, torch.nn.Parameter], head: str | None) -> str:
    """The fault of a part of the loss, or an empty text.

    A part that is exactly 0 on these films may have a gradient of 0.
    """
    number = float(value.detach())
    if not math.isfinite(number):
        return f"the part {part!r} is {number}"
    head_parameters = [p for name, p in named.items() if name.startswith(head or "")]
    if not value.requires_grad or not head_parameters:
        return f"the part {part!r} does not reach {head or 'any parameter'}: it has no gradient"
    gradients = torch.autograd.grad(value, head_parameters, retain_graph=True, allow_unused=True)
    reached = [gradient for gradient in gradients if gradient is not None]
    if not reached:
        return f"the part {part!r} does not reach {head or 'any parameter'}: the two are not connected"
    if not all(bool(gradient.isfinite().all()) for gradient in reached):
        return f"the part {part!r} has a gradient that is not finite"
    if number != 0 and not any(bool(gradient.any()) for gradient in reached):
        return f"the part {part!r} is {number:.3g}, but its gradient on {head or 'all parameters'} is 0"
    return ""
