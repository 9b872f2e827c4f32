"""Errors that a user can act on: what was given, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile


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


class NamedFilmsError(DataError):
    """An error on several films, which the terminal names and a run does not.

    Attributes:
        for_runs: the message with pseudonyms.
    """

    def __init__(self, message: str, for_runs: str) -> None:
        self.for_runs = for_runs
        super().__init__(message)

    def __reduce__(self) -> tuple[type[NamedFilmsError], tuple[str, str]]:
        """Made again from its parts, so that it comes through from other processes."""
        return NamedFilmsError, (str(self), self.for_runs)

    def in_run(self) -> str:
        """See `SpondyloError`."""
        return self.for_runs


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


class NoUsableCornerError(DataError):
    """A part of the films without a single corner that can be believed: nothing can be learnt or evaluated on it."""

    def __init__(self, part: str, n_films: int) -> None:
        self.part, self.n_films = part, n_films
        super().__init__(
            f"no usable corner in the {part} part ({n_films} labelled film(s)): all are absent, outside the film, or "
            "listed in an order in which they are no vertebral bodies. The command audit shows them, and names the "
            "order that fits"
        )

    def __reduce__(self) -> tuple[type[NoUsableCornerError], tuple[str, int]]:
        """Made again from its parts, so that it comes through from other processes."""
        return NoUsableCornerError, (self.part, self.n_films)


class NonFiniteMetricError(SpondyloError):
    """The validation error by which epochs are chosen is not a finite number."""

    def __init__(self, epoch: int, name: str, value: float) -> None:
        self.epoch, self.name, self.value = epoch, name, value
        super().__init__(
            f"{name} is {value} after epoch {epoch}: no labelled corner of the validation films could be "
            "compared with a prediction. Look at their labels with the command audit"
        )

    def __reduce__(self) -> tuple[type[NonFiniteMetricError], tuple[int, str, float]]:
        """Made again from its parts, so that it comes through from other processes."""
        return NonFiniteMetricError, (self.epoch, self.name, self.value)


class PreflightError(SpondyloError):
    """Checks before the first epoch that failed.

    Attributes:
        failures: name, finding and advice of each.
    """

    def __init__(self, failures: Sequence[tuple[str, str, str]], n_checks: int) -> None:
        self.failures = tuple(failures)
        listed = "\n".join(f"  {name}: {finding}\n    {advice}" for name, finding, advice in failures)
        super().__init__(
            f"{len(self.failures)} of {n_checks} checks before training failed:\n{listed}\n"
            "To train all the same: --training.preflight false"
        )


FEW_NAMES = 20
"""So many names are listed in full; of more only the nearest are listed."""

NEAREST, ALIKE = 3, 0.5
"""How many names of a long list are shown, and how like a name must be to be what was probably meant."""

LEAST_PART = 3
"""Letters that a part of a name needs to stand for the whole."""


def unknown_name(what: str, given: str, allowed: Iterable[str]) -> str:
    """Message for a name that does not exist: the name, the nearest, and all that exist or the nearest of many."""
    names = sorted(allowed)
    text = f"unknown {what} {given!r}.{nearest_hint(given, names)}"
    if len(names) <= FEW_NAMES:
        return f"{text} Allowed: {', '.join(names)}."
    return f"{text} The {NEAREST} nearest of {len(names)}: {', '.join(nearest_names(given, names, NEAREST))}."


def nearest_hint(given: str, names: Iterable[str]) -> str:
    """' Did you mean ...?' for the name most like `given`, or an empty string."""
    match = [name for name in nearest_names(given, names, 1) if _likeness(given, name) >= ALIKE]
    return f" Did you mean {match[0]!r}?" if match else ""


def nearest_names(given: str, names: Iterable[str], count: int) -> list[str]:
    """The names most like `given`, the best first; of two that are as like, the one that begins as it does."""

    def key(name: str) -> tuple[float, int, str]:
        pairs = zip(_letters(given), _letters(name), strict=False)
        same_start = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        return -_likeness(given, name), -same_start, name

    return sorted(names, key=key)[:count]


def _likeness(given: str, name: str) -> float:
    """How like a name is, 0 to 1. Capitals, `-`, `_` and spaces do not count; a dotted name may be meant by its end.

    Initials (`lr` of `learning_rate`) and a part of a name (`rcnn` of `keypoint_rcnn`) are like it too.
    """
    whole = _letters(given)
    return max(
        _alike(whole, _letters(name)),
        0.95 * _alike(whole.split(".")[-1], _letters(name).split(".")[-1]),
        0.9 * (whole.strip(".") == _initials(name)),
    )


def _alike(given: str, name: str) -> float:
    ratio = SequenceMatcher(None, given, name).ratio()
    contained = len(given) >= LEAST_PART and given in name
    return max(ratio, 0.7 + 0.2 * len(given) / len(name)) if contained else ratio


def _letters(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", "-_ "))


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.rsplit(".", 1)[-1].strip("-").split("_"))
