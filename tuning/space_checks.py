"""Checks of a space file before any of its configurations is resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from spondylo_ml.config import Config, field_names
from spondylo_ml.config.benchmark import DATA_OF_ENTRY
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.errors import ConfigError, nearest_hint
from tuning.parameters import CategoricalParameter, Parameter, Scalar, VariantsParameter

NOT_SEARCHED = {
    "data.": "its trials would be evaluated on different films, so that their values could not be compared",
    "clinical.": "the slips of its trials would be measured by different rules, and their values could not be compared",
    "tracking.": "it does not affect a trial's value",
    "uncertainty.": "a trial's model is not calibrated, so that it does not affect a trial's value",
    "reading.": "a trial reads each film once, so that it does not affect a trial's value",
    "training.workers": "it does not affect a trial's value",
    "training.device": "it does not affect a trial's value",
    "training.preflight": "it does not affect a trial's value",
    "training.train_metric_films": "it does not affect a trial's value",
}
"""Prefixes of names that a study cannot search, and why; names in `DATA_OF_ENTRY` are allowed."""

UNET_DROPOUT = ("model.encoder_dropout", "model.decoder_dropout")
SHOWN = 8


def check_file(parameters: Mapping[str, Parameter], fixed: Mapping[str, Any], file: str) -> None:
    """Check the names and conditions of a space file.

    Raises:
        ConfigError: a name does not exist, is both fixed and searched, or cannot be searched; or a condition can never
            hold.
    """
    _require_known_names(parameters, fixed, file)
    if both := sorted({name for name in set_names(parameters) if name in fixed}):
        raise ConfigError(f"{file}: {', '.join(both)}: both fixed and searched. Leave it out of one of them")
    for name in set_names(parameters):
        for start, why in NOT_SEARCHED.items():
            if name.startswith(start) and name not in DATA_OF_ENTRY:
                raise ConfigError(
                    f"{file}: a study cannot search {name}: {why}. Give it for all trials, under 'fixed' or as --{name}"
                )
    _require_possible_conditions(parameters, file)


def set_names(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Names of the configuration values that the parameters set."""
    for name, parameter in parameters.items():
        if isinstance(parameter, VariantsParameter):
            for settings in parameter.choices.values():
                yield from settings
        else:
            yield name


def without_effect(name: str, model: str) -> bool:
    """Whether a configuration value has no effect on a network."""
    section = name.split(".")[1] if name.startswith("model.") and name.count(".") > 1 else ""
    if section in MODEL_NAMES and section != model:
        return True
    if name in UNET_DROPOUT:
        return model != "unet"
    if model == "cascade_net" and name == "heatmap.flip_average":
        return False
    return model in WITHOUT_HEATMAPS and name.startswith(("loss.", "heatmap."))


def _require_known_names(parameters: Mapping[str, Parameter], fixed: Mapping[str, Any], file: str) -> None:
    names = field_names(Config)
    for name in [*fixed, *set_names(parameters)]:
        if name not in names:
            raise ConfigError(f"{file}: unknown parameter {name!r}.{nearest_hint(name, names)}")


def _require_possible_conditions(parameters: Mapping[str, Parameter], file: str) -> None:
    names, earlier = field_names(Config), set[str]()
    for name, parameter in parameters.items():
        for other, allowed in parameter.conditions():
            if other in parameters and other not in earlier:
                raise ConfigError(f"{file}: {name} depends on {other}, which must come before it")
            if other not in names and other not in parameters:
                all_names = [*names, *parameters]
                raise ConfigError(f"{file}: {name} depends on unknown {other!r}.{nearest_hint(other, all_names)}")
            for value in allowed:
                reason = _never(parameters[other], value) if other in parameters else _not_allowed(other, value)
                if reason:
                    raise ConfigError(f"{file}: {name} depends on {other} being {value!r}, which it never is. {reason}")
        earlier.add(name)


def _never(parameter: Parameter, value: Scalar) -> str:
    """Why a parameter can never have this value; empty if it can."""
    values = parameter.finite()
    if values is not None:
        if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in values):
            return ""
        if isinstance(parameter, CategoricalParameter | VariantsParameter) or len(values) <= SHOWN:
            choices = [str(choice) for choice in values]
            return f"It is searched among {', '.join(choices)}.{nearest_hint(str(value), choices)}"
    low, high = parameter.ends()[0], parameter.ends()[-1]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if values is None and number and low <= value <= high:  # type: ignore[operator]  # a number, as checked above
        return ""
    return f"It is searched from {low} to {high}"


def _not_allowed(name: str, value: Scalar) -> str:
    """Why the configuration does not allow this value of a name; empty if it does."""
    info = _field(Config, name)
    kind: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    try:
        TypeAdapter(kind).validate_python(value, strict=isinstance(value, str | bool))
    except ValidationError as error:
        first = error.errors()[0]
        parts = [part.strip("' ") for part in str(first.get("ctx", {}).get("expected", "")).split(" or ")]
        options = [option.strip("' ") for part in parts for option in part.split(",")]
        return str(first["msg"]) + "." + nearest_hint(str(value), options)
    return ""


def _field(schema: type[BaseModel], name: str) -> FieldInfo:
    first, _, rest = name.partition(".")
    info = schema.model_fields[first]
    if not rest:
        return info
    section = info.annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return _field(section, rest)
