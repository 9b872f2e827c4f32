"""Weights in half precision: files of half the size, whose values are those of the model that was evaluated.

Only matrices and kernels are halved, which are nearly all of a network. Biases, normalisation and statistics keep their
precision, since a running variance may exceed the range of half precision. Loading turns all into single precision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondylo_ml.errors import DataError


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round the weights that `halved_state` halves, so that the model computes what its file will.

    Raises:
        DataError: a weight exceeds the range of half precision.
    """
    state = halved_state(model)
    model.load_state_dict(state)


def halved_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the model by name, parameters of two or more axes in half precision.

    Raises:
        DataError: a weight exceeds the range of half precision.
    """
    kernels = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    state = {name: value.half() if name in kernels else value for name, value in model.state_dict().items()}
    if overflow := [name for name in kernels if not state[name].isfinite().all()]:
        raise DataError(f"{min(overflow)} has a weight beyond the range of half precision: save it in single precision")
    return state
