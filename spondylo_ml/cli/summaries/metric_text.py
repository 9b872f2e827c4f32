"""A metric's value as text."""

from __future__ import annotations

from spondylo_ml.evaluation.catalogue import format_value, metric_definition


def metric_text(metric: str, value: float) -> str:
    """The value with the digits and the unit of its metric."""
    return f"{format_value(metric, value)} {metric_definition(metric).unit}".rstrip()
