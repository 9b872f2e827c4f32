"""Flags of each verb, made from the configuration's types by pydantic-settings.

It is of the same family as the schema, takes each value as one argument (which is how MLflow passes them on), and
returns just what was given, to be laid over the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError

from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CompareConfig,
    Config,
    ConvertModelConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    PhantomConfig,
    PredictConfig,
    PromoteConfig,
    RegistryConfig,
    field_names,
)
from spondylo_ml.config.paths import PATHS
from spondylo_ml.errors import NEAREST, ConfigError, nearest_hint, nearest_names

SHORT_NAMES = {"model": "model.name", "data": "data.path", "minutes": "training.minutes", "folds": "data.folds"}

_SETTINGS = SettingsConfigDict(
    extra="forbid", cli_avoid_json=True, cli_hide_none_type=True, cli_use_class_docs_for_groups=True
)


class TrainFlags(Config, BaseSettings):
    """Train a model and log it to MLflow."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml train")

    recipe: Path | None = Field(None, description="YAML file laid over the model's own recipe")
    resume: str | None = Field(None, description="run id, or path of a last.ckpt, to go on with")


class EvaluateFlags(EvaluateConfig, BaseSettings):
    """Evaluate the best model of a run on the films of any dataset."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml evaluate")


class DiagnoseFlags(DiagnoseConfig, BaseSettings):
    """Look into a finished run: its checks, the causes of its error, dead channels."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml diagnose")


class BenchmarkFlags(BenchmarkConfig, Config, BaseSettings):
    """Train several entries under one budget of minutes on the same films, and rank them."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml benchmark")


class ExportFlags(ExportConfig, BaseSettings):
    """Write films in another layout, and list what that layout cannot carry."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml export")


class ExportOnnxFlags(ExportOnnxConfig, BaseSettings):
    """Write a model with its network in ONNX as well, if that computes the same."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml export-onnx")


class ConvertModelFlags(ConvertModelConfig, BaseSettings):
    """Write a model of a former format anew in the current one, with digests of its files."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml convert-model")


class PhantomFlags(PhantomConfig, BaseSettings):
    """Draw synthetic films and write them in any layout."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml phantom")


class AuditFlags(AuditConfig, BaseSettings):
    """Check a dataset before anyone trusts it; logs a report with pictures."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml audit")


class CompareFlags(CompareConfig, BaseSettings):
    """Compare the models of two or more runs on the same films."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml compare")


class PredictFlags(PredictConfig, BaseSettings):
    """Read films with a trained model: corners, slips, grades, overlays and reports."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml predict")


class PromoteFlags(PromoteConfig, BaseSettings):
    """Compare models with the champion; the better one takes its place in the registry."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml promote")


class RegistryFlags(RegistryConfig, BaseSettings):
    """Show who was champion, when, and why replaced."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml registry")


FLAGS: dict[str, type[BaseSettings]] = {
    "train": TrainFlags, "benchmark": BenchmarkFlags, "evaluate": EvaluateFlags, "diagnose": DiagnoseFlags,
    "compare": CompareFlags, "audit": AuditFlags, "export": ExportFlags, "phantom": PhantomFlags,
    "predict": PredictFlags, "promote": PromoteFlags, "registry": RegistryFlags, "export-onnx": ExportOnnxFlags,
    "convert-model": ConvertModelFlags,
}  # fmt: skip


def given_values(flags: type[BaseSettings], arguments: Sequence[str]) -> dict[str, Any]:
    """The nested values that were given; `--help` prints the help and exits.

    Raises:
        ConfigError: a flag that does not exist (names the nearest), or a value missing.
    """
    command = str(flags.model_config.get("cli_prog_name"))
    names = field_names(flags)
    full = [_full_name(argument, names, command) for argument in _without_empty(arguments)]
    full, typed = _typed_paths(full, [name for name, field in flags.model_fields.items() if PATHS in field.metadata])
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(flags, cli_parse_args=full, cli_exit_on_error=False)
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ").removeprefix("argument ")
        raise ConfigError(f"{message}. Options are given as --name value; all of them: {command} --help") from None
    return dict(source()) | typed


def _typed_paths(arguments: list[str], names: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The arguments less those of lists of paths, and these as they were typed.

    pydantic-settings would part `Lumbar, lateral` at its comma and take `[2024] films` for a list.
    """
    others: list[str] = []
    typed: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name in names and (equals or (rest and not rest[0].startswith("--"))):
            typed.setdefault(name, []).append(value if equals else rest.pop(0))
        else:  # also a flag without its value, which argparse reports
            others.append(argument)
    return others, {name: values[0] if len(values) == 1 else tuple(values) for name, values in typed.items()}


def _full_name(argument: str, names: Sequence[str], command: str) -> str:
    """A flag with its short name replaced; other arguments as they are."""
    if not argument.startswith("--") or argument == "--help":
        return argument
    flag, equals, value = argument[2:].partition("=")
    if flag not in names and SHORT_NAMES.get(flag, flag) in names:
        flag = SHORT_NAMES[flag]
    if flag not in names:
        raise ConfigError(_unknown_option(flag, names, command))
    return f"--{flag}{equals}{value}"


def _unknown_option(flag: str, names: Sequence[str], command: str) -> str:
    """Names the nearest options; there may be more than a hundred in all."""
    short = [name for name, long in SHORT_NAMES.items() if long in names]
    known = [f"--{name}" for name in (*names, *short)]
    nearest = ", ".join(nearest_names(f"--{flag}", known, NEAREST))
    return f"unknown option '--{flag}'.{nearest_hint(f'--{flag}', known)} Nearest: {nearest}. All: {command} --help"


def _without_empty(arguments: Sequence[str]) -> list[str]:
    """The arguments less the flags whose value is empty: MLproject passes a parameter that was not given so."""
    kept: list[str] = []
    for argument in arguments:
        if argument == "" and kept and kept[-1].startswith("--"):
            kept.pop()
        elif not (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            kept.append(argument)
    return kept
