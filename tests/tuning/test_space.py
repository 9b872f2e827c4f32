"""Search spaces: their rules, and that every configuration of the shipped ones is valid."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import optuna
import pytest
from studies import RATE, space_of

from spondylo_ml.config import flatten, resolve, resolve_config
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.errors import ConfigError
from tuning.space import SHARED_SPACES, Space, SpaceFile, find_space, load_space

PROJECTS = resolve.projects_dir()
PROJECT_SPACES = [(path.stem, path.parent.name) for path in sorted(PROJECTS.glob("*/space*.yaml"))]
REFUSED = [*(("loss", name) for name in WITHOUT_HEATMAPS), ("augmentation", "keypoint_rcnn")]
SHARED = [
    (path.stem, model)
    for path in sorted(SHARED_SPACES.glob("*.yaml"))
    for model in MODEL_NAMES
    if (path.stem, model) not in REFUSED
]


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_model_has_a_space_and_the_shared_spaces_exist() -> None:
    assert {model for name, model in PROJECT_SPACES if name == "space"} == set(MODEL_NAMES)
    assert {name for name, _ in SHARED} == {"optimiser", "architecture", "loss", "recipe", "augmentation"}
    assert {name for name, model in PROJECT_SPACES if model == "maht_net"} == {"space", "space_ablation", "space_size"}


@pytest.mark.parametrize(("name", "model"), PROJECT_SPACES + SHARED)
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_configuration_of_a_shipped_space_resolves(
    name: str, model: str, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thousands of configurations use the same few recipes; each is read once.
    monkeypatch.setattr(resolve, "read_yaml", functools.cache(resolve.read_yaml))
    settings = {"preset": preset} | ({} if name == "architecture" else {"model": {"name": model}})
    space = load_space(find_space(name, model), settings)
    points = list(space.corners())
    configs = [space.resolve_or_explain(point) for point in points]
    assert len(configs) == len(points) >= 1
    assert len({config.model_dump_json() for config in configs}) > len(configs) / 2, "the points differ"


def test_the_ranges_of_learning_rate_and_sigma_are_those_of_the_reference() -> None:
    parameters = load_space(find_space("space", "unet"), {}).file.parameters
    rate, sigma = parameters["training.learning_rate"], parameters["heatmap.sigma_cells"]
    assert (rate.type, rate.low, rate.high, rate.log) == ("float", 1e-5, 3e-3, True)
    assert (sigma.type, sigma.low, sigma.high, sigma.log) == ("float", 1.0, 4.0, False)


def test_a_point_is_merged_over_the_fixed_values_and_the_command_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "fixed: {training.batch_size: 4, seed: 3}\nparameters: {training.clip_norm: {type: float, "
        "low: 0.5, high: 2.0, step: 0.5}}\n",
    )
    space = load_space(path, {"model": {"name": "resnet50"}, "seed": 7})
    config = space.resolve({"training.clip_norm": 1.5})
    assert (config.model.name, config.training.batch_size, config.training.clip_norm) == ("resnet50", 4, 1.5)
    assert config.seed == 7, "the command line takes precedence over fixed values"
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


def test_a_condition_on_the_recipe_is_that_of_the_trials_network(tmp_path: Path) -> None:
    """The quick recipe has a learning rate of 0.002 for the U-Net and 0.001 for MAHT-Net."""
    text = """
parameters:
  model.name: {type: categorical, choices: [unet, maht_net]}
  training.weight_decay: {type: categorical, choices: [0.0, 0.1], when: {training.learning_rate: 0.001}}
"""
    assert load_space(write(tmp_path, text), {}).grid() == [
        {"model.name": "unet"},
        {"model.name": "maht_net", "training.weight_decay": 0.0},
        {"model.name": "maht_net", "training.weight_decay": 0.1},
    ]


def test_suggest_asks_only_for_parameters_that_exist_and_keeps_lists() -> None:
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


def test_numbers_in_scientific_notation_are_numbers(tmp_path: Path) -> None:
    text = "parameters: {training.clip_norm: {type: categorical, choices: [1e-3, 1.0e-2]}}"
    assert load_space(write(tmp_path, text), {}).grid() == [
        {"training.clip_norm": 0.001},
        {"training.clip_norm": 0.01},
    ]


def test_an_empty_variant_is_the_recipe() -> None:
    space = load_space(find_space("space_ablation", "maht_net"), {"model": {"name": "maht_net"}})
    assert space.resolve({"ablation": "full"}) == resolve_config({"model": {"name": "maht_net"}})
    assert space.resolve({"ablation": "pooled_maps"}).model.maht_net.maps == "pooled"


def test_the_ablation_of_augmentation_starts_from_the_strong_recipe_and_changes_one_thing_at_a_time() -> None:
    space = load_space(find_space("augmentation", "unet"), {"model": {"name": "unet"}})
    points = space.grid()
    variants = [point["augmentation"] for point in points if point["seed"] == 0]
    assert [(point["seed"], point["augmentation"]) for point in points] == [
        (seed, variant) for seed in range(3) for variant in variants
    ]
    values = {name: flatten(space.resolve({"augmentation": name}).model_dump()) for name in variants}
    strong = values.pop("strong")
    recipe = resolve_config({"model": {"name": "unet"}}, PROJECTS / "augmentation" / "strong.yaml")
    assert strong == flatten(recipe.model_dump())
    standard = values.pop("standard")
    assert standard == flatten(resolve_config({"model": {"name": "unet"}}).model_dump())
    changed = {name: {key for key in strong if strong[key] != config[key]} for name, config in values.items()}
    assert changed["without_flips"] == {"augmentation.flip_probability", "heatmap.flip_average"}
    assert changed["without_inversion"] == {"augmentation.inversion_probability"}
    for name in variants:
        if name.startswith("standard_"):
            assert all(values[name][key] == standard[key] for key in changed[name]), name
        elif name.startswith("without_"):
            assert all(not values[name][key] for key in changed[name]), "each is off"
    used = {key for key in strong if key.endswith("_probability") and strong[key]}
    assert set().union(*changed.values()) >= used, "each probability is varied"


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
         "training.epochs: {type: int, low: 1, high: 2}}", "seed depends on training.epochs, which must come before"),
        ("parameters: {seed: {type: int, low: 0, high: 1, when: {training.epoch: 2}}}",
         r"seed depends on unknown 'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        ("fixed: {training.clip_norm: 1.0}\nparameters: {training.clip_norm: {type: float, low: 1, high: 2}}",
         r"mine\.yaml: training\.clip_norm: both fixed and searched\. Leave it out of one of them"),
        ("fixed: {seed: 1}\nparameters: {v: {type: variants, choices: {a: {seed: 2}}}}", "both fixed and searched"),
        ("parameters: {data.phantom_films: {type: int, low: 10, high: 40}}",
         r"not search data\.phantom_films: its trials would be evaluated on different films"
         r".* as --data\.phantom_films"),
        ("parameters: {v: {type: variants, choices: {a: {data.split_seed: 2}}}}", r"cannot search data\.split_seed"),
        ("parameters: {uncertainty.source: {type: categorical, choices: [flip, heatmap]}}",
         r"cannot search uncertainty\.source: a trial's model is not calibrated"),
        ("parameters: {training.step_factor: {type: float, low: 0.1, high: 0.5, when: {training.scheduler: stp}}}",
         r"step_factor depends on training\.scheduler being 'stp', which it never is\. .* Did you mean 'step'\?"),
        ("parameters: {training.clip_norm: {type: float, low: 0.1, high: 0.5, when: {training.batch_size: 0}}}",
         r"on training\.batch_size being 0, which it never is\. Input should be greater than or equal to 1"),
        ("parameters: {training.clip_norm: {type: float, low: 0.1, high: 0.5, when: {training.batch_size: '8'}}}",
         r"on training\.batch_size being '8', which it never is\. Input should be a valid integer"),
        ("parameters: {training.optimizer: {type: categorical, choices: [adamw, sgd]}, training.weight_decay: {type: "
         "categorical, choices: [0.0, 0.01], when: {training.optimizer: [sgd, adm]}}}",
         r"being 'adm', which it never is\. It is searched among adamw, sgd\. Did you mean 'adamw'\?"),
        ("parameters: {v: {type: variants, choices: {a: {}, b: {}}}, seed: {type: int, low: 0, high: 1, when: {v: c}}}",
         r"on v being 'c', which it never is\. It is searched among a, b"),
        ("parameters: {training.clip_norm: {type: float, low: 1, high: 2}, seed: {type: int, low: 0, high: 1, when: "
         "{training.clip_norm: 3}}}", r"being 3, which it never is\. It is searched from 1\.0 to 2\.0"),
        ("parameters: {training.batch_size: {type: int, low: 1, high: 99}, seed: {type: int, low: 0, high: 1, when: "
         "{training.batch_size: 2.5}}}", r"being 2\.5, which it never is\. It is searched from 1 to 99"),
        ("training.batch_size: {type: int, low: 1, high: 9}", r"no section parameters: put what is to be"),
    ],
)  # fmt: skip
def test_an_invalid_space_file_is_an_error_that_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_space(write(tmp_path, text), {})


def test_a_value_cannot_be_both_set_and_searched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"heatmap\.sigma_cells: both set and searched by space\.yaml"):
        load_space(find_space("space", "unet"), {"heatmap": {"sigma_cells": 2}})


def test_an_invalid_corner_of_the_space_is_found_before_the_study() -> None:
    space = space_of({"training.clip_norm": {"type": "float", "low": -1.0, "high": 1.0}})
    with pytest.raises(
        ConfigError, match=r"the space allows training\.clip_norm=-1, which is not a valid configuration"
    ):
        space.check()
    many = {f"loss.{name}": {"type": "int", "low": 1, "high": 2} for name in (
        "keypoint_weight", "focal_gamma", "presence_weight", "coordinate_weight", "wing_width_px512",
        "wing_curvature_px512", "anatomical_weight", "heatmap_weight")}  # fmt: skip
    invalid = space_of(
        many
        | {
            "training.clip_norm": {"type": "float", "low": 1.0, "high": 2.0},
            "seed": {"type": "int", "low": -5, "high": 3},
        }
    )
    with pytest.raises(ConfigError, match="seed=-5, which is not a valid configuration"):
        invalid.check()


@pytest.mark.parametrize(
    ("parameters", "settings", "message"),
    [
        ({"model.maht_net.width": {"type": "int", "low": 32, "high": 64}}, {"model": {"name": "maht_net"}},
         r"width=33, which is not a valid configuration: .*width 33 must be a multiple of heads \(8\) and of 4\. C"),
        ({"model.maht_net.heads": {"type": "categorical", "choices": [4, 8]}}, {},
         r"model\.maht_net\.heads has no effect on unet: leave it out, or limit it to the networks"),
        ({"model.encoder_dropout": {"type": "categorical", "choices": [[0, 0, 0, 0, 0]]}},
         {"model": {"name": "resnet50"}}, r"model\.encoder_dropout has no effect on resnet50"),
        ({"data.input_side_px": {"type": "categorical", "choices": [64, 96]}}, {"data": {"input_hw": (64, 64)}},
         r"data\.input_side_px has no effect where data\.input_hw is set"),
        ({"training.film_passes": {"type": "int", "low": 100, "high": 200}}, {"training": {"epochs": 3}},
         r"training\.film_passes has no effect where training\.epochs is set"),
        ({"v": {"type": "variants", "choices": {"a": {"seed": 1}}}, "seed": {"type": "int", "low": 2, "high": 3}}, {},
         r"seed: set by two parameters at once; give one of them a condition"),
        ({"preset": {"type": "categorical", "choices": ["quick", "smoke"]}}, {},
         r"preset=smoke, .*data\.max_films is 10 there and None in the study: all trials need the same films"),
    ],
)  # fmt: skip
def test_parameters_that_no_trial_could_use_are_reported_before_the_study(
    parameters: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    space = Space(SpaceFile.model_validate({"parameters": parameters}), settings)
    with pytest.raises(ConfigError, match=message):
        space.check()


@pytest.mark.parametrize("name", WITHOUT_HEATMAPS)
def test_heatmap_losses_are_rejected_for_a_network_without_heatmaps(name: str) -> None:
    space = load_space(find_space("loss", name), {"model": {"name": name}})
    with pytest.raises(ConfigError, match=rf"loss\.heatmap has no effect on {name}"):
        space.check()


def test_a_parameter_of_one_network_is_searched_under_a_condition() -> None:
    space = space_of(
        {
            "model.name": {"type": "categorical", "choices": ["unet", "maht_net"]},
            "model.maht_net.heads": {"type": "categorical", "choices": [4, 8], "when": {"model.name": "maht_net"}},
            "data.input_side_px": {"type": "categorical", "choices": [64, 128]},
        }
    )
    space.check()
    configs = [(c.model.name, c.model.maht_net.heads, c.data.input_side_px) for c in map(space.resolve, space.grid())]
    assert configs == [
        ("unet", 8, 64),
        ("unet", 8, 128),
        ("maht_net", 4, 64),
        ("maht_net", 4, 128),
        ("maht_net", 8, 64),
        ("maht_net", 8, 128),
    ]


def test_all_points_of_the_architecture_space_use_the_same_films() -> None:
    space = load_space(find_space("architecture", "unet"), {})
    base = space.resolve({}).data
    for point in space.corners():
        data = space.resolve(point).data
        assert data.model_copy(update={"input_side_px": base.input_side_px}) == base  # a model may need larger inputs


def test_a_grid_needs_finitely_many_values() -> None:
    with pytest.raises(ConfigError, match=r"training\.learning_rate, heatmap\.sigma_cells has infinitely many values"):
        space_of().grid()


def test_an_unknown_space_is_an_error_that_lists_the_existing_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no space 'optimizer' for unet\. Did you mean 'optimiser'\? There are: arch"
    ):
        find_space("optimizer", "unet")
    assert find_space(str(SHARED_SPACES / "loss.yaml"), "unet") == SHARED_SPACES / "loss.yaml"
