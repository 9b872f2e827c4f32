"""The help of a command: what it does, and its options, the common or all of them, with their defaults."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from spondylo_ml.cli.flags import SHORT_NAMES, given_values
from spondylo_ml.config import Config, field_names, flatten, resolve_config
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.resolve import all_fields
from spondylo_ml.errors import SpondyloError

HELP, HELP_ALL = ("-h", "--help"), "--help-all"
INDENT, REQUIRED = 22, "required"
UNSET = {"data.path": "synthetic films", "training.minutes": "no limit", "tracking.run_name": "made by the command"}
"""What the common values of the configuration mean where they are not set."""


def short_help(
    options: type[BaseModel],
    flags: type[BaseSettings],
    common: Sequence[str],
    head: Sequence[str],
    arguments: Sequence[str],
) -> str:
    """The help on the common options, with the defaults that hold beside the arguments.

    Args:
        options: the command's own options.
        flags: all its options.
        common: names of options to show, short or dotted; empty: all of the command's own.
        head: usage and summary.
        arguments: what the user has given beside `--help`.
    """
    shown = common or [*options.model_fields]
    lines, note = _described(shown, options, flags, arguments)
    return "\n".join([*head, "", *lines, "", *note, f"{HELP_ALL} lists all {len(field_names(flags))} options."]) + "\n"


def full_help(
    options: type[BaseModel], flags: type[BaseSettings], head: Sequence[str], arguments: Sequence[str]
) -> str:
    """The help on all options; see `short_help` for the arguments."""
    names = field_names(flags)
    lines, note = _described(names, options, flags, arguments)
    short = [f"--{name} for --{full}" for name, full in SHORT_NAMES.items() if full in names and name not in names]
    if short:
        note = [*note, f"Short names: {', '.join(short)}."]
    return "\n".join([*head, "", *lines, *(["", *note] if note else [])]) + "\n"


def _described(
    names: Sequence[str], options: type[BaseModel], flags: type[BaseSettings], arguments: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """The lines on the options of these names, short or dotted, and a note on whose the defaults are."""
    fields, lines = dict(all_fields(flags)), list[str]()
    defaults, note = _defaults(options, flags, arguments)
    for name in names:
        full = name if name in fields else SHORT_NAMES.get(name, name)
        if full in fields:
            lines += _option(name, fields[full], defaults.get(full, _default_text(full, fields[full])))
    return lines, note


def _defaults(
    options: type[BaseModel], flags: type[BaseSettings], arguments: Sequence[str]
) -> tuple[Mapping[str, str], Sequence[str]]:
    """Defaults of the configuration by dotted name, in words, and a note on whose they are."""
    if "preset" not in flags.model_fields:
        return {}, []
    try:
        values = given_values(flags, arguments) if arguments else {}
        recipe = expanded(Path(values["recipe"])) if "recipe" in values else None
        overrides = {name: value for name, value in values.items() if name not in options.model_fields}
        config = resolve_config(overrides, recipe)
        note: list[str] = []
    except SpondyloError as error:
        config, note = resolve_config(), [f"The options given were not used: {error}"]
    films = "synthetic films" if config.data.path is None else "a folder of films"
    note.append(f"Defaults are those of preset {config.preset} of {config.model.name} on {films}.")
    return _in_words(config), note


def _in_words(config: Config) -> dict[str, str]:
    texts = {name: UNSET.get(name, "unset") if value is None else str(value) for name, value in _flat(config).items()}
    if config.training.epochs is None:
        texts["training.epochs"] = f"as many as show {config.training.film_passes:,} films"
    return texts


def _flat(config: Config) -> Mapping[str, Any]:
    return flatten(config.model_dump(mode="json"))


def _default_text(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    if value is None or value == ():
        return UNSET.get(name, "")
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _option(name: str, field: FieldInfo, default: str) -> list[str]:
    """The lines of an option: its name, its description, and its default in brackets."""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    one_of = f" [one of {', '.join(map(str, choices))}]" if choices else ""
    shown = default if default == REQUIRED else f"default: {default}"
    text = f"{field.description or ''}{one_of}{f' ({shown})' if default else ''}"
    width = max(40, shutil.get_terminal_size().columns - INDENT)
    first, *others = textwrap.wrap(text, width) or [""]
    head = f"  --{name}"
    start = [f"{head:<{INDENT}}{first}"] if len(head) < INDENT else [head, " " * INDENT + first]
    return [*start, *(" " * INDENT + line for line in others)]
