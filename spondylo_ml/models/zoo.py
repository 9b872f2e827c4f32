"""Registry of models by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.resolve import RECIPES_OF
from spondylo_ml.config.schema import Config
from spondylo_ml.errors import ConfigError, unknown_name
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.cascade_net import CascadeNet
from spondylo_ml.models.hrnet import HRNetW32
from spondylo_ml.models.keypoint_rcnn import KeypointRCNN
from spondylo_ml.models.maht_net import MAHTNet
from spondylo_ml.models.resnet50 import ResNet50
from spondylo_ml.models.unet import UNet

Builder = Callable[[Config, SlotRange], LandmarkModel]


def registry(builders: Iterable[tuple[str, Builder]]) -> dict[str, Builder]:
    """Builders by name; `ValueError` where two share one."""
    models: dict[str, Builder] = {}
    for name, builder in builders:
        if name in models:
            raise ValueError(f"two models are called {name!r}")
        models[name] = builder
    return models


MODELS = registry(
    [
        ("unet", UNet),
        ("resnet50", ResNet50),
        ("hrnet_w32", HRNetW32),
        ("keypoint_rcnn", KeypointRCNN),
        ("maht_net", MAHTNet),
        ("cascade_net", CascadeNet),
    ]
)


def register_model(name: str, builder: Builder, recipes_of: str = "unet") -> None:
    """Add a network, which `model.name` may then name.

    Args:
        builder: makes the network from the configuration and the levels; usually a subclass of `HeatmapModel`.
        recipes_of: the model whose recipes it is trained by, preset by preset.

    Raises:
        ConfigError: the name is taken, or there are no recipes of that model.

    >>> import spondylo_ml
    >>> from spondylo_ml.models.unet import UNet
    >>> class MyNet(UNet):
    ...     pass
    >>> spondylo_ml.register_model("my_net", MyNet)
    >>> type(spondylo_ml.create_model("my_net")).__name__
    'MyNet'
    """
    if recipes_of not in MODEL_NAMES:
        raise ConfigError(f"recipes_of: {unknown_name('model', recipes_of, MODEL_NAMES)}")
    MODEL_NAMES.register(name)
    MODELS[name] = builder
    RECIPES_OF[name] = RECIPES_OF.get(recipes_of, recipes_of)


def build_model(config: Config, slots: SlotRange) -> LandmarkModel:
    """The configured model with random weights, seeded by `config.seed`.

    Raises:
        ConfigError: unknown model; the message names the nearest.
    """
    if config.model.name not in MODELS:
        raise ConfigError(unknown_name("model", config.model.name, MODELS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return MODELS[config.model.name](config, slots)


def parameter_count(model: LandmarkModel) -> int:
    """Number of parameters, trainable or not, without the presence head."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("presence."))
