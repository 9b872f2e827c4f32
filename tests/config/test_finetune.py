"""Configurations that go on from a trained model: what they take over from it, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spondylo_ml.config import flatten, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.resolve import projects_dir, read_recipe
from spondylo_ml.errors import ConfigError, DataError

FINETUNE = read_recipe(projects_dir() / "finetune.yaml")["training"]


def config_of(which: str) -> Mapping[str, Any]:
    """The configuration of a model that differs from every recipe; its name is that of its network."""
    if which not in MODEL_NAMES:
        raise DataError(f"no model {which!r}")
    values = {
        "model": {"name": which, "coordinate_channels": False, "maht_net": {"backbone": "tf_efficientnet_lite0"}},
        "heatmap": {"sigma_cells": 1.25},
        "loss": {"presence_weight": 0.3},
        "data": {"input_hw": [160, 96], "n_slots": 6, "phantom_films": 77},
        "uncertainty": {"samples": 300},
        "reading": {"crop": True},
        "training": {"epochs": 3},
        "seed": 9,
    }
    return resolve_config(values).model_dump(mode="json")


def going_on(pretrained: str = "unet", **values: Any) -> dict[str, Any]:
    """Flat configuration of a run that goes on from a model."""
    model = {"pretrained": pretrained} | values.pop("model", {})
    return flatten(resolve_config({"model": model, **values}, config_of=config_of).model_dump(mode="json"))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_network_its_input_and_its_output_are_those_of_the_model_and_the_training_is_the_presets(name: str) -> None:
    config, source = going_on(name), flatten(dict(config_of(name)))
    assert config["preset"] == "finetune"
    own = projects_dir() / name / "finetune.yaml"
    preset = FINETUNE | (read_recipe(own)["training"] if own.is_file() else {})
    assert {key: config[f"training.{key}"] for key in preset} == preset
    for key, value in source.items():
        section = key.split(".")[0]
        if section in ("heatmap", "loss", "uncertainty", "reading") or (section == "model" and "pretrained" not in key):
            assert config[key] == value, key
    assert config["data.input_hw"] == [160, 96]
    assert (config["model.pretrained"], config["seed"]) == (name, 0)
    assert (config["data.n_slots"], config["data.phantom_films"]) == (None, 1800)


def test_the_user_overrides_the_preset_and_what_is_taken_over() -> None:
    config = going_on(training={"epochs": 4, "learning_rate": 0.5}, heatmap={"flip_average": False}, preset="quick")
    assert (config["preset"], config["training.epochs"], config["training.film_passes"]) == ("quick", 4, None)
    assert (config["training.learning_rate"], config["heatmap.flip_average"]) == (0.5, False)
    assert config["heatmap.sigma_cells"] == 1.25


def test_an_input_size_of_the_user_replaces_the_exact_size_of_the_model() -> None:
    config = going_on(data={"input_side_px": 320})
    assert (config["data.input_side_px"], config["data.input_hw"]) == (320, None)


def test_a_file_of_weights_is_enough_to_go_on_from_and_takes_the_models_full_recipe() -> None:
    config = resolve_config({"preset": "finetune", "model": {"name": "resnet50", "pretrained_file": "weights.pth"}})
    assert (config.model.name, config.training.film_passes) == ("resnet50", FINETUNE["film_passes"])
    assert config.model.resnet50.dropout == (0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "finetune"}, r"preset: finetune goes on from a trained model, and none is given: set model\.pretr"),
        ({"preset": "finetune", "model": {"pretrained": "auto"}}, r"finetune goes on from a trained model, and none"),
        (
            {"model": {"pretrained": "requird"}},
            r"given 'requird', which is neither none, .* no model 'requird'",
        ),
        (
            {"model": {"pretrained": "unet", "name": "resnet50"}},
            r"model\.name is resnet50 and model\.pretrained 'unet' a unet: leave model\.name out",
        ),
        ({"model": {"pretrained": "unet", "pretrained_file": "x.pth"}}, r"names a model and .* a file: give one"),
        ({"model": {"pretrained": 3}}, r"model\.pretrained: given 3\. .* valid string"),
        ({"model": {"pretrained": ""}}, r"model\.pretrained: given ''"),
    ],
)
def test_nothing_to_go_on_from_or_a_contradiction_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        resolve_config(values, config_of=config_of)


def test_a_command_that_goes_on_from_no_model_says_so() -> None:
    with pytest.raises(ConfigError, match=r"given 'starter'\. Here it is none, auto or required.* only train goes on"):
        resolve_config({"model": {"pretrained": "starter"}})
