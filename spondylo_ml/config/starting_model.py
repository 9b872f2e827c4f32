"""The model from which training goes on: which one is named, and what the new configuration takes over from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spondylo_ml.config.network import IMAGENET
from spondylo_ml.errors import ConfigError, SpondyloError

Tree = dict[str, Any]
ConfigOf = Callable[[str], Mapping[str, Any]]
"""Returns the configuration of the model of a name, as in `predict --model`."""

SECTIONS = ("heatmap", "loss", "uncertainty", "reading")
INPUT_SIZE = ("input_side_px", "input_hw")
WEIGHTS_FROM = ("pretrained", "pretrained_file")

HOW_TO_GO_ON = (
    "set model.pretrained to starter, a run, an alias or version of the registered model or a folder, or "
    "model.pretrained_file to a file of weights"
)


def starting_layer(user_values: Mapping[str, Any], config_of: ConfigOf | None) -> Tree:
    """The values that the configuration takes over from the model that `model.pretrained` names; empty if none does.

    They describe the network, its input size, its output and how it reads a film: the weights fit no other. Levels are
    those of the films.

    Args:
        user_values: what the user has set.
        config_of: finds the model; None for commands that do not go on from one.

    Raises:
        ConfigError: no such model, or the user has named another network.
    """
    model, data = (_section(user_values, name) for name in ("model", "data"))
    reference = model.get("pretrained")
    if not isinstance(reference, str) or reference in IMAGENET:
        return {}
    if config_of is None:
        raise ConfigError(
            f"model.pretrained: given {reference!r}. Here it is none, auto or required, for ImageNet weights; only "
            "train goes on from a model"
        )
    if model.get("pretrained_file") is not None:
        raise ConfigError("model.pretrained names a model and model.pretrained_file a file: give one of them")
    try:
        config = config_of(reference)
    except SpondyloError as error:
        raise ConfigError(
            f"model.pretrained: given {reference!r}, which is neither none, auto nor required (ImageNet weights), nor "
            f"a model: {error}"
        ) from None
    layer = _taken_over(config)
    if data.get("input_side_px") is not None:
        layer["data"].pop("input_hw", None)
    network = layer["model"]["name"]
    if model.get("name", network) != network:
        raise ConfigError(
            f"model.name is {model['name']} and model.pretrained {reference!r} a {network}: leave model.name out, or "
            f"give a model that is a {model['name']}"
        )
    return layer


def require_something_to_go_on_from(user_values: Mapping[str, Any], start: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if there is neither a model nor a file of weights, which `preset=finetune` needs."""
    if not start and _section(user_values, "model").get("pretrained_file") is None:
        raise ConfigError(f"preset: finetune goes on from a trained model, and none is given: {HOW_TO_GO_ON}")


def _taken_over(config: Mapping[str, Any]) -> Tree:
    network = {name: value for name, value in config["model"].items() if name not in WEIGHTS_FROM}
    size = {name: config["data"][name] for name in INPUT_SIZE if name in config["data"]}
    return {"model": network, "data": size} | {name: config[name] for name in SECTIONS if name in config}


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, Mapping) else {}
