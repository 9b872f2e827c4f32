"""The network, what its heatmaps mean, and what it is trained to minimise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from spondylo_ml.config.section import Dropout, Section

MODEL_NAMES = ("unet",)
DROPOUT_LEVELS = 5


class ModelConfig(Section):
    """The network."""

    name: Literal["unet"] = Field("unet", description="which network")
    coordinate_channels: bool = Field(
        True, description="feed grey, row and column instead of grey three times, so that the place on the film counts"
    )
    encoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="dropout after each of the 5 poolings, top first"
    )
    decoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="dropout in each of the 5 decoder levels, deepest first"
    )

    @field_validator("encoder_dropout", "decoder_dropout")
    @classmethod
    def _one_per_level(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) != DROPOUT_LEVELS:
            raise ValueError(f"{DROPOUT_LEVELS} values are needed, one per level; given {len(value)}")
        return value


class HeatmapConfig(Section):
    """Targets and their decoding, in cells of the heatmap grid."""

    sigma_cells: float = Field(1.5, ge=0.5, le=8, description="standard deviation of the Gaussian target, cells")
    decoder: Literal["dark", "argmax", "soft_argmax"] = Field("dark", description="how a heatmap becomes a point")
    levels: Literal["chain", "slot"] = Field(
        "chain", description="chain: levels decided for the whole spine at once; slot: each map's highest peak"
    )
    flip_average: bool = Field(
        True, description="predict from the mean of the film's maps and its mirror image's; doubles the time"
    )
    blur_kernel: int = Field(11, ge=0, le=31, description="size of DARK's smoothing kernel in cells, odd; 0 for none")

    @field_validator("blur_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value and value % 2 == 0:
            raise ValueError("the kernel has a centre cell: an odd number, or 0 for no smoothing")
        return value


class LossConfig(Section):
    """Parts of the loss and their weights."""

    heatmap: Literal["cross_entropy", "weighted_mse"] = Field(
        "cross_entropy", description="loss between predicted and target heatmaps"
    )
    heatmap_weight: float = Field(1.0, gt=0, le=1000, description="weight of the heatmap loss")
    keypoint_weight: float = Field(
        10.0, ge=0, le=10000, description="weighted_mse: extra weight of a cell on the target's peak"
    )
    presence_weight: float = Field(0.1, ge=0, le=1000, description="weight of the presence head's cross entropy")
