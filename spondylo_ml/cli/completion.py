"""`completion`: a script by which a shell completes commands, options and their values."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin

import shtab
from pydantic.fields import FieldInfo
from pydantic_settings import CliSettingsSource

from spondylo_ml.cli.command import Command
from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.flags import SHORT_NAMES
from spondylo_ml.cli.overview import TUNE
from spondylo_ml.cli.studies import tune_command
from spondylo_ml.config.open_names import OpenNames
from spondylo_ml.config.resolve import all_fields
from spondylo_ml.errors import ConfigError, unknown_name

PROGRAM = "spondylo-ml"
SHELLS = ("bash", "zsh", "fish")
USAGE = (
    f'give a shell, bash, zsh or fish: put eval "$({PROGRAM} completion bash)" into ~/.bashrc (likewise zsh into '
    f"~/.zshrc), or {PROGRAM} completion fish | source into ~/.config/fish/config.fish"
)


def completion_script(arguments: Sequence[str]) -> str:
    """The script for the shell that the one argument names.

    Raises:
        ConfigError: no such shell, or not one argument.
    """
    if len(arguments) != 1:
        raise ConfigError(USAGE)
    if arguments[0] not in SHELLS:
        raise ConfigError(unknown_name("shell", arguments[0], SHELLS))
    return shtab.complete(_parser(), shell=arguments[0])


def _parser() -> ArgumentParser:
    """All commands and options; parses nothing, since commands parse their own."""
    parser = ArgumentParser(PROGRAM)
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers()
    for name, command in _commands().items():
        options: ArgumentParser = CliSettingsSource[ArgumentParser](command.flags, cli_parse_args=[]).root_parser
        fields = dict(all_fields(command.flags))
        by_flag = {flag: action for action in options._actions for flag in action.option_strings}
        for short, long in SHORT_NAMES.items():
            if long in fields and short not in fields:
                fields[short] = fields[long]
                # A hidden option of this name, for a whole section as JSON, is there already.
                action = by_flag.get(f"--{short}") or options.add_argument(f"--{short}")
                action.help, action.nargs = f"short for --{long}", None
        for action in options._actions:
            field = fields.get(action.dest)
            if field is None:
                continue
            action.choices = _values(field)
            if _is_path(field):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        commands.add_parser(name, parents=[options], help=command.summary, add_help=False)
    commands.add_parser("completion", help=completion_script.__doc__).add_argument("shell", choices=SHELLS)
    return parser


def _commands() -> dict[str, Command]:
    """All commands; an installation that is not a clone has no `tune`."""
    try:
        return COMMANDS | {TUNE: tune_command()}
    except ConfigError:
        return COMMANDS


def _values(field: FieldInfo) -> list[str] | None:
    """What an option may be; None where that is not a short list."""
    for limit in field.metadata:
        if isinstance(limit, OpenNames):
            return list(limit)
    if field.annotation is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(field.annotation)] if get_origin(field.annotation) is Literal else None


def _is_path(field: FieldInfo) -> bool:
    return Path in (field.annotation, *get_args(field.annotation))
