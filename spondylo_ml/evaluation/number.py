"""A number that may be absent: NaN in memory, null in JSON."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


def _from_json(value: object) -> object:
    return math.nan if value is None else value


def _to_json(value: float) -> float | None:
    return value if math.isfinite(value) else None


Number = Annotated[float, BeforeValidator(_from_json), PlainSerializer(_to_json, when_used="json")]
