"""The flags of a command, made from its options by pydantic-settings.

pydantic-settings is of the same family as the schema, takes each value as one argument (which is how MLflow passes
parameters on), and returns only the values that were given, to be laid over the recipe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import create_model
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError

from spondylo_ml.cli.users_folder import RUN_ID
from spondylo_ml.config import field_names
from spondylo_ml.config.paths import PATHS
from spondylo_ml.config.section import Section
from spondylo_ml.errors import NEAREST, ConfigError, nearest_hint, nearest_names

SHORT_NAMES = {
    "model": "model.name", "data": "data.path", "epochs": "training.epochs", "lr": "training.learning_rate",
    "batch": "training.batch_size", "minutes": "training.minutes", "name": "tracking.run_name", "folds": "data.folds",
}  # fmt: skip
"""Short names of values of the configuration; a command's own option of that name comes first."""


_MINUS = re.compile(r"-[\d.]")


class _Flags(BaseSettings):
    """Base of all classes of flags."""

    model_config = SettingsConfigDict(
        extra="forbid", cli_avoid_json=True, cli_hide_none_type=True, cli_use_class_docs_for_groups=True
    )


@cache
def flags_class(name: str, summary: str, options: tuple[type[Section], ...]) -> type[BaseSettings]:
    """A class whose fields are those of all the `options`; the summary becomes the head of its help."""
    bases: tuple[Any, ...] = (*options, _Flags)
    return create_model(name, __base__=bases, __doc__=summary)


def given_values(flags: type[BaseSettings], arguments: Sequence[str], call: str = "") -> dict[str, Any]:
    """Parse the arguments to nested values, without defaults; `--help` prints the help and exits.

    Args:
        call: how the command is called in a shell.

    Raises:
        ConfigError: a flag that does not exist (names the nearest), or a value missing or, outside `mlflow run`, empty.
    """
    names = field_names(flags)
    # `mlflow run` passes a parameter that is not set as an empty value.
    given = _without_empty(arguments) if RUN_ID in os.environ else _none_empty(arguments)
    full = [_full_name(argument, names, call) for argument in given]
    full, typed = _typed_paths(full, [name for name, field in flags.model_fields.items() if PATHS in field.metadata])
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(
            flags, cli_parse_args=full, cli_exit_on_error=False, cli_prog_name=call
        )
        values = dict(source())
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ").removeprefix("argument ") + _minus_hint(full)
        raise ConfigError(f"{message}. Options are given as --name value; all of them: {call} --help-all") from None
    return values | typed


def _typed_paths(arguments: list[str], names: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Split off the lists of paths, which are kept as they were typed.

    pydantic-settings would split `Lumbar, lateral` at its comma and parse `[2024] films` as a list.
    """
    others: list[str] = []
    typed: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name in names and (equals or (rest and not rest[0].startswith("--"))):
            paths = typed.setdefault(name, [])
            paths.append(value if equals else rest.pop(0))
            while rest and not rest[0].startswith("--"):  # `--data a b`, or a pattern that the shell has expanded
                paths.append(rest.pop(0))
        else:  # also a flag without its value, which argparse reports
            others.append(argument)
    return others, {name: values[0] if len(values) == 1 else tuple(values) for name, values in typed.items()}


def _full_name(argument: str, names: Sequence[str], call: str) -> str:
    """Replace a short name of a flag by the full one; other arguments stay as they are."""
    if not argument.startswith("--") or argument == "--help":
        return argument
    flag, equals, value = argument[2:].partition("=")
    if flag not in names and SHORT_NAMES.get(flag, flag) in names:
        flag = SHORT_NAMES[flag]
    if flag not in names:
        raise ConfigError(_unknown_option(flag, names, call))
    return f"--{flag}{equals}{value}"


def _unknown_option(flag: str, names: Sequence[str], call: str) -> str:
    """Message that names the nearest options only, as there may be more than a hundred."""
    short = [name for name, long in SHORT_NAMES.items() if long in names]
    flags = [f"--{name}" for name in (*names, *short)]
    nearest = ", ".join(nearest_names(f"--{flag}", flags, NEAREST))
    return f"unknown option '--{flag}'.{nearest_hint(f'--{flag}', flags)} Nearest: {nearest}. All: {call} --help-all"


def _minus_hint(arguments: Sequence[str]) -> str:
    """How to give a value that begins with a minus, if there is one that argparse takes for an option."""
    pairs = [(flag, value) for flag, value in pairwise(arguments) if flag.startswith("--") and _MINUS.match(value)]
    return f" (a value that begins with a minus is given as {pairs[0][0]}={pairs[0][1]})" if pairs else ""


def _none_empty(arguments: Sequence[str]) -> list[str]:
    """The arguments; a flag with an empty value, such as that of an unset variable, is an error."""
    for flag, value in pairwise((*arguments, "--")):
        if flag.startswith("--") and (value == "" or flag.find("=") == len(flag) - 1):
            name = flag.removesuffix("=")
            raise ConfigError(f"{name} has an empty value: leave {name} out, or give it a value")
    return list(arguments)


def _without_empty(arguments: Sequence[str]) -> list[str]:
    """Drop flags with an empty value, which is how MLproject passes a parameter that is not set."""
    kept: list[str] = []
    for argument in arguments:
        if argument == "" and kept and kept[-1].startswith("--"):
            kept.pop()
        elif not (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            kept.append(argument)
    return kept
