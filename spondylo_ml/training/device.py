"""Chooses device and precision once, with a reason that is logged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.errors import ConfigError

# Otherwise cuDNN rounds the inputs of convolutions to 10 bits (TF32) under the name of single precision.
torch.backends.cudnn.allow_tf32 = False


@dataclass(frozen=True)
class Compute:
    """A device, its precision, and the reason for the choice.

    Attributes:
        device: cpu, cuda or mps.
        precision: fp32, or bf16 for automatic mixed precision.
    """

    device: str
    precision: Literal["fp32", "bf16"]
    reason: str

    @property
    def lightning_precision(self) -> Literal["bf16-mixed", "32-true"]:
        """Lightning's name for the precision."""
        return "bf16-mixed" if self.precision == "bf16" else "32-true"

    def exact(self) -> Compute:
        """The same device in single precision.

        Predictions must agree between machines, and bf16 with its 8 significant bits is not precise enough: it moves
        peaks by most of a pixel and can change the choice between two levels.
        """
        return replace(self, precision="fp32", reason="predictions are computed in single precision")

    def autocast(self) -> torch.autocast:
        """Context manager for this precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16")


def choose_compute(config: TrainingConfig) -> Compute:
    """The configured device and precision; under `auto`, the best available.

    Raises:
        ConfigError: the configured device is not available.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = config.device
    if device == "auto":
        device = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    if not available[device]:
        raise ConfigError(f"training.device: {device} is not available here; use auto or cpu")
    if config.precision != "auto":
        return Compute(device, config.precision, "as configured")
    return Compute(device, *_best_precision(device))


def _best_precision(device: str) -> tuple[Literal["fp32", "bf16"], str]:
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "this GPU computes bf16 natively") if fast else ("fp32", "this GPU has no bf16")
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
            return "bf16", "this processor has bf16 instructions"
        return "fp32", "this processor has no bf16 instructions: bf16 would be many times slower"
    return "fp32", f"bf16 is not reliable on {device}"
