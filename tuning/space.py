"""Search spaces: a YAML file of parameters, and the configurations that it can make.

    fixed: {training.scheduler: cosine}
    parameters:
      training.learning_rate: {type: float, low: 1.0e-5, high: 3.0e-3, log: true}
      training.optimizer: {type: categorical, choices: [adamw, sgd]}
      training.weight_decay: {type: categorical, choices: [0.0, 1.0e-2], when: {training.optimizer: adamw}}
      schedule: {type: variants, choices: {cosine: {training.scheduler: cosine}, ...}}

Names are those of the configuration; only the name of a parameter of variants is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from pydantic import Field

from spondylo_ml.config import Config, flatten, nest, resolve_config, validate
from spondylo_ml.config.benchmark import OWN_DATA
from spondylo_ml.config.resolve import merge, projects_dir
from spondylo_ml.config.section import Section
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError, nearest_hint
from tuning.parameters import Parameter, VariantsParameter, stored
from tuning.space_checks import check_file, set_names, without_effect

SHARED_SPACES = Path(__file__).parent / "spaces"
CHECKED_AT_START = 300
"""A space with more points than this is checked by its corners, or value by value; the test of the shipped ones
resolves all corners."""

OVERRULED_BY = {"data.input_side_px": "data.input_hw", "training.film_passes": "training.epochs"}

Point = dict[str, Any]
"""The value of each parameter that exists, by the parameter's name."""


class SpaceFile(Section):
    """What a space file holds."""

    fixed: dict[str, Any] = Field(default_factory=dict, description="values that all trials share")
    parameters: dict[str, Parameter] = Field(min_length=1, description="what is searched, in this order")


@dataclass(frozen=True)
class Space:
    """A space file laid over the recipe of a model and what was given on the command line.

    Attributes:
        overrides: nested values that hold for all trials.
    """

    file: SpaceFile
    overrides: Mapping[str, Any] = field(default_factory=dict)
    recipe: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in their order."""
        return tuple(self.file.parameters)

    @cached_property
    def base(self) -> dict[str, Any]:
        """Every value of the configuration before any parameter is set, by dotted name."""
        return flatten(self.resolve({}).model_dump(mode="json"))

    def suggest(self, trial: Any) -> Point:
        """The parameters of a trial; those whose conditions do not hold are not asked for."""
        point: Point = {}
        for name, parameter in self.file.parameters.items():
            if self._exists(parameter, point):
                point[name] = parameter.suggest(trial, name)
        return point

    def resolve(self, point: Mapping[str, Any]) -> Config:
        """The configuration at a point.

        Raises:
            ConfigError: a value that the configuration does not allow, that is set twice or changes nothing, or films
                other than those of the study.
        """
        tree = merge(nest(self.file.fixed), self.overrides)
        config = resolve_config(merge(tree, nest(self.settings(point))), self.recipe)
        if point:
            self._require_set_once(point)
            self._require_effect(point, config)
            self._require_same_films(config)
        return config

    def settings(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the configuration that a point sets, by dotted name; variants are spelt out."""
        out: dict[str, Any] = {}
        for name, value in point.items():
            parameter = self.file.parameters[name]
            out |= parameter.choices[value] if isinstance(parameter, VariantsParameter) else {name: value}
        return out

    def grid(self) -> list[Point]:
        """Every point.

        Raises:
            ConfigError: a parameter has no end of values; names them.
        """
        endless = [name for name, parameter in self.file.parameters.items() if parameter.finite() is None]
        if endless:
            raise ConfigError(
                f"sampler grid tries every combination, and {', '.join(endless)} has no end of values: give it a "
                "step, make it categorical, or use another sampler"
            )
        return list(self._points(lambda parameter: parameter.finite() or ()))

    def corners(self) -> Iterator[Point]:
        """Every combination of choices and of the ends of the ranges."""
        return self._points(lambda parameter: parameter.ends())

    def enqueued(self, point: Point) -> dict[str, Any]:
        """A point as the study's database keeps it."""
        return {name: stored(value) for name, value in point.items()}

    def check(self) -> None:
        """Resolve what the space can make, before any trial does.

        Raises:
            ConfigError: a combination that is not allowed.
        """
        parameters = self.file.parameters.values()
        if prod(len(_checked(parameter)) for parameter in parameters) <= CHECKED_AT_START:
            points = self._points(_checked)
        elif prod(len(parameter.ends()) for parameter in parameters) <= CHECKED_AT_START:
            points = chain(self.corners(), self._one_at_a_time())
        else:
            points = self._one_at_a_time()
        for point in points:
            self.resolve_or_explain(point)

    def resolve_or_explain(self, point: Point) -> Config:
        """As `resolve`; an error names the point."""
        try:
            return self.resolve(point)
        except ConfigError as error:
            raise ConfigError(
                f"the space allows {_words(point)}, which is no configuration: {error}. Change the range or the "
                "choices, give the range a step, or one of them a condition (when)"
            ) from None

    def _require_set_once(self, point: Mapping[str, Any]) -> None:
        names = [name for one, value in point.items() for name in self.settings({one: value})]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{', '.join(twice)}: set by two parameters at once; give one of them a condition (when)")

    def _require_effect(self, point: Mapping[str, Any], config: Config) -> None:
        settings, flat = self.settings(point), flatten(config.model_dump(mode="json"))
        for name in settings:
            if without_effect(name, config.model.name):
                raise ConfigError(
                    f"{name} changes nothing of {config.model.name}: leave it out, or let it exist for the networks "
                    "that have it, such as when: {model.name: [unet, maht_net]}"
                )
        for name, stronger in OVERRULED_BY.items():
            if name in settings and flat[stronger] is not None:
                raise ConfigError(f"{name} changes nothing where {stronger} is set: leave out one of them")

    def _require_same_films(self, config: Config) -> None:
        for name, value in flatten({"data": config.data.model_dump(mode="json")}).items():
            if name not in OWN_DATA and value != self.base[name]:
                raise ConfigError(
                    f"{name} is {value!r} there and {self.base[name]!r} in the study: all trials have the same films, "
                    f"or their values could not be compared. Give it for all trials: --{name}"
                )

    def _points(self, values: Callable[[Any], tuple[Any, ...]]) -> Iterator[Point]:
        def extend(point: Point, names: tuple[str, ...]) -> Iterator[Point]:
            if not names:
                yield point
                return
            name, *rest = names
            parameter = self.file.parameters[name]
            if not self._exists(parameter, point):
                yield from extend(point, tuple(rest))
                return
            for value in values(parameter):
                yield from extend({**point, name: value}, tuple(rest))

        return extend({}, self.names)

    def _one_at_a_time(self) -> Iterator[Point]:
        """The first corner with each value of each parameter in turn."""
        first = next(self.corners())
        yield first
        for name, parameter in self.file.parameters.items():
            for value in _checked(parameter):
                yield self._completed({**first, name: value})

    def _completed(self, point: Point) -> Point:
        """The point less what does not exist at it, plus the first value of what does."""
        out: Point = {}
        for name, parameter in self.file.parameters.items():
            if self._exists(parameter, out):
                out[name] = point.get(name, parameter.ends()[0])
        return out

    def _exists(self, parameter: Any, point: Point) -> bool:
        known: dict[str, Any] = {}
        if parameter.when:
            known = {**self.base, **self.settings(point), **point}
        for name, allowed in parameter.conditions():
            absent = name in self.file.parameters and name not in point
            if absent or known[name] not in allowed:
                return False
        return True


def load_space(path: Path, overrides: Mapping[str, Any], recipe: Path | None = None) -> Space:
    """The space of a file.

    Raises:
        ConfigError: as `check_file`; a range that is none, or a value that is both given and searched.
    """
    file = validate(SpaceFile, read_yaml(path, "space"))
    check_file(file.parameters, file.fixed, path.name)
    given = flatten(overrides)
    searched = {name for name in set_names(file.parameters) if name in given}
    if searched:
        listed = ", ".join(sorted(searched))
        raise ConfigError(f"{listed}: given, and searched by {path.name}. Leave it out, or use another space")
    return Space(file, overrides, recipe)


def find_space(name: str, model: str) -> Path:
    """The file of a space: a path, or a name in `projects/<model>/` or among those for all models.

    Raises:
        ConfigError: no such space; lists those that exist.
    """
    given = Path(name)
    own = projects_dir() / model
    candidates = [given, own / f"{name}.yaml", SHARED_SPACES / f"{name}.yaml"]
    if found := next((path for path in candidates if path.is_file()), None):
        return found
    known = sorted(path.stem for path in [*own.glob("space*.yaml"), *SHARED_SPACES.glob("*.yaml")])
    raise ConfigError(
        f"no space {name!r} for {model}.{nearest_hint(name, known)} There are: {', '.join(known)}; or give a path"
    )


def _checked(parameter: Parameter) -> tuple[Any, ...]:
    """The values of a parameter that are tried before a study: all where there are few, or else its ends."""
    values = parameter.finite()
    return values if values is not None and len(values) <= CHECKED_AT_START else parameter.ends()


def _words(point: Point) -> str:
    return ", ".join(f"{name}={value}" for name, value in point.items()) or "the recipe as it is"
