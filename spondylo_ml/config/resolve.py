"""Resolve preset, recipe and overrides to one validated configuration.

The layers, of which later ones win: the schema's defaults; `projects/<model>/config.yaml` (the full recipe);
`projects/<model>/<preset>.yaml` unless the preset is `full`; `projects/<model>/<preset>_folder.yaml` if it exists and a
folder of films is given; the model from which training goes on; a recipe file given by its path; the command line.

The preset `finetune` is the same for all models, `projects/finetune.yaml`; a `projects/<model>/finetune.yaml` is laid
over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.schema import PRESETS, Config
from spondylo_ml.config.starting_model import ConfigOf, Tree, require_something_to_go_on_from, starting_layer
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError, nearest_hint, unknown_name

Model = TypeVar("Model", bound=BaseModel)

RECIPES_OF: dict[str, str] = {}
"""The model whose recipes a registered model uses, by name of the registered model."""

FINETUNE = "finetune"
LENGTHS = ("epochs", "film_passes")
OVERRULES = (
    ("training", "epochs", "film_passes"),
    ("training", "film_passes", "epochs"),
    ("data", "input_side_px", "input_hw"),
)
"""Section and name of a value, and the other one of its section that a layer which sets it unsets in those below."""


def resolve_config(
    overrides: Mapping[str, Any] | None = None, recipe: Path | None = None, config_of: ConfigOf | None = None
) -> Config:
    """Resolve the configuration of a training run.

    Args:
        overrides: nested values given by the user, such as `{"training": {"epochs": 3}}`.
        recipe: a YAML file laid over the project's own recipe.
        config_of: finds the configuration of a model that `model.pretrained` names.

    Raises:
        ConfigError: an unknown name or a value out of range, with the nearest match and what is allowed; or no such
            model to go on from.
    """
    recipe_values = read_recipe(recipe) if recipe else {}
    user_layers = (recipe_values, dict(overrides or {}))
    user_values = merge(*user_layers)
    start = starting_layer(user_values, config_of)
    model = str(_at(merge(start, user_values), "model", "name", default=MODEL_NAMES[0]))
    preset = str(user_values.get("preset", FINETUNE if start else "quick"))
    if model not in MODEL_NAMES:
        raise ConfigError(f"model.name: {unknown_name('model', model, MODEL_NAMES)}")
    if preset not in PRESETS:
        raise ConfigError(f"preset: {unknown_name('preset', preset, PRESETS)}")
    if preset == FINETUNE:
        require_something_to_go_on_from(user_values, start)
    layers = [read_recipe(path) for path in recipe_files(model, preset, _at(user_values, "data", "path", default=None))]
    layers.append(start)
    tree: Tree = {}
    for layer in layers:
        tree = merge(tree, layer)
    for layer in user_layers:
        tree = lay_over(tree, layer)
    return validate(Config, {**tree, "preset": preset})


def recipe_files(model: str, preset: str, data_path: object) -> list[Path]:
    """List the files of a model's recipe under a preset, in the order in which they are laid over each other.

    Raises:
        ConfigError: the document that the project starts from gives no recipe for this model.
    """
    folder = projects_dir() / RECIPES_OF.get(model, model)
    files = [folder / "config.yaml"]
    if preset == FINETUNE:
        own = folder / f"{FINETUNE}.yaml"
        return [*files, projects_dir() / own.name, *([own] if own.is_file() else [])]
    if preset != "full":
        files.append(folder / f"{preset}.yaml")
    if preset == "document" and not files[-1].is_file():
        raise ConfigError(f"preset: there is no document recipe for {model}; use preset=full")
    folder_recipe = folder / f"{preset}_folder.yaml"
    return [*files, folder_recipe] if data_path and folder_recipe.is_file() else files


def validate(schema: type[Model], tree: Mapping[str, Any]) -> Model:
    """Validate `tree` against `schema`; raise a `ConfigError` that lists every bad value."""
    try:
        return schema.model_validate(dict(tree))
    except ValidationError as error:
        lines = [_explain(schema, dict(item)) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def projects_dir() -> Path:
    """Return the folder of recipes: `projects/` of a clone, or the copy in the wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "projects", package / "projects"):
        if (folder / MODEL_NAMES[0] / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no recipes found beside {package}: reinstall spondylo_ml, or run from a clone")


def read_recipe(path: Path) -> Tree:
    """Read the values of a recipe, nested; a name may be dotted, `training.epochs: 3` for `training: {epochs: 3}`.

    Raises:
        ConfigError: as `read_yaml`; or a value is set in both ways.
    """
    try:
        return _without_dots(read_yaml(path))
    except ValueError as error:
        raise ConfigError(f"recipe {path}: {error}") from None


def _without_dots(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Nest the values whose names are dotted, at all depths."""
    out: Tree = {}
    for name, value in tree.items():
        inner = _without_dots(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for section in reversed(name.split(".")[1:]):
            inner = {section: inner}
        out = _union(out, {name.split(".", 1)[0]: inner}, prefix)
    return out


def _union(one: Tree, other: Mapping[str, Any], prefix: str) -> Tree:
    """Merge two trees; raise `ValueError` if both set the same value."""
    out = dict(one)
    for name, value in other.items():
        if name not in out:
            out[name] = value
        elif isinstance(out[name], Mapping) and isinstance(value, Mapping):
            out[name] = _union(out[name], value, f"{prefix}{name}.")
        else:
            raise ValueError(f"{prefix}{name} is given twice: by its dotted name and in its section")
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Lay `over` on `base`, section by section."""
    out = dict(base)
    for key, value in over.items():
        are_sections = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge(out[key], value) if are_sections else value
    return out


def lay_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Merge `over` over `base`, so that what it sets counts: see `OVERRULES`."""
    tree = dict(base)
    for section, name, overruled in OVERRULES:
        values = over.get(section)
        if isinstance(values, Mapping) and name in values and overruled not in values:
            tree = merge(tree, {section: {overruled: None}})
    return merge(tree, over)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values to dotted names: `{"training.epochs": 3}`."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return out


def nest(dotted: Mapping[str, Any]) -> Tree:
    """Nest values with dotted names: the inverse of `flatten`."""
    tree: Tree = {}
    for name, value in dotted.items():
        *sections, leaf = name.split(".")
        inner: Tree = {leaf: value}
        for section in reversed(sections):
            inner = {section: inner}
        tree = merge(tree, inner)
    return tree


def field_names(schema: type[BaseModel]) -> list[str]:
    """List the dotted names of all values of a schema."""
    return [name for name, _ in all_fields(schema)]


def all_fields(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each value of a schema, those of its sections included, with its dotted name."""
    for key, field in schema.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from all_fields(nested, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field


def _at(tree: Mapping[str, Any], *keys: str, default: object) -> object:
    """Return the value at a path of keys, or the default."""
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return default
        tree = tree[key]
    return tree


def _explain(schema: type[BaseModel], item: dict[str, Any]) -> str:
    """Message for one of pydantic's errors: which value is wrong, what was given, and what is allowed."""
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown name {name!r}.{nearest_hint(name, field_names(schema))}"
    if item["type"] == "missing":
        return f"{name}: a value is needed (--{name} ...)"
    if item["type"] in ("model_type", "model_attributes_type") and name:
        return f"{name}: given {item['input']!r}. A section of names and values is needed, such as {name}: {{...: ...}}"
    message = str(item["msg"]).removeprefix("Value error, ")
    text = f"{name}: given {item['input']!r}. {message}" if name else message
    if item["type"] == "literal_error":
        options = [part.strip("' ") for part in str(item["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        text += "." + nearest_hint(str(item["input"]), options)
    return text
