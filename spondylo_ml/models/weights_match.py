"""Compare a file of weights with a network: how much fits, and for which network the file seems to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.zoo import build_model

State = Mapping[str, Tensor]

LEAST_SHARE = 0.95
"""Share of a network's tensors, and of the values in them, that must fit: the rest stays random."""


@dataclass(frozen=True)
class Fit:
    """How much of a network a file contains: tensors of the same name and shape, with finite values.

    Attributes:
        tensors: names that fit.
        of_tensors: number of tensors of the network.
        value_share: share of the network's values that the fitting tensors hold.
        first_left: name of the first tensor that does not fit; empty if all do.
    """

    tensors: frozenset[str]
    of_tensors: int
    value_share: float
    first_left: str

    @property
    def enough(self) -> bool:
        """Whether enough of the network fits.

        Tensors count as well as values: batch norm has most of the tensors and few of the values, and a network with
        other normalisation is another network.
        """
        return self.value_share >= LEAST_SHARE and len(self.tensors) >= LEAST_SHARE * self.of_tensors

    def in_words(self) -> str:
        """The fit as a sentence for an error message."""
        example = f", first {self.first_left}" if self.first_left else ""
        return (
            f"{len(self.tensors)} of {self.of_tensors} weights fit ({100 * self.value_share:.1f} % of the values; "
            f"{100 * LEAST_SHARE:.0f} % of both are needed); the others are missing, of another shape or not "
            f"finite{example}"
        )


def fit_of(file: State, network: State) -> Fit:
    """How much of the network's tensors is in the file, ignoring the counters of batch norm."""
    counted = {name: value for name, value in network.items() if not name.endswith("num_batches_tracked")}
    fitting = frozenset(
        name
        for name, value in counted.items()
        if name in file and file[name].shape == value.shape and _is_finite(file[name])
    )
    values = sum(value.numel() for value in counted.values())
    held = sum(counted[name].numel() for name in fitting)
    first_left = next((name for name in counted if name not in fitting), "")
    return Fit(fitting, len(counted), held / max(1, values), first_left)


def seems_to_be(file: State) -> str:
    """Name of the model or backbone that the file fits best; empty if none fits."""
    shares: dict[str, float] = {}
    for name in MODEL_NAMES:
        config = Config.model_validate({"model": {"name": name}, "training": {"epochs": 1}})
        with torch.device("meta"):
            model = build_model(config, SlotRange(0, 10))
        shares[name] = _shared(file, model.state_dict())
        if model.backbone_net is not None:
            backbone = model.backbone_net
            shares[f"the timm network {backbone.name}"] = _shared(file, backbone.network.state_dict())
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= LEAST_SHARE else ""


def _shared(file: State, network: State) -> float:
    """Share of the network's values that the file contains, by name and shape."""
    shared = sum(v.numel() for name, v in network.items() if name in file and file[name].shape == v.shape)
    return shared / max(1, sum(v.numel() for v in network.values()))


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
