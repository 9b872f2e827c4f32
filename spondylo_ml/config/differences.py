"""How the settings of a training run differ from its recipe, and the few settings that everyone compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spondylo_ml.config.resolve import LENGTHS, flatten, merge, read_recipe, recipe_files, validate
from spondylo_ml.config.schema import MOVABLE, Config
from spondylo_ml.config.starting_model import INPUT_SIZE, SECTIONS
from spondylo_ml.errors import ConfigError

COMPARED = (
    "model.name", "preset", "data.input_hw", "training.learning_rate", "heatmap.sigma_cells", "loss.heatmap",
    "training.epochs", "training.batch_size", "training.optimizer", "seed",
)  # fmt: skip
"""Settings that every run logs."""

SHORT = {
    "training.learning_rate": "lr", "heatmap.sigma_cells": "s", "training.batch_size": "b", "training.epochs": "e",
    "training.film_passes": "passes", "training.minutes": "min", "seed": "seed", "data.input_side_px": "px",
    "data.fold": "fold", "loss.heatmap": "", "training.optimizer": "",
}  # fmt: skip
"""What stands before a value in a short text; other settings stand there by name."""

_FROM_FILMS = ("data.kind", "data.input_hw", "data.first_slot", "data.n_slots")
_NAMED_ELSEWHERE = (*MOVABLE, *_FROM_FILMS, "model.name", "preset")
_STARTING_MODEL = "model.pretrained"
_LONGEST_MODEL = 30
_IN_RUN_NAMES = 4
"""Most settings in the name of a run."""


def recipe_differences(config: Config) -> dict[str, Any]:
    """The values by which a configuration differs from its recipe, by dotted name.

    Left out are where the run computes and logs, the place of the films, what is read off the films, and what the
    network takes over from the model that it goes on from; which model that is stays.
    """
    given, recipe = (flatten(each.model_dump(mode="json")) for each in (config, _recipe_of(config)))
    skipped: tuple[str, ...] = _NAMED_ELSEWHERE
    if config.model.starting_model is not None:
        skipped += ("model.", *(f"{section}." for section in SECTIONS), *(f"data.{name}" for name in INPUT_SIZE))
    compared = {n: v for n, v in given.items() if n == _STARTING_MODEL or not n.startswith(skipped)}
    different = {n: v for n, v in compared.items() if v != recipe.get(n)}
    if given["training.film_passes"] is not None and "training.film_passes" not in different:
        different.pop("training.epochs", None)  # of a resumed run: computed from the film passes
    # A length in film passes unsets the epochs, and the other way round: the one that is set says enough.
    return {n: v for n, v in different.items() if not (n.removeprefix("training.") in LENGTHS and v is None)}


def settings_text(differences: Mapping[str, Any]) -> str:
    """The differences in a few characters each, such as `lr2e-3 s1.0 flip_probability=0`; those of `SHORT` first."""
    ordered = sorted(differences, key=lambda name: list(SHORT).index(name) if name in SHORT else len(SHORT))
    return " ".join(_setting(name, differences[name]) for name in ordered)


def short_run_name(model: str, differences: Mapping[str, Any]) -> str:
    """The model and the settings of `SHORT` that differ from its recipe, such as `unet lr2e-3 s1.0`."""
    shown = {name: value for name, value in differences.items() if name in SHORT and value is not None}
    return f"{model} {settings_text(dict(list(shown.items())[:_IN_RUN_NAMES]))}".strip()


def _recipe_of(config: Config) -> Config:
    """The recipe of the configuration's model and preset; the defaults, if the model has no such recipe."""
    tree: Mapping[str, Any] = {}
    try:
        for path in recipe_files(config.model.name, config.preset, config.data.path):
            tree = merge(tree, read_recipe(path))
        return validate(Config, {**tree, "preset": config.preset})
    except ConfigError:
        return Config(training={"epochs": config.training.epochs or 1})


def _setting(name: str, value: Any) -> str:
    text = _number(name, value) if isinstance(value, float) else str(value)
    if name == _STARTING_MODEL:  # a run's id, an address in the registry or a folder
        text = text.rpartition("/")[2][:_LONGEST_MODEL]
    return f"{SHORT[name]}{text}" if name in SHORT else f"{name.rpartition('.')[2]}={text}"


def _number(name: str, value: float) -> str:
    """A number as engineers write it: a learning rate as 2e-3, a sigma as 1.0."""
    if name.endswith("learning_rate"):
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.1f}" if round(value, 1) == value else f"{value:g}"
