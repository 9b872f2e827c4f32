"""Search spaces: a YAML file of parameters, and the configurations that it allows.

    fixed: {training.scheduler: cosine}
    parameters:
      training.learning_rate: {type: float, low: 1.0e-5, high: 3.0e-3, log: true}
      training.optimizer: {type: categorical, choices: [adamw, sgd]}
      training.weight_decay: {type: categorical, choices: [0.0, 1.0e-2], when: {training.optimizer: adamw}}
      schedule: {type: variants, choices: {cosine: {training.scheduler: cosine}, ...}}

Names are those of the configuration; only the name of a `variants` parameter is free.
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
from spondylo_ml.config.benchmark import DATA_OF_ENTRY
from spondylo_ml.config.resolve import lay_over, merge, projects_dir
from spondylo_ml.config.section import Section
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError, nearest_hint
from tuning.parameters import Parameter, VariantsParameter, stored
from tuning.space_checks import check_file, set_names, without_effect

SHARED_SPACES = Path(__file__).parent / "spaces"
CHECKED_AT_START = 300
"""A space with more points than this is checked by its corners, or value by value, before a study starts. (A test
resolves all corners of the shipped spaces.)"""

OVERRULED_BY = {"data.input_side_px": "data.input_hw", "training.film_passes": "training.epochs"}

Point = dict[str, Any]
"""The value of each parameter that exists, by name."""


class SpaceFile(Section):
    """The content of a space file."""

    fixed: dict[str, Any] = Field(default_factory=dict, description="values that all trials share")
    parameters: dict[str, Parameter] = Field(min_length=1, description="what is searched, in this order")


@dataclass(frozen=True)
class Space:
    """A space file, merged over a model's recipe and the command line's values.

    Attributes:
        overrides: nested values that hold for all trials.
    """

    file: SpaceFile
    overrides: Mapping[str, Any] = field(default_factory=dict)
    recipe: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in their order."""
        return tuple(self.file.parameters)

    @cached_property
    def base(self) -> dict[str, Any]:
        """The configuration before any parameter is set, by dotted name."""
        return flatten(self.resolve({}).model_dump(mode="json"))

    def suggest(self, trial: Any) -> Point:
        """Suggest a trial's parameters, except those whose conditions do not hold."""
        point: Point = {}
        for name, parameter in self.file.parameters.items():
            if self._exists(parameter, point):
                point[name] = parameter.suggest(trial, name)
        return point

    def resolve(self, point: Mapping[str, Any]) -> Config:
        """The configuration at a point.

        Raises:
            ConfigError: a value is not allowed, is set twice or has no effect, or the films are not the study's.
        """
        config = self._config(point)
        if point:
            self._require_set_once(point)
            self._require_effect(point, config)
            self._require_same_films(config)
        return config

    def _config(self, point: Mapping[str, Any]) -> Config:
        tree = lay_over(nest(self.file.fixed), self.overrides)
        # A searched value that one of these overrules is an error, not the other way round.
        return resolve_config(merge(tree, nest(self.settings(point))), self.recipe)

    def _values(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration by dotted name: a network that is searched has the values of its own recipe."""
        searched = "model.name" in self.settings(point)
        return flatten(self._config(point).model_dump(mode="json")) if searched else self.base

    def settings(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the configuration that a point sets, by dotted name; variants are expanded."""
        out: dict[str, Any] = {}
        for name, value in point.items():
            parameter = self.file.parameters[name]
            out |= parameter.choices[value] if isinstance(parameter, VariantsParameter) else {name: value}
        return out

    def grid(self) -> list[Point]:
        """Every point.

        Raises:
            ConfigError: a parameter has infinitely many values.
        """
        infinite = [name for name, parameter in self.file.parameters.items() if parameter.finite() is None]
        if infinite:
            raise ConfigError(
                f"sampler grid tries every combination, and {', '.join(infinite)} has infinitely many values: give it "
                "a step, make it categorical, or use another sampler"
            )
        return list(self._points(lambda parameter: parameter.finite() or ()))

    def corners(self) -> Iterator[Point]:
        """Every combination of the choices and of the ends of the ranges."""
        return self._points(lambda parameter: parameter.ends())

    def enqueued(self, point: Point) -> dict[str, Any]:
        """A point as the study's database stores it."""
        return {name: stored(value) for name, value in point.items()}

    def check(self) -> None:
        """Check the configurations that the space allows, before any trial.

        Raises:
            ConfigError: a combination is not a valid configuration.
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
        """As `resolve`, but an error names the point."""
        try:
            return self.resolve(point)
        except ConfigError as error:
            raise ConfigError(
                f"the space allows {point_text(point)}, which is not a valid configuration: {error}. Change the range "
                "or the choices, give the range a step, or give one of them a condition (when)"
            ) from None

    def _require_set_once(self, point: Mapping[str, Any]) -> None:
        names = [name for parameter, value in point.items() for name in self.settings({parameter: value})]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{', '.join(twice)}: set by two parameters at once; give one of them a condition (when)")

    def _require_effect(self, point: Mapping[str, Any], config: Config) -> None:
        settings, flat = self.settings(point), flatten(config.model_dump(mode="json"))
        for name in settings:
            if without_effect(name, config.model.name):
                raise ConfigError(
                    f"{name} has no effect on {config.model.name}: leave it out, or limit it to the networks "
                    "that have it, such as when: {model.name: [unet, maht_net]}"
                )
        for name, stronger in OVERRULED_BY.items():
            if name in settings and flat[stronger] is not None:
                raise ConfigError(f"{name} has no effect where {stronger} is set: leave out one of them")

    def _require_same_films(self, config: Config) -> None:
        for name, value in flatten({"data": config.data.model_dump(mode="json")}).items():
            if name not in DATA_OF_ENTRY and value != self.base[name]:
                raise ConfigError(
                    f"{name} is {value!r} there and {self.base[name]!r} in the study: all trials need the same films, "
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
        """The first corner, then the same with each value of each parameter in turn."""
        first = next(self.corners())
        yield first
        for name, parameter in self.file.parameters.items():
            for value in _checked(parameter):
                yield self._completed({**first, name: value})

    def _completed(self, point: Point) -> Point:
        """The point without parameters that do not exist at it, plus the first value of those that do."""
        out: Point = {}
        for name, parameter in self.file.parameters.items():
            if self._exists(parameter, out):
                out[name] = point.get(name, parameter.ends()[0])
        return out

    def _exists(self, parameter: Any, point: Point) -> bool:
        values: dict[str, Any] = {}
        if parameter.when:
            # A searched network has values of its own recipe.
            base = (
                flatten(self._config(point).model_dump(mode="json"))
                if "model.name" in self.settings(point)
                else self.base
            )
            values = {**base, **self.settings(point), **point}
        for name, allowed in parameter.conditions():
            absent = name in self.file.parameters and name not in point
            if absent or values[name] not in allowed:
                return False
        return True


def load_space(path: Path, overrides: Mapping[str, Any], recipe: Path | None = None) -> Space:
    """Read and check a space file.

    Raises:
        ConfigError: as `check_file`; also an invalid range, or a value both given by the user and searched.
    """
    values = read_yaml(path, "space")
    if "parameters" not in values:
        raise ConfigError(f"{path.name} has no section parameters: put what is to be searched below `parameters:`")
    file = validate(SpaceFile, values)
    check_file(file.parameters, file.fixed, path.name)
    override_names = flatten(overrides)
    searched = {name for name in set_names(file.parameters) if name in override_names}
    if searched:
        names = ", ".join(sorted(searched))
        raise ConfigError(f"{names}: both set and searched by {path.name}. Leave it out, or use another space")
    return Space(file, overrides, recipe)


def find_space(name: str, model: str) -> Path:
    """The file of a space, given as a path or as a name in `projects/<model>/` or `tuning/spaces/`.

    Raises:
        ConfigError: no such space; lists the existing ones.
    """
    project = projects_dir() / model
    candidates = [Path(name), project / f"{name}.yaml", SHARED_SPACES / f"{name}.yaml"]
    if match := next((path for path in candidates if path.is_file()), None):
        return match
    names = sorted(path.stem for path in [*project.glob("space*.yaml"), *SHARED_SPACES.glob("*.yaml")])
    raise ConfigError(
        f"no space {name!r} for {model}.{nearest_hint(name, names)} There are: {', '.join(names)}; or give a path"
    )


def _checked(parameter: Parameter) -> tuple[Any, ...]:
    """The values of a parameter that are checked before a study: all if there are few, else the ends of its range."""
    values = parameter.finite()
    return values if values is not None and len(values) <= CHECKED_AT_START else parameter.ends()


def point_text(point: Mapping[str, Any]) -> str:
    """A point on one line, such as "training.learning_rate=0.001, training.optimizer=adamw"."""
    values = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in point.values())
    return ", ".join(f"{name}={value}" for name, value in zip(point, values, strict=True)) or "the recipe as it is"
