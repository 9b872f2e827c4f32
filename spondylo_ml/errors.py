"""Errors that a user can act on: what was given, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class SpondyloError(Exception):
    """Base of every error that the command line prints without a traceback."""


class ConfigError(SpondyloError):
    """A configuration value or name that is not allowed."""


class DataError(SpondyloError):
    """A dataset, film or label that cannot be used as it is."""


class TrackingError(SpondyloError):
    """The MLflow store cannot be reached or does not hold what was asked for."""


class NonFiniteLossError(SpondyloError):
    """A loss became NaN or infinite; carries where, and every part's value."""

    def __init__(self, epoch: int, step: int, parts: dict[str, float]) -> None:
        self.epoch, self.step, self.parts = epoch, step, parts
        values = ", ".join(f"{name}={value:g}" for name, value in parts.items())
        super().__init__(
            f"loss is not finite in epoch {epoch}, step {step}: {values}. "
            "Lower training.learning_rate, set training.clip_norm, or train with training.precision=fp32."
        )


def unknown_name(what: str, given: str, allowed: Iterable[str]) -> str:
    """Message for a name that does not exist: the name, its nearest match, all that exist."""
    names = sorted(allowed)
    return f"unknown {what} {given!r}.{nearest_hint(given, names)} Allowed: {', '.join(names)}."


def nearest_hint(given: str, names: Sequence[str]) -> str:
    """' Did you mean ...?' for the name most like `given`, or an empty string."""
    match = get_close_matches(given, names, n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
