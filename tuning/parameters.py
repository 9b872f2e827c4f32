"""The kinds of parameters that a search space can have."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from optuna.trial import BaseTrial
from pydantic import Field, field_validator, model_validator

from spondylo_ml.config.section import Section

Scalar = bool | int | float | str | None
Conditions = dict[str, Scalar | tuple[Scalar, ...]]
"""A parameter exists only where each of these names has the value, or one of the values, listed for it."""


class _Parameter(Section):
    when: Conditions = Field(default_factory=dict, description="values of other names under which the parameter exists")

    def conditions(self) -> Iterator[tuple[str, tuple[Scalar, ...]]]:
        """Each name with its allowed values."""
        for name, allowed in self.when.items():
            yield name, allowed if isinstance(allowed, tuple) else (allowed,)


class _Range(_Parameter):
    """Base of the numeric parameters."""

    @model_validator(mode="after")
    def _is_a_range(self) -> _Range:
        low, high = getattr(self, "low"), getattr(self, "high")  # noqa: B009  # declared by the subclasses
        log, step = getattr(self, "log"), getattr(self, "step")  # noqa: B009
        if low >= high:
            raise ValueError(f"low must be below high; given {low} and {high}")
        if log and low <= 0:
            raise ValueError(f"a logarithmic range starts above 0; given {low}")
        if log and step is not None:
            raise ValueError("a logarithmic range has no step: leave out log or step")
        return self


class FloatParameter(_Range):
    """A number on a linear or logarithmic range; with a step, a finite set."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    def suggest(self, trial: BaseTrial, name: str) -> float:
        """Suggest a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def finite(self) -> tuple[float, ...] | None:
        """All values; None where there are infinitely many."""
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + i * self.step for i in range(count))

    def ends(self) -> tuple[float, ...]:
        """The lowest and the highest value."""
        return self.low, self.high


class IntParameter(_Range):
    """A whole number on a range."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int | None = Field(None, ge=1)

    def suggest(self, trial: BaseTrial, name: str) -> int:
        """Suggest a value."""
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step or 1)

    def finite(self) -> tuple[int, ...] | None:
        """All values."""
        return tuple(range(self.low, self.high + 1, self.step or 1))

    def ends(self) -> tuple[int, ...]:
        """The lowest and the highest value."""
        return self.low, self.high


class CategoricalParameter(_Parameter):
    """One of some values of the configuration; a list of numbers is one value."""

    type: Literal["categorical"]
    choices: tuple[Scalar | tuple[Scalar, ...], ...] = Field(min_length=1)

    @field_validator("choices")
    @classmethod
    def _distinct_and_numeric(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        for choice in value:
            if isinstance(choice, str) and _is_number(choice):
                raise ValueError(f"{choice!r} is text: write the number without quotes")
        if len({json.dumps(choice) for choice in value}) < len(value):
            raise ValueError("a choice is given twice")
        return value

    def suggest(self, trial: BaseTrial, name: str) -> Any:
        """Suggest a value; the study stores a list as JSON text."""
        return json_value(trial.suggest_categorical(name, [stored(choice) for choice in self.choices]))

    def finite(self) -> tuple[Any, ...]:
        """All values."""
        return self.choices

    def ends(self) -> tuple[Any, ...]:
        """All values: they have no order."""
        return self.choices


class VariantsParameter(_Parameter):
    """Named variants, each of which sets several values of the configuration; the parameter's own name is free."""

    type: Literal["variants"]
    choices: dict[str, dict[str, Any]] = Field(min_length=1)

    def suggest(self, trial: BaseTrial, name: str) -> str:
        """Suggest a variant."""
        return str(trial.suggest_categorical(name, list(self.choices)))

    def finite(self) -> tuple[str, ...]:
        """The names of the variants."""
        return tuple(self.choices)

    def ends(self) -> tuple[str, ...]:
        """The names of the variants."""
        return tuple(self.choices)


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter | VariantsParameter, Field(discriminator="type")
]


def stored(choice: Any) -> Scalar:
    """A value as the study's database stores it: a list as JSON text."""
    return json.dumps(choice) if isinstance(choice, tuple | list) else choice


def json_value(choice: Any) -> Any:
    """The inverse of `stored`."""
    return tuple(json.loads(choice)) if isinstance(choice, str) and choice.startswith("[") else choice


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
