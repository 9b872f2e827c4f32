"""Errors that a user can act on: they say what was given, what is allowed, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile


class SpondyloError(Exception):
    """Base of every error that the command line prints without a traceback."""

    def in_run(self) -> str:
        """The message as it may be logged to a run: without the names that only the terminal may show."""
        return str(self)


class ConfigError(SpondyloError):
    """A configuration value or name that is not allowed."""


class DataError(SpondyloError):
    """A dataset, film or label that cannot be used as it is."""


class FileError(DataError):
    """A file that cannot be used.

    Attributes:
        file: its name, shown on the terminal.
        reason: what is wrong; names no film and quotes no label.
        detail: shown on the terminal only, such as the offending value.
        alias: name of the file in runs.
    """

    def __init__(self, file: str, reason: str, detail: str = "", alias: str = "a film") -> None:
        self.file, self.reason, self.detail, self.alias = file, reason, detail, alias
        super().__init__(f"{file}: {reason}{detail}")

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str, str, str]]:
        """Rebuild from the arguments, so that the error survives pickling between processes."""
        return FileError, (self.file, self.reason, self.detail, self.alias)

    def in_run(self) -> str:
        """See `SpondyloError`."""
        return f"{self.alias}: {self.reason}"


class NamedFilmsError(DataError):
    """An error about several films, which are named on the terminal but not in runs.

    Attributes:
        for_runs: the message with pseudonyms.
    """

    def __init__(self, message: str, for_runs: str) -> None:
        self.for_runs = for_runs
        super().__init__(message)

    def __reduce__(self) -> tuple[type[NamedFilmsError], tuple[str, str]]:
        """Rebuild from the arguments, so that the error survives pickling between processes."""
        return NamedFilmsError, (str(self), self.for_runs)

    def in_run(self) -> str:
        """See `SpondyloError`."""
        return self.for_runs


class TrackingError(SpondyloError):
    """The MLflow store cannot be reached, or lacks a requested run, artifact or version."""


class RunInUseError(TrackingError):
    """A run on which another process works; it must be left as it is."""


class ParityError(SpondyloError):
    """An exported network whose outputs differ from the model's."""


class NonFiniteLossError(SpondyloError):
    """A loss became NaN or infinite.

    Attributes:
        epoch: epoch of the loss.
        step: step of the loss.
        parts: value of each part of the loss.
    """

    def __init__(self, epoch: int, step: int, parts: dict[str, float]) -> None:
        self.epoch, self.step, self.parts = epoch, step, parts
        values = ", ".join(f"{name}={value:g}" for name, value in parts.items())
        super().__init__(
            f"loss is not finite in epoch {epoch}, step {step}: {values}. "
            "Lower training.learning_rate, set training.clip_norm, or train with training.precision=fp32."
        )


class OutOfMemoryError(SpondyloError):
    """A device had no memory left for a training step."""

    def __init__(self, device: str, batch_size: int, advice: str) -> None:
        super().__init__(f"out of memory on {device} with batches of {batch_size} film(s): {advice}")


class LostProcessError(SpondyloError):
    """Another process of a training run ended before its time."""

    def __init__(self) -> None:
        super().__init__(
            "another process of this training run has ended; its message says why. If it left none, it was killed, as "
            "the system does to processes for which it has no memory"
        )


class NoUsableCornerError(DataError):
    """A split without a single valid corner, on which nothing can be trained or evaluated."""

    def __init__(self, part: str, n_films: int) -> None:
        self.part, self.n_films = part, n_films
        super().__init__(
            f"no usable corner in the {part} part ({n_films} labelled film(s)): all are absent, outside the film, or "
            "listed in an order that gives no vertebral bodies. The command audit lists them, and names the order "
            "that fits"
        )

    def __reduce__(self) -> tuple[type[NoUsableCornerError], tuple[str, int]]:
        """Rebuild from the arguments, so that the error survives pickling between processes."""
        return NoUsableCornerError, (self.part, self.n_films)


class NonFiniteMetricError(SpondyloError):
    """The validation metric that selects the best epoch is not finite."""

    def __init__(self, epoch: int, name: str, value: float) -> None:
        self.epoch, self.name, self.value = epoch, name, value
        super().__init__(
            f"{name} is {value} after epoch {epoch}: no labelled corner of the validation films could be "
            "compared with a prediction. Check their labels with the command audit"
        )

    def __reduce__(self) -> tuple[type[NonFiniteMetricError], tuple[int, str, float]]:
        """Rebuild from the arguments, so that the error survives pickling between processes."""
        return NonFiniteMetricError, (self.epoch, self.name, self.value)


class PreflightError(SpondyloError):
    """Failed checks before the first epoch.

    Attributes:
        failures: name, finding and advice of each failed check.
    """

    def __init__(self, failures: Sequence[tuple[str, str, str]], n_checks: int) -> None:
        self.failures = tuple(failures)
        details = "\n".join(f"  {name}: {finding}\n    {advice}" for name, finding, advice in failures)
        super().__init__(
            f"{len(self.failures)} of {n_checks} checks before training failed:\n{details}\n"
            "To train anyway: --training.preflight false"
        )


FEW_NAMES = 20
"""Up to this many names are listed in full; of a longer list only the nearest are shown."""

NEAREST, ALIKE = 3, 0.5
"""Number of names shown from a long list, and smallest similarity for "Did you mean"."""

LEAST_PART = 3
"""Minimum length of a part of a name to match the whole name."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text; the name of its type if it has no text."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def unknown_name(what: str, word: str, allowed: Iterable[str]) -> str:
    """Message for an unknown name: the likely intended name, and all allowed names or the nearest of many."""
    names = sorted(allowed)
    text = f"unknown {what} {word!r}.{nearest_hint(word, names)}"
    if len(names) <= FEW_NAMES:
        return f"{text} Allowed: {', '.join(names)}."
    return f"{text} The {NEAREST} nearest of {len(names)}: {', '.join(nearest_names(word, names, NEAREST))}."


def nearest_hint(word: str, names: Iterable[str]) -> str:
    """' Did you mean ...?' for the name most similar to `word`, or an empty string."""
    matches = [name for name in nearest_names(word, names, 1) if _similarity(word, name) >= ALIKE]
    return f" Did you mean {matches[0]!r}?" if matches else ""


def nearest_names(word: str, names: Iterable[str], count: int) -> list[str]:
    """The names most similar to `word`, best first; ties go to the name with the longer common prefix."""

    def key(name: str) -> tuple[float, int, str]:
        pairs = zip(_letters(word), _letters(name), strict=False)
        same_start = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        return -_similarity(word, name), -same_start, name

    return sorted(names, key=key)[:count]


def _similarity(word: str, name: str) -> float:
    """Similarity of two names, 0 to 1. Case, `-`, `_` and spaces are ignored.

    The last part of a dotted name, its initials (`lr` for `learning_rate`) and a part of it (`rcnn` for
    `keypoint_rcnn`) also match.
    """
    whole = _letters(word)
    return max(
        _alike(whole, _letters(name)),
        0.95 * _alike(whole.split(".")[-1], _letters(name).split(".")[-1]),
        0.9 * (whole.strip(".") == _initials(name)),
    )


def _alike(word: str, name: str) -> float:
    ratio = SequenceMatcher(None, word, name).ratio()
    contained = len(word) >= LEAST_PART and word in name
    return max(ratio, 0.7 + 0.2 * len(word) / len(name)) if contained else ratio


def _letters(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", "-_ "))


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.rsplit(".", 1)[-1].strip("-").split("_"))
