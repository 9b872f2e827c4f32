"""From preset, recipe and overrides to one validated configuration.

Layers, later ones win: the schema's defaults, `projects/<model>/config.yaml` (the full recipe),
`projects/<model>/<preset>.yaml` where the preset is not `full`, `projects/<model>/<preset>_folder.yaml` where a folder
of films is given and there is such a file, a recipe file given by path, the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.schema import PRESETS, Config
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError, nearest_hint, unknown_name

Model = TypeVar("Model", bound=BaseModel)
Tree = dict[str, Any]

RECIPES_OF: dict[str, str] = {}
"""Of a registered model, the model whose recipes it is trained by."""

LENGTHS = ("epochs", "film_passes")


def resolve_config(overrides: Mapping[str, Any] | None = None, recipe: Path | None = None) -> Config:
    """The configuration of a training run.

    Args:
        overrides: nested values given by the user, such as `{"training": {"epochs": 3}}`.
        recipe: a YAML file laid over the project's own recipe.

    Raises:
        ConfigError: an unknown name or a value out of range, with the nearest match and what is allowed.
    """
    given = dict(overrides or {})
    own = read_recipe(recipe) if recipe else {}
    named = merge(own, given)
    model = str(_at(named, "model", "name", default=MODEL_NAMES[0]))
    preset = str(named.get("preset", "quick"))
    if model not in MODEL_NAMES:
        raise ConfigError(f"model.name: {unknown_name('model', model, MODEL_NAMES)}")
    if preset not in PRESETS:
        raise ConfigError(f"preset: {unknown_name('preset', preset, PRESETS)}")
    layers = [read_recipe(path) for path in recipe_files(model, preset, _at(named, "data", "path", default=None))]
    for layer in (own, given):
        layers += [_other_length_ended(layer), layer]
    tree: Tree = {}
    for layer in layers:
        tree = merge(tree, layer)
    return validate(Config, {**tree, "preset": preset})


def recipe_files(model: str, preset: str, data_path: object) -> list[Path]:
    """The files of a model's recipe under a preset, in the order in which they are laid over each other.

    Raises:
        ConfigError: the document that the project starts from gives no recipe for this model.
    """
    folder = projects_dir() / RECIPES_OF.get(model, model)
    files = [folder / "config.yaml"]
    if preset != "full":
        files.append(folder / f"{preset}.yaml")
    if preset == "document" and not files[-1].is_file():
        raise ConfigError(f"preset: the document gives no recipe for {model}; preset full is ours")
    of_folders = folder / f"{preset}_folder.yaml"
    return [*files, of_folders] if data_path and of_folders.is_file() else files


def validate(schema: type[Model], tree: Mapping[str, Any]) -> Model:
    """`tree` as a `schema`; a `ConfigError` that lists every bad value otherwise."""
    try:
        return schema.model_validate(dict(tree))
    except ValidationError as error:
        lines = [_explain(schema, dict(item)) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def projects_dir() -> Path:
    """The folder of recipes: `projects/` of a clone, or the copy that the wheel carries."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "projects", package / "projects"):
        if (folder / MODEL_NAMES[0] / "config.yaml").is_file():
            return folder
    raise ConfigError(f"no recipes found beside {package}: reinstall spondylo_ml, or run from a clone")


def read_recipe(path: Path) -> Tree:
    """The values of a recipe, nested; a name may be dotted, `training.epochs: 3` for `training: {epochs: 3}`.

    Raises:
        ConfigError: as `read_yaml`; or a value is given in both ways.
    """
    try:
        return _spelt_out(read_yaml(path))
    except ValueError as error:
        raise ConfigError(f"recipe {path}: {error}") from None


def _spelt_out(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    out: Tree = {}
    for name, value in tree.items():
        whole = f"{prefix}{name}"
        inner = _spelt_out(value, f"{whole}.") if isinstance(value, Mapping) else value
        for section in reversed(name.split(".")[1:]):
            inner = {section: inner}
        out = _united(out, {name.split(".", 1)[0]: inner}, prefix)
    return out


def _united(one: Tree, other: Mapping[str, Any], prefix: str) -> Tree:
    """Both trees together; `ValueError` where they give the same value."""
    out = dict(one)
    for name, value in other.items():
        if name not in out:
            out[name] = value
        elif isinstance(out[name], Mapping) and isinstance(value, Mapping):
            out[name] = _united(out[name], value, f"{prefix}{name}.")
        else:
            raise ValueError(f"{prefix}{name} is given twice: by its dotted name and in its section")
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`over` laid on `base`, section by section."""
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge(out[key], value) if both else value
    return out


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as dotted names: `{"training.epochs": 3}`."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return out


def nest(dotted: Mapping[str, Any]) -> Tree:
    """The inverse of `flatten`: dotted names as nested values."""
    tree: Tree = {}
    for name, value in dotted.items():
        *sections, leaf = name.split(".")
        inner: Tree = {leaf: value}
        for section in reversed(sections):
            inner = {section: inner}
        tree = merge(tree, inner)
    return tree


def field_names(schema: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all values of a schema."""
    names: list[str] = []
    for key, info in schema.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            names += field_names(nested, f"{prefix}{key}.")
        else:
            names.append(f"{prefix}{key}")
    return names


def _other_length_ended(layer: Mapping[str, Any]) -> Tree:
    """A layer that names epochs ends the lower layers' claim on the length of the run, and the other way round."""
    training = layer.get("training")
    named = [name for name in LENGTHS if isinstance(training, Mapping) and name in training]
    return {"training": {name: None for name in LENGTHS if name not in named}} if len(named) == 1 else {}


def _at(tree: Mapping[str, Any], *keys: str, default: object) -> object:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return default
        tree = tree[key]
    return tree


def _explain(schema: type[BaseModel], item: dict[str, Any]) -> str:
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
