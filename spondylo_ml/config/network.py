"""Configuration of network, heatmaps and loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from spondylo_ml.config.open_names import OpenNames
from spondylo_ml.config.section import CommaList, Dropout, Fraction, Section
from spondylo_ml.errors import unknown_name

MODEL_NAMES = OpenNames("model", "unet", "resnet50", "hrnet_w32", "keypoint_rcnn", "maht_net", "cascade_net")


def _known_models(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in MODEL_NAMES:
            raise ValueError(unknown_name("model", name, MODEL_NAMES))
    return names


ModelNames = Annotated[CommaList[str], AfterValidator(_known_models)]
"""Several names of models."""

WITHOUT_HEATMAPS = ("keypoint_rcnn", "cascade_net")
"""Models that are no `HeatmapModel`: their losses are their own, and they have no ONNX export."""

LOSS_NAMES = OpenNames("loss", "cross_entropy", "weighted_mse", "focal_mse", "adaptive_wing", "cornernet_focal")
DROPOUT_LEVELS = 5
DROPOUT_OF = {
    "unet": "model.encoder_dropout or model.decoder_dropout",
    "resnet50": "model.resnet50.dropout",
    "hrnet_w32": "model.hrnet_w32.dropout",
    "keypoint_rcnn": "",
    "maht_net": "model.maht_net.dropout",
    "cascade_net": "",
}
"""Names of the dropout values of each model; Keypoint R-CNN and Cascade Net have none."""

DEEPEST_STRIDE = 32
IMAGENET = ("none", "auto", "required")
"""Values of `model.pretrained` that concern ImageNet weights; any other names a model."""

RCNN_BACKBONES = Literal["resnet50", "tf_efficientnet_lite0", "tf_efficientnet_lite2"]
MAHT_BACKBONES = Literal["tf_efficientnet_lite0", "tf_efficientnet_lite2", "tf_efficientnetv2_s", "tf_efficientnetv2_m"]


class UNetConfig(Section):
    """U-Net."""

    width: int = Field(
        36, ge=4, le=256, description="channels of the highest level; those of the deeper ones are in proportion"
    )


class ResNet50Config(Section):
    """ResNet-50 with transposed convolutions."""

    dropout: tuple[Dropout, Dropout, Dropout] = Field(
        (0.0, 0.0, 0.0), description="dropout after each of the 3 transposed convolutions, deepest first"
    )


class HRNetConfig(Section):
    """HRNet-W32."""

    dropout: Dropout = Field(0.3, description="dropout in the head")


class KeypointRCNNConfig(Section):
    """Keypoint R-CNN: detects instances and derives levels from their order. The widths default to torchvision's."""

    backbone: RCNN_BACKBONES = Field("resnet50", description="timm network that extracts the features")
    pyramid_width: int = Field(256, ge=16, le=1024, description="channels of the feature pyramid")
    box_width: int = Field(1024, ge=16, le=4096, description="width of the two layers that score and fit a box")
    keypoint_width: int = Field(512, ge=16, le=1024, description="channels of the keypoint head")
    keypoint_layers: int = Field(8, ge=1, le=16, description="convolutions of the keypoint head")
    score_threshold: Fraction = Field(
        0.5, description="instances below this score are ignored, also when counting levels"
    )
    nms_threshold: Fraction = Field(
        0.3, description="of two boxes that overlap by more than this, the one with the better score is kept"
    )
    proposals: int = Field(100, ge=10, le=2000, description="regions passed to the second stage")
    sampled_proposals: int = Field(64, ge=8, le=512, description="regions per film used in training")
    anchor_sizes_px: tuple[float, float, float, float, float] = Field(
        (16.0, 32.0, 64.0, 128.0, 256.0), description="side of the anchors on each level of the pyramid, input px"
    )

    @field_validator("anchor_sizes_px")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(a < b for a, b in zip((0.0, *value[:-1]), value, strict=True)):
            raise ValueError("the sizes must rise, the first above 0")
        return value


class MAHTNetConfig(Section):
    """MAHT-Net; each value below 'width' is an ablation."""

    backbone: MAHT_BACKBONES = Field("tf_efficientnetv2_s", description="timm network that extracts the features")
    width: int = Field(256, ge=32, le=1024, description="width of the tokens and queries, a multiple of heads and of 4")
    heads: int = Field(8, ge=1, le=32, description="attention heads")
    dropout: Dropout = Field(0.1, description="dropout in the transformer parts")
    bridge_layers: int = Field(4, ge=0, le=12, description="transformer layers on the deepest tokens; 0 for none")
    attention_layers: int = Field(3, ge=0, le=8, description="layers of vertebral attention; 0 for none")
    anatomical_bias: bool = Field(True, description="learnable bias between queries, initialised from the anatomy")
    maps: Literal["per_query", "pooled"] = Field(
        "per_query", description="input of the decoder: one map per query, or all queries pooled into one vector"
    )

    @model_validator(mode="after")
    def _width_divides(self) -> MAHTNetConfig:
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of heads ({self.heads}) and of 4")
        return self


class CascadeNetConfig(Section):
    """Cascade Net: levels first, then the corners of each body from a grid laid over it."""

    backbone: MAHT_BACKBONES = Field("tf_efficientnet_lite0", description="timm network that extracts the features")
    width: int = Field(64, ge=8, le=512, description="channels of the decoder at strides 8 and 4, and of the corners")
    token_width: int = Field(128, ge=32, le=1024, description="width of the tokens at stride 32, a multiple of heads")
    heads: int = Field(4, ge=1, le=32, description="attention heads")
    bridge_layers: int = Field(2, ge=1, le=12, description="transformer layers on the tokens")
    corner_cells: int = Field(20, ge=8, le=64, description="cells along each side of the grid over a body")
    corner_sigma_cells: float = Field(
        0.9, ge=0.3, le=4, description="standard deviation of a corner's Gaussian target, cells of the grid"
    )
    corner_passes: int = Field(
        2, ge=1, le=5, description="how often corners are found, each time on the boxes of the corners found before"
    )
    corner_weight: float = Field(1.0, gt=0, le=1000, description="weight of the corners' cross entropy")
    shape_weight: float = Field(1.0, gt=0, le=1000, description="weight of the error of size and tilt")
    close_up_samples: int = Field(
        0,
        ge=0,
        le=256,
        multiple_of=8,
        description="pixels along each side of the patch in which the corners of a body are found once more, at the "
        "full resolution of the input; 0: no close-up",
    )
    reduction: Literal[1, 2, 3, 4] = Field(1, description="all but the close-up sees the input reduced this many times")
    close_up_weight: float = Field(1.0, gt=0, le=1000, description="weight of the close-up's cross entropy")

    @model_validator(mode="after")
    def _width_divides(self) -> CascadeNetConfig:
        if self.token_width % self.heads:
            raise ValueError(f"token_width {self.token_width} must be a multiple of heads ({self.heads})")
        return self


class ModelConfig(Section):
    """The network."""

    name: Annotated[str, MODEL_NAMES] = Field("unet", description="the network")
    coordinate_channels: bool = Field(
        True,
        description="input channels grey, x and y instead of grey three times, so that the position on the film counts",
    )
    pretrained: str = Field(
        "none",
        min_length=1,
        description="ImageNet weights for the backbone: none, auto (if available) or required; or, for train, a model "
        "to fine-tune: starter, or another one as in predict",
    )
    pretrained_file: Path | None = Field(
        None,
        description="file of weights (.safetensors, .pth, .ckpt) for the model or its backbone; overrides pretrained",
    )
    encoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="unet: dropout after each of the 5 poolings, top first"
    )
    decoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="unet: dropout in each of the 5 decoder levels, deepest first"
    )
    unet: UNetConfig = UNetConfig()
    resnet50: ResNet50Config = ResNet50Config()
    hrnet_w32: HRNetConfig = HRNetConfig()
    keypoint_rcnn: KeypointRCNNConfig = KeypointRCNNConfig()
    maht_net: MAHTNetConfig = MAHTNetConfig()
    cascade_net: CascadeNetConfig = CascadeNetConfig()

    @field_validator("encoder_dropout", "decoder_dropout")
    @classmethod
    def _one_per_level(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) != DROPOUT_LEVELS:
            raise ValueError(f"{DROPOUT_LEVELS} values are needed, one per level; given {len(value)}")
        return value

    @property
    def starting_model(self) -> str | None:
        """Name of the model from which training goes on; None if there is none."""
        return None if self.pretrained in IMAGENET else self.pretrained

    @property
    def size_multiple(self) -> int:
        """What height and width of the input must be a multiple of, px: the deepest features have stride 32."""
        return DEEPEST_STRIDE * (self.cascade_net.reduction if self.name == "cascade_net" else 1)

    @property
    def drops(self) -> bool:
        """Whether the network has dropout."""
        maht = self.maht_net
        dropout: dict[str, Sequence[float]] = {
            "unet": (*self.encoder_dropout, *self.decoder_dropout),
            "resnet50": self.resnet50.dropout,
            "hrnet_w32": (self.hrnet_w32.dropout,),
            "maht_net": (maht.dropout,) if maht.bridge_layers + maht.attention_layers else (),
        }
        return any(share > 0 for share in dropout.get(self.name, ()))

    @property
    def predicts_spread(self) -> bool:
        """Whether the network predicts the spread of each corner."""
        return self.name == "maht_net" and self.maht_net.attention_layers > 0


class HeatmapConfig(Section):
    """Targets and their decoding, in cells of the heatmap grid."""

    sigma_cells: float = Field(1.5, ge=0.5, le=8, description="standard deviation of the Gaussian target, cells")
    decoder: Literal["dark", "argmax", "soft_argmax"] = Field("dark", description="how a heatmap becomes a point")
    levels: Literal["chain", "slot"] = Field(
        "chain", description="chain: choose the levels of the whole spine at once; slot: take each map's highest peak"
    )
    flip_average: bool = Field(True, description="average the maps of the film and its mirror image; doubles the time")
    blur_kernel: int = Field(11, ge=0, le=31, description="size of DARK's smoothing kernel in cells, odd; 0 for none")

    @field_validator("blur_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value and value % 2 == 0:
            raise ValueError("the kernel has a centre cell: an odd number, or 0 for no smoothing")
        return value


class LossConfig(Section):
    """Parts of the loss and their weights; Keypoint R-CNN and Cascade Net have their own."""

    heatmap: Annotated[str, LOSS_NAMES] = Field(
        "cross_entropy", description="loss between predicted and target heatmaps"
    )
    heatmap_weight: float = Field(1.0, gt=0, le=1000, description="weight of the heatmap loss")
    keypoint_weight: float = Field(
        10.0, ge=0, le=10000, description="weighted_mse, focal_mse, adaptive_wing: extra weight of a cell at the peak"
    )
    focal_gamma: float = Field(2.0, ge=0, le=10, description="focal_mse: exponent of the relative error")
    presence_weight: float = Field(0.1, ge=0, le=1000, description="weight of the presence head's cross entropy")
    coordinate_weight: float = Field(
        0.0, ge=0, le=1000, description="weight of the Wing loss on the maps' mean coordinates"
    )
    wing_width_px512: float = Field(
        10.0, gt=0, le=512, description="Wing: error below which the loss is logarithmic, px512"
    )
    wing_curvature_px512: float = Field(2.0, gt=0, le=512, description="Wing: curvature of the logarithmic part, px512")
    anatomical_weight: float = Field(
        0.0, ge=0, le=1000, description="weight of the loss on order, parallel endplates and proportion"
    )
    uncertainty_weight: float = Field(
        0.0, ge=0, le=1000, description="weight of the Gaussian likelihood of the predicted spread; maht_net only"
    )
