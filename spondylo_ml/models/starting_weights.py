"""Weights of a trained model as the start of another training run, also for a part of its levels.

Every tensor must fit: a network that differs in anything but its levels is refused. Parts that a model declares as
added ones (`LandmarkModel.added_parts`) may be missing as a whole and then start at random. A tensor with an axis over
the levels has its rows ordered by slot, from the lowest up, with the same number of rows for each; statistics of the
steps between neighbouring levels have one row less.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel


def start_from(model: LandmarkModel, state: Mapping[str, Tensor], slots: SlotRange, source: str) -> None:
    """Load the weights of a model with the levels `slots` into `model`, which has the same levels or fewer.

    Args:
        source: name of the model that the weights are from, for messages.

    Raises:
        ConfigError: the films have levels that the source lacks, or the networks differ.
    """
    lacking = [name for name in model.slots.names if name not in slots.names]
    if lacking:
        raise ConfigError(
            f"model.pretrained: {source} has the levels {_ends(slots)}, the films {_ends(model.slots)}: it cannot go "
            f"on for {', '.join(lacking)}. Leave these levels out (data.first_slot={slots.first}, "
            f"data.n_slots={slots.count}), or give a model that has them"
        )
    wanted = model.state_dict()
    fitting = {name: _of_levels(state[name], value.shape, slots, model.slots) for name, value in wanted.items()
               if name in state}  # fmt: skip
    new = _new_parts(model, state)
    wrong = [name for name in wanted if fitting.get(name) is None and not name.startswith(new)] + [
        name for name in state if name not in wanted
    ]
    if wrong:
        raise ConfigError(
            f"model.pretrained: the network of {source} differs from the configured one in {len(wrong)} of "
            f"{len(wanted)} weights, first {wrong[0]}: leave out the values of the section model that you have set"
        )
    model.load_state_dict({name: value for name, value in fitting.items() if value is not None}, strict=not new)


def _new_parts(model: LandmarkModel, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Prefixes of the parts that a model may have added to a trained one, and of which the trained one has nothing."""
    return tuple(part for part in model.added_parts if not any(name.startswith(part) for name in state))


def _of_levels(value: Tensor, shape: torch.Size, source: SlotRange, target: SlotRange) -> Tensor | None:
    """The rows of the target's levels along each axis where the sizes differ; None if it is not an axis over levels."""
    if value.ndim != len(shape):
        return None
    for axis, (given, needed) in enumerate(zip(value.shape, shape, strict=True)):
        rows = _rows(given, needed, source, target)
        if rows is None:
            return None
        value = value.narrow(axis, *rows)
    return value


def _rows(given: int, needed: int, source: SlotRange, target: SlotRange) -> tuple[int, int] | None:
    """First row and number of rows of the target's levels."""
    first = target.first - source.first
    if given == needed:
        return 0, needed
    if given * target.count == needed * source.count and given % source.count == 0:
        return first * given // source.count, needed
    return (first, needed) if (given, needed) == (source.count - 1, target.count - 1) else None


def _ends(slots: SlotRange) -> str:
    return f"{slots.names[0]} to {slots.names[-1]}"
