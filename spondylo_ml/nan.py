"""Absent numbers: NaN in memory, null in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


def is_absent(value: object) -> bool:
    """Whether a table cell or a JSON value is None or NaN; values of any type are accepted."""
    return value is None or bool(value != value)


def finite_or_none(value: float) -> float | None:
    """The value as JSON can hold it: None (null) where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def drop_nan(values: Mapping[str, float]) -> dict[str, float]:
    """The values without those that are NaN, such as the metrics that a run can log."""
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _nan_if_null(value: object) -> object:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_nan_if_null), PlainSerializer(finite_or_none, when_used="json")]
"""A float field of a pydantic model that may be NaN."""
