"""Errors that a user can act on: what was given, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class SpondyloError(Exception):
    """Base of every error that the command line prints without a traceback."""

    def in_run(self) -> str:
        """What a run may keep of the error: the message, less the names that are for the terminal alone."""
        return str(self)


class ConfigError(SpondyloError):
    """A configuration value or name that is not allowed."""


class DataError(SpondyloError):
    """A dataset, film or label that cannot be used as it is."""


class FileError(DataError):
    """One file that cannot be used.

    Attributes:
        file: its name, for the terminal.
        reason: what is wrong with it; names no film and quotes no label.
        detail: what only the terminal may add, such as the value that was found.
        alias: what a run calls the file.
    """

    def __init__(self, file: str, reason: str, detail: str = "", alias: str = "a film") -> None:
        self.file, self.reason, self.detail, self.alias = file, reason, detail, alias
        super().__init__(f"{file}: {reason}{detail}")

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str, str, str]]:
        """Made again from its parts, so that it comes through from other processes."""
        return FileError, (self.file, self.reason, self.detail, self.alias)

    def in_run(self) -> str:
        """See `SpondyloError`."""
        return f"{self.alias}: {self.reason}"


class TrackingError(SpondyloError):
    """The MLflow store cannot be reached or does not hold what was asked for."""


class ParityError(SpondyloError):
    """An exported network that does not compute what the model computes."""


class NonFiniteLossError(SpondyloError):
    """A loss became NaN or infinite; carries where, and every part's value."""

    def __init__(self, epoch: int, step: int, parts: dict[str, float]) -> None:
        self.epoch, self.step, self.parts = epoch, step, parts
        values = ", ".join(f"{name}={value:g}" for name, value in parts.items())
        super().__init__(
            f"loss is not finite in epoch {epoch}, step {step}: {values}. "
            "Lower training.learning_rate, set training.clip_norm, or train with training.precision=fp32."
        )


class PreflightError(SpondyloError):
    """Checks before the first epoch that failed.

    Attributes:
        failures: name, finding and advice of each.
    """

    def __init__(self, failures: Sequence[tuple[str, str, str]], n_checks: int) -> None:
        self.failures = tuple(failures)
        told = "\n".join(f"  {name}: {finding}\n    {advice}" for name, finding, advice in failures)
        super().__init__(
            f"{len(self.failures)} of {n_checks} checks before training failed:\n{told}\n"
            "To train all the same: --training.preflight false"
        )


def unknown_name(what: str, given: str, allowed: Iterable[str]) -> str:
    """Message for a name that does not exist: the name, its nearest match, all that exist."""
    names = sorted(allowed)
    return f"unknown {what} {given!r}.{nearest_hint(given, names)} Allowed: {', '.join(names)}."


def nearest_hint(given: str, names: Sequence[str]) -> str:
    """' Did you mean ...?' for the name most like `given`, or an empty string."""
    match = get_close_matches(given, names, n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
