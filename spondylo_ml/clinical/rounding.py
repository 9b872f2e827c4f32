"""Values as text that lie on the same side of a limit as the values themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_MORE_DIGITS = 4
TOLERANCE = 1e-6
"""A value this close to a limit lies on it."""


def rounded_beside(value: float, digits: int, limits: Sequence[float] = (), sign: str = "") -> str:
    """The value with so many decimals, or with more where its size would be rounded onto or across a limit.

    A slip of 25.04 % is grade II where grade I ends at 25 %: as "25.0" it would contradict its grade.

    Args:
        limits: of the value's size; at most `MOST_MORE_DIGITS` decimals are added for their sake.
        sign: "+" to write the sign of positive values, too.

    >>> rounded_beside(25.04, 1, [25.0]), rounded_beside(25.0, 1, [25.0]), rounded_beside(-4.96, 1, [5.0], "+")
    ('25.04', '25.0', '-4.96')
    """
    texts = [f"{value:{sign}z.{digits + more}f}" for more in range(MOST_MORE_DIGITS + 1)]  # z: no negative zero
    sides = [_side(abs(value), limit) for limit in limits]
    fitting = (text for text in texts if [_side(abs(float(text)), limit) for limit in limits] == sides)
    return next(fitting, texts[0])


def slip_limits_percent(rules: Mapping[str, Any]) -> list[float]:
    """The limits of the grades, in percent of the endplate, by the rules of a measurement."""
    return [float(rules["grade0_percent"]), *map(float, rules["grade_limits_percent"])]


def _side(size: float, limit: float) -> int:
    return (size > limit + TOLERANCE) - (size < limit - TOLERANCE)
