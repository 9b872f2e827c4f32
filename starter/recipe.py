"""The configuration of the starter model, which must give the same weights again."""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.resolve import merge, read_recipe
from spondylo_ml.errors import ConfigError
from spondylo_ml.serving.model_source import config_of_model
from starter.options import close_up_recipes, recipe, smoke_recipe


def starter_config(smoke: bool) -> Config:
    """The recipe of the starter model, or its smoke variant.

    Raises:
        ConfigError: a bad value, or one that would give other weights each time.
    """
    config = resolve_config(read_recipe(smoke_recipe()) if smoke else {}, recipe())
    require_repeatable(config)
    return config


def close_up_config(smoke: bool, first_model: Path) -> Config:
    """The recipe of the close-up, which is trained on top of the model of `starter_config` in a folder.

    Raises:
        ConfigError: see `starter_config`.
    """
    layers = [smoke_recipe()] if smoke else []
    values: dict[str, object] = {}
    for path in (recipe(), *layers, *close_up_recipes(smoke)):
        values = merge(values, read_recipe(path))
    config = resolve_config(merge(values, {"model": {"pretrained": str(first_model)}}), config_of=config_of_model)
    require_repeatable(without_starting_model(config))
    return config


def without_starting_model(config: Config) -> Config:
    """The configuration of a model that states only how the first of its training runs began."""
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": "none"})})


def require_repeatable(config: Config) -> None:
    """Raise `ConfigError` if the weights would depend on anything but the code, the configuration and the machine."""
    training, wrong = config.training, []
    if config.data.path is not None:
        wrong.append("data.path must not be set: the starter model is trained on synthetic films alone")
    if training.minutes is not None:
        wrong.append("training.minutes must not be set: a schedule that follows the clock differs each time")
    if (training.device, training.precision) != ("cpu", "fp32"):
        wrong.append("training.device must be cpu and training.precision fp32: others differ between machines")
    if config.model.pretrained == "auto" or config.model.starting_model is not None:
        wrong.append("model.pretrained must be none or required: the weights of auto and of a model may be other ones")
    if wrong:
        raise ConfigError("the recipe of the starter model is not repeatable:\n" + "\n".join(wrong))
