"""Search spaces: what they may hold, and that every configuration of the shipped ones is one."""

from __future__ import annotations

import functools
from pathlib import Path

import optuna
import pytest
from studies import RATE, space_of

from spondylo_ml.config import resolve, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import ConfigError
from tuning.space import SHARED_SPACES, find_space, load_space

PROJECTS = resolve.projects_dir()
OWN = [(path.stem, path.parent.name) for path in sorted(PROJECTS.glob("*/space*.yaml"))]
SHARED = [(path.stem, model) for path in sorted(SHARED_SPACES.glob("*.yaml")) for model in MODEL_NAMES]


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_model_has_a_space_and_the_lists_are_there() -> None:
    assert {model for name, model in OWN if name == "space"} == set(MODEL_NAMES)
    assert {name for name, _ in SHARED} == {"optimiser", "architecture", "loss", "recipe"}
    assert {name for name, model in OWN if model == "maht_net"} == {"space", "space_ablation", "space_size"}


@pytest.mark.parametrize(("name", "model"), OWN + SHARED)
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_configuration_of_a_shipped_space_resolves(
    name: str, model: str, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thousands of configurations are laid over the same few recipes: each is read once.
    monkeypatch.setattr(resolve, "read_yaml", functools.cache(resolve.read_yaml))
    given = {"preset": preset} | ({} if name == "architecture" else {"model": {"name": model}})
    space = load_space(find_space(name, model), given)
    points = list(space.corners())
    configs = [space.resolve_or_explain(point) for point in points]
    assert len(configs) == len(points) >= 1
    assert len({config.model_dump_json() for config in configs}) > len(configs) / 2, "the points differ"


def test_learning_rate_and_sigma_are_what_the_reference_asks_for() -> None:
    parameters = load_space(find_space("space", "unet"), {}).file.parameters
    rate, sigma = parameters["training.learning_rate"], parameters["heatmap.sigma_cells"]
    assert (rate.type, rate.low, rate.high, rate.log) == ("float", 1e-5, 3e-3, True)
    assert (sigma.type, sigma.low, sigma.high, sigma.log) == ("float", 1.0, 4.0, False)


def test_a_point_becomes_a_configuration_over_fixed_part_and_given_values(tmp_path: Path) -> None:
    path = write(tmp_path, "fixed: {training.batch_size: 4, seed: 3}\nparameters: {training.clip_norm: {type: float, "
                 "low: 0.5, high: 2.0, step: 0.5}}\n")  # fmt: skip
    space = load_space(path, {"model": {"name": "resnet50"}, "seed": 7})
    config = space.resolve({"training.clip_norm": 1.5})
    assert (config.model.name, config.training.batch_size, config.training.clip_norm) == ("resnet50", 4, 1.5)
    assert config.seed == 7, "what was given wins over the fixed part"
    assert [point["training.clip_norm"] for point in space.grid()] == [0.5, 1.0, 1.5, 2.0]


def test_a_parameter_exists_only_under_its_condition(tmp_path: Path) -> None:
    text = """
parameters:
  training.scheduler: {type: categorical, choices: [step, cosine]}
  training.step_factor: {type: categorical, choices: [0.1, 0.5], when: {training.scheduler: step}}
  training.clip_norm: {type: int, low: 1, high: 2, when: {training.step_factor: [0.5]}}
"""
    points = load_space(write(tmp_path, text), {}).grid()
    assert points == [
        {"training.scheduler": "step", "training.step_factor": 0.1},
        {"training.scheduler": "step", "training.step_factor": 0.5, "training.clip_norm": 1},
        {"training.scheduler": "step", "training.step_factor": 0.5, "training.clip_norm": 2},
        {"training.scheduler": "cosine"},
    ]


def test_a_condition_may_be_on_the_recipe() -> None:
    path = find_space("optimiser", "unet")
    assert "training.backbone_rate_ratio" not in next(load_space(path, {"model": {"name": "unet"}}).corners())
    assert "training.backbone_rate_ratio" in next(load_space(path, {"model": {"name": "resnet50"}}).corners())


def test_suggesting_asks_for_what_exists_and_keeps_lists() -> None:
    space = space_of(
        {
            "model.encoder_dropout": {"type": "categorical", "choices": [[0, 0, 0, 0, 0.5]]},
            "kind": {"type": "variants", "choices": {"a": {"seed": 5, "training.clip_norm": 2.0}}},
            "training.learning_rate": RATE,
            "training.step_factor": {"type": "categorical", "choices": [0.2], "when": {"kind": "b"}},
        }
    )
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(0)).ask()
    point = space.suggest(trial)
    assert point["model.encoder_dropout"] == (0, 0, 0, 0, 0.5)
    assert list(point) == ["model.encoder_dropout", "kind", "training.learning_rate"]
    assert 1e-5 <= point["training.learning_rate"] <= 3e-3
    config = space.resolve(point)
    assert (config.model.encoder_dropout[4], config.seed, config.training.clip_norm) == (0.5, 5, 2.0)


def test_a_number_in_any_notation_is_a_number(tmp_path: Path) -> None:
    text = "parameters: {training.clip_norm: {type: categorical, choices: [1e-3, 1.0e-2]}}"
    assert load_space(write(tmp_path, text), {}).grid() == [
        {"training.clip_norm": 0.001},
        {"training.clip_norm": 0.01},
    ]


def test_an_empty_variant_is_the_recipe() -> None:
    space = load_space(find_space("space_ablation", "maht_net"), {"model": {"name": "maht_net"}})
    assert space.resolve({"ablation": "full"}) == resolve_config({"model": {"name": "maht_net"}})
    assert space.resolve({"ablation": "pooled_maps"}).model.maht_net.maps == "pooled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters: {training.learning_rat: {type: float, low: 1, high: 2}}",
         r"unknown parameter 'training\.learning_rat'\. Did you mean 'training\.learning_rate'\?"),
        ("fixed: {heatmap.sigma: 1}\nparameters: {seed: {type: int, low: 0, high: 1}}",
         r"unknown parameter 'heatmap\.sigma'\. Did you mean 'heatmap\.sigma_cells'\?"),
        ("parameters: {v: {type: variants, choices: {a: {training.epoch: 1}}}}",
         r"unknown parameter 'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        ("parameters: {training.clip_norm: {type: float, low: 2, high: 1}}", "low must be below high; given 2.0 and 1"),
        ("parameters: {training.clip_norm: {type: float, low: 0, high: 1, log: true}}",
         "a logarithmic range starts above 0; given 0"),
        ("parameters: {training.clip_norm: {type: float, low: 1, high: 2, log: true, step: 1}}",
         "a logarithmic range has no step"),
        ("parameters: {training.clip_norm: {type: categorical, choices: ['1e-3']}}",
         "'1e-3' is text: write the number without quotes"),
        ("parameters: {training.clip_norm: {type: categorical, choices: [1.0, 1.0]}}", "a choice is given twice"),
        ("parameters: {training.clip_norm: {type: flaot, low: 1, high: 2}}", "'float', 'int', 'categorical'"),
        ("parameters: {training.clip_norm: {type: float, low: 1, hihg: 2}}", "hihg"),
        ("parameters: {}", "parameters: given {}"),
        ("parameters: {seed: {type: int, low: 0, high: 1, when: {training.epochs: 2}}, "
         "training.epochs: {type: int, low: 1, high: 2}}", "seed depends on training.epochs, which must stand before"),
        ("parameters: {seed: {type: int, low: 0, high: 1, when: {training.epoch: 2}}}",
         r"seed depends on unknown 'training\.epoch'\. Did you mean 'training\.epochs'\?"),
    ],
)  # fmt: skip
def test_a_space_file_that_is_none_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_space(write(tmp_path, text), {})


def test_a_value_cannot_be_given_and_searched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"heatmap\.sigma_cells: given, and searched by space\.yaml"):
        load_space(find_space("space", "unet"), {"heatmap": {"sigma_cells": 2}})


def test_a_corner_that_is_no_configuration_is_found_before_the_study() -> None:
    space = space_of({"training.clip_norm": {"type": "float", "low": -1.0, "high": 1.0}})
    with pytest.raises(ConfigError, match=r"the space allows training\.clip_norm=-1\.0, which is no configuration"):
        space.check()
    many = {f"loss.{name}": {"type": "int", "low": 1, "high": 2} for name in (
        "keypoint_weight", "focal_gamma", "presence_weight", "coordinate_weight", "wing_width_px512",
        "wing_curvature_px512", "anatomical_weight", "heatmap_weight")}  # fmt: skip
    bad = space_of(many | {"training.clip_norm": {"type": "float", "low": 1.0, "high": 2.0}, "seed": {
        "type": "int", "low": -5, "high": 3}})  # fmt: skip
    with pytest.raises(ConfigError, match="seed=-5, which is no configuration"):
        bad.check()


def test_a_grid_needs_an_end_of_values() -> None:
    with pytest.raises(ConfigError, match=r"training\.learning_rate, heatmap\.sigma_cells has no end of values"):
        space_of().grid()


def test_a_space_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(
        ConfigError, match=r"no space 'optimizer' for unet\. Did you mean 'optimiser'\? There are: arch"
    ):
        find_space("optimizer", "unet")
    assert find_space(str(SHARED_SPACES / "loss.yaml"), "unet") == SHARED_SPACES / "loss.yaml"
