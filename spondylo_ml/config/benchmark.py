"""Entries of a benchmark, read from a YAML file, and the options of the command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, field_validator

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.references import RunReference
from spondylo_ml.config.resolve import field_names, flatten, projects_dir, validate
from spondylo_ml.config.schema import Config
from spondylo_ml.config.section import CommaList, Section
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError, nearest_hint, unknown_name

Part = TypeVar("Part", bound=Section)

SUFFIXES = (".yaml", ".yml")
SET_ELSEWHERE = {
    "seed": "seeds are given for all entries: --seeds 0,1",
    "model.name": "the network is the entry's 'model'",
    "training.minutes": "all entries have the same minutes: --minutes",
    "tracking.run_name": "runs are named after entry and seed",
    "tracking.experiment": "all runs are in the benchmark's experiment: --tracking.experiment",
}
"""Values that an entries file cannot set, and how they are set instead."""

DATA_OF_ENTRY = ("data.input_side_px", "data.input_hw")
"""Values of `data` that an entry may set: the size of its network's input. All entries share their films."""


class Entry(Section):
    """A network, and the values by which it differs from its recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$", description="letters, digits, dots, _ and -")
    model: Annotated[str, MODEL_NAMES] = Field(description="which network")
    values: dict[str, Any] = Field(
        {}, description="configuration values by their dotted names or in sections; they win over all else"
    )

    @field_validator("values")
    @classmethod
    def _flat_known_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        value = flatten(value)
        for name in value:
            _require_value(name)
            if name.startswith("data.") and name not in DATA_OF_ENTRY:
                raise ValueError(
                    f"{name}: all entries share their films; give it under 'common' or on the command line"
                )
        return value


class EntryList(Section):
    """A list of entries."""

    title: str = Field(min_length=1, max_length=80, description="what is compared, in words")
    common: dict[str, Any] = Field(
        {}, description="values by their dotted names or in sections, for all entries; the command line wins"
    )
    entries: tuple[Entry, ...] = Field(min_length=1, description="contestants")

    @field_validator("common")
    @classmethod
    def _flat_known_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        value = flatten(value)
        for name in value:
            _require_value(name)
        return value

    @field_validator("entries")
    @classmethod
    def _unique_names(cls, value: tuple[Entry, ...]) -> tuple[Entry, ...]:
        names = [entry.name for entry in value]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each entry needs a name of its own; more than once: {', '.join(repeated)}")
        return value


class BenchmarkConfig(Section):
    """Which entries to train, with which seeds, and which of them now."""

    entries: str = Field(
        "five_models",
        min_length=1,
        description="list of entries: five_models, six_models, maht_net_ablation, or a YAML file",
    )
    seeds: CommaList[int] = Field((0, 1), min_length=1, description="seeds of each entry, such as 0,1")
    only: CommaList[str] = Field((), description="train only these entries now, such as unet,hrnet_w32")
    resume: Annotated[str | None, RunReference("benchmark")] = Field(
        None, description="benchmark to continue: the id of its run or its first digits, its name, or latest"
    )

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError("seeds are different whole numbers from 0 up, such as 0,1")
        return value


def read_entries(name_or_path: str) -> EntryList:
    """Read the list of this name in `projects/benchmark`, or the YAML file at this path.

    Raises:
        ConfigError: no such list, or a bad value in it.
    """
    path = _entries_file(name_or_path)
    tree = read_yaml(path, "entries file")
    items = tree.get("entries", [])
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise ConfigError(
            f"{path.name}: 'entries' must be a list of names and values, such as - {{name: a, model: unet}}"
        )
    entries = [_validate_in_file(f"{path.name}, entry {i}", Entry, item) for i, item in enumerate(items, start=1)]
    return _validate_in_file(path.name, EntryList, tree | ({"entries": entries} if "entries" in tree else {}))


def _validate_in_file(where: str, schema: type[Part], tree: Mapping[str, Any]) -> Part:
    """As `validate`; the message names the place in the file, and no option of the command line."""
    try:
        return validate(schema, tree)
    except ConfigError as error:
        message = re.sub(r" \(--\S+ \.\.\.\)", "", str(error)).replace("\n", "; ")
        raise ConfigError(f"{where}: {message}") from None


def _entries_file(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    if path.suffix in SUFFIXES:
        if not path.is_file():
            raise ConfigError(f"entries file {path} does not exist")
        return path
    files = {path.stem: path for path in sorted((projects_dir() / "benchmark").glob("*.yaml"))}
    if name_or_path not in files:
        message = unknown_name("list of entries", name_or_path, files)
        raise ConfigError(f"{message} Or give the path of a YAML file.")
    return files[name_or_path]


def _require_value(name: str) -> None:
    """Require the dotted name of a value that an entries file may set."""
    names = field_names(Config)
    if name not in names:
        raise ValueError(f"unknown value {name!r}.{nearest_hint(name, names)}")
    if name in SET_ELSEWHERE:
        raise ValueError(f"{name} cannot be given here: {SET_ELSEWHERE[name]}")
