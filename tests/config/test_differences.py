"""What a training run sets otherwise than its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spondylo_ml.config import resolve_config
from spondylo_ml.config.differences import recipe_differences, settings_text, short_run_name
from spondylo_ml.config.network import MODEL_NAMES


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("preset", ["smoke", "quick", "full"])
def test_a_recipe_differs_in_nothing_from_itself(model: str, preset: str) -> None:
    config = resolve_config({"model": {"name": model}, "preset": preset})
    assert recipe_differences(config) == {}
    assert short_run_name(model, {}) == model
    assert settings_text({}) == ""


def test_what_a_user_sets_is_a_difference_and_the_place_of_films_and_work_is_not(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "training": {"learning_rate": 4e-3, "workers": 0, "device": "cpu", "epochs": 7},
        "heatmap": {"sigma_cells": 2.5, "flip_average": False},
        "data": {"path": tmp_path, "input_hw": [96, 96]},
        "tracking": {"run_name": "mine"},
    }
    differences = recipe_differences(resolve_config(values))
    assert differences == {
        "training.learning_rate": 4e-3,
        "training.epochs": 7,
        "heatmap.sigma_cells": 2.5,
        "heatmap.flip_average": False,
    }
    assert settings_text(differences) == "lr4e-3 s2.5 e7 flip_average=False"
    assert short_run_name("unet", differences) == "unet lr4e-3 s2.5 e7"


def test_the_epochs_of_a_resumed_run_are_those_of_its_film_passes() -> None:
    config = resolve_config({"preset": "quick"})
    resolved = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 33})})
    assert config.training.film_passes is not None
    assert recipe_differences(resolved) == {}


def test_the_network_of_a_model_that_training_goes_on_from_is_no_difference() -> None:
    source = resolve_config({"heatmap": {"sigma_cells": 1.25}, "data": {"input_hw": [160, 96]}}).model_dump(mode="json")
    config = resolve_config({"model": {"pretrained": "run"}, "seed": 4}, config_of=lambda which: source)
    assert config.heatmap.sigma_cells == 1.25
    assert recipe_differences(config) == {"seed": 4, "model.pretrained": "run"}
    assert settings_text(recipe_differences(config)) == "seed4 pretrained=run"


@pytest.mark.parametrize(("rate", "text"), [(1e-3, "lr1e-3"), (2.5e-4, "lr2.5e-4"), (0.1, "lr1e-1"), (1.0, "lr1e0")])
def test_a_learning_rate_is_written_with_its_power(rate: float, text: str) -> None:
    assert settings_text({"training.learning_rate": rate}) == text


def test_numbers_and_names_have_their_letters() -> None:
    settings = {"seed": 3, "heatmap.sigma_cells": 1.25, "loss.heatmap": "huber", "training.batch_size": 4}
    assert settings_text(settings) == "s1.25 b4 seed3 huber"
