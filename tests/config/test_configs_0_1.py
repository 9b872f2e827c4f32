"""The `config.yaml` that runs of version 0.1.0 logged still gives the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spondylo_ml.config import Config, flatten, resolve_config, validate

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "configs_0_1"
MODELS = ("hrnet_w32", "keypoint_rcnn", "maht_net", "resnet50", "unet")


def read_logged(model: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((FIXTURES / f"{model}.yaml").read_text(encoding="utf-8"))
    return tree


def values(config: Config) -> dict[str, Any]:
    return flatten(config.model_dump(mode="json"))


@pytest.mark.parametrize("model", MODELS)
def test_a_logged_configuration_validates_with_the_same_values(model: str) -> None:
    expected = flatten(read_logged(model))
    assert expected["model.name"] == model
    config = values(validate(Config, read_logged(model)))
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize("model", MODELS)
def test_a_logged_configuration_used_as_a_recipe_gives_the_same_values(model: str) -> None:
    expected = flatten(read_logged(model))
    config = values(resolve_config(recipe=FIXTURES / f"{model}.yaml"))
    assert {name: config[name] for name in expected} == expected
