"""The plan of a benchmark, which is logged to its run, and the configurations of its training runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from spondylo_ml.config import BenchmarkConfig, Config, EntryList, flatten, nest, read_entries, resolve_config
from spondylo_ml.config.benchmark import DATA_OF_ENTRY, SET_ELSEWHERE
from spondylo_ml.config.resolve import lay_over, merge
from spondylo_ml.config.schema import MOVABLE
from spondylo_ml.config.section import Section
from spondylo_ml.errors import ConfigError, unknown_name

DEFAULT_MINUTES = 10.0


class Plan(Section):
    """The plan of a benchmark.

    Attributes:
        given: values from the command line for all entries, by dotted name.
    """

    entries: EntryList
    seeds: tuple[int, ...]
    given: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One training run of the plan."""

    entry: str
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Name of the run."""
        return f"{self.entry} seed {self.seed}"


def make_plan(config: BenchmarkConfig, overrides: Mapping[str, Any]) -> Plan:
    """Make the plan of a new benchmark.

    Args:
        overrides: values for all training runs, nested.

    Raises:
        ConfigError: bad entries, or a value that a benchmark sets elsewhere.
    """
    return Plan(entries=read_entries(config.entries), seeds=config.seeds, given=_flat_values(overrides))


def resumed_plan(original: Plan, config: BenchmarkConfig, overrides: Mapping[str, Any]) -> Plan:
    """The plan of a resumed benchmark: the original one with new seeds and with values that may change.

    Args:
        overrides: values for all training runs, nested.

    Raises:
        ConfigError: a value would make it another benchmark.
    """
    values = _flat_values(overrides)
    if "entries" in config.model_fields_set and read_entries(config.entries) != original.entries:
        raise ConfigError("a resumed benchmark keeps its entries: leave out --entries, or start a new benchmark")
    different = [
        f"{name} was {original.given.get(name, 'not given')!r}, given {value!r}"
        for name, value in values.items()
        if not name.startswith(MOVABLE) and str(original.given.get(name)) != str(value)
    ]
    if different:
        raise ConfigError(
            f"a resumed benchmark keeps its values; leave these out or start a new one: {', '.join(different)}"
        )
    added_seeds = config.seeds if "seeds" in config.model_fields_set else ()
    return Plan(
        entries=original.entries,
        seeds=tuple(dict.fromkeys([*original.seeds, *added_seeds])),
        given=original.given | values,
    )


def planned_runs(plan: Plan) -> list[PlannedRun]:
    """List all training runs seed by seed, so that the first seed already compares all entries.

    Raises:
        ConfigError: a value of an entry is not allowed, or the entries would not have the same films.
    """
    planned = []
    for seed in plan.seeds:
        for entry in plan.entries.entries:
            defaults = {"training.minutes": DEFAULT_MINUTES, **plan.entries.common}
            tree = lay_over(nest(defaults), nest(plan.given))
            tree = lay_over(tree, nest({**entry.values, "tracking.standing": True}))
            run_values = {"model.name": entry.model, "seed": seed, "tracking.run_name": f"{entry.name} seed {seed}"}
            try:
                config = resolve_config(merge(tree, nest(run_values)))
            except ConfigError as error:
                raise ConfigError(f"entry {entry.name}: {error}") from None
            if config.data.folds is not None and config.data.fold is None:
                raise ConfigError(
                    f"entry {entry.name}: a benchmark trains one run per entry and seed, without folds: give "
                    "data.fold too, or use train --folds"
                )
            planned.append(PlannedRun(entry.name, seed, config))
    _require_same_films(planned)
    return planned


def chosen_entries(plan: Plan, only: tuple[str, ...]) -> set[str]:
    """Names of the entries to train now: those in `only`, or all if it is empty.

    Raises:
        ConfigError: there is no such entry.
    """
    names = [entry.name for entry in plan.entries.entries]
    for name in only:
        if name not in names:
            raise ConfigError(f"only: {unknown_name('entry', name, names)}")
    return set(only or names)


def _flat_values(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the values to dotted names; raise if a benchmark sets one of them elsewhere."""
    flat = flatten(overrides)
    for name in flat:
        if name in SET_ELSEWHERE and name not in ("training.minutes", "tracking.experiment"):
            raise ConfigError(f"--{name} cannot be given here: {SET_ELSEWHERE[name]}")
    return flat


def _require_same_films(planned: list[PlannedRun]) -> None:
    first = planned[0]
    films = flatten(first.config.data.model_dump(mode="json"))
    for other in planned[1:]:
        for name, value in flatten(other.config.data.model_dump(mode="json")).items():
            if f"data.{name}" not in DATA_OF_ENTRY and value != films[name]:
                raise ConfigError(
                    f"the entries must have the same films: data.{name} is {films[name]!r} for {first.entry}, "
                    f"{value!r} for {other.entry}. Give it under 'common' in the list, or on the command line"
                )
