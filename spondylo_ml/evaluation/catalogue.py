"""Look up what a metric is, by the name under which a run logs it: `<prefix><name><suffix>`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import lru_cache

from spondylo_ml.errors import ConfigError, nearest_hint
from spondylo_ml.evaluation.metric_table import (
    PLACEHOLDERS,
    PREFIXES,
    SECTIONS,
    SUFFIXES,
    Direction,
    MetricDefinition,
)

METRICS = tuple(metric for section in SECTIONS.values() for metric in section)
_PLACEHOLDER = re.compile(r"<(\w+)>")


@lru_cache(maxsize=4096)
def find_metric(name: str) -> MetricDefinition | None:
    """The definition of a logged metric, its placeholders filled in; None for one that this project does not log."""
    for metric in METRICS:
        if match := _pattern(metric.name).fullmatch(name):
            return _filled(metric, match.groupdict())
    for suffix in SUFFIXES:
        stem = name.removesuffix(suffix.text)
        if stem != name and (metric_or_none := find_metric(stem)):
            return replace(metric_or_none, direction=suffix.direction or metric_or_none.direction)
    for prefix in PREFIXES:
        match = _pattern(prefix.text).match(name)
        if match and (metric_or_none := find_metric(name[match.end() :])):
            return replace(metric_or_none, direction=prefix.direction or metric_or_none.direction)
    return None


def metric_definition(name: str) -> MetricDefinition:
    """As `find_metric`.

    Raises:
        ConfigError: the catalogue has no such metric.
    """
    metric = find_metric(name)
    if metric is None:
        plain = [metric.name for metric in METRICS]
        hint = nearest_hint(name.rsplit("/", 1)[-1], plain)
        raise ConfigError(f"{name!r} is not in the catalogue of metrics.{hint} All are listed in docs/metrics.md")
    return metric


def lower_is_better(name: str) -> bool:
    """Whether lower values of a metric are better.

    Raises:
        ConfigError: the catalogue has no such metric, or neither direction of it is better.
    """
    direction = metric_definition(name).direction
    if direction is Direction.NEITHER:
        raise ConfigError(f"neither lower nor higher values of {name!r} are better: choose another metric to rank by")
    return direction is Direction.LOWER


def require_rankable(name: str) -> None:
    """Check that runs can be ranked by a metric.

    Raises:
        ConfigError: the catalogue has no such metric, or neither direction of it is better.
    """
    lower_is_better(name)


def format_value(name: str, value: float) -> str:
    """A value of a metric with its digits; "none" for NaN."""
    return "none" if math.isnan(value) else f"{value:,.{metric_definition(name).digits}f}"


def unit_of_differences(name: str) -> str:
    """The unit of a difference between two values of a metric: points for a percentage."""
    unit = metric_definition(name).unit
    return "points" if unit.startswith("%") else unit


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a text with placeholders."""
    parts = _PLACEHOLDER.split(text)
    regex = [
        f"(?P<{part}>{PLACEHOLDERS.get(part, '[A-Za-z0-9_]+')})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    ]
    return re.compile("".join(regex))


def _filled(metric: MetricDefinition, values: dict[str, str]) -> MetricDefinition:
    def fill(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]).replace("_", " "), text)

    return replace(metric, label=fill(metric.label), meaning=fill(metric.meaning))
