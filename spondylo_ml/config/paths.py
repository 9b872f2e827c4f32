"""Paths as a user types them: one, a list with commas, or a pattern; what exists is taken as it is before all else."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from spondylo_ml.errors import ConfigError

MOST_COMMAS = 16  # in the name of one path of a list


class _Paths:
    """Marks a field of the configuration whose value the command line must hand over as it was typed."""


def expanded(path: Path) -> Path:
    """The path with `~` replaced by the user's home; `ConfigError` where that user is not known."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: {path.parts[0]} is no user of this machine; give the whole path") from None


def listed_paths(given: str) -> tuple[str, ...]:
    """The paths and patterns of a list with commas; commas that belong to a path that exists do not part it."""
    if _names_something(given):
        return (given,)
    return tuple(_listed(given.split(",")))


def _split_paths(value: object) -> object:
    return listed_paths(value) if isinstance(value, str) else value


PATHS = _Paths()
PathList = Annotated[tuple[str, ...], PATHS, BeforeValidator(_split_paths)]
"""Paths and patterns, also given as one text with commas."""


def matching(given: str) -> list[Path]:
    """The paths that a path or a pattern names, sorted; none where it names nothing.

    The leading folders that exist are taken as they are, so that `[2024] films/*.png` is looked for in `[2024] films`.
    """
    path = os.path.expanduser(given)
    if os.path.lexists(path):
        return [Path(path)]
    fixed = next((parent for parent in Path(path).parents if os.path.lexists(parent)), Path())
    rest, start = str(Path(path).relative_to(fixed)), os.path.join(glob.escape(str(fixed)), "")
    found = glob.glob(start + rest, recursive=True) or glob.glob(start + rest.replace("[", "[[]"), recursive=True)
    return [Path(one) for one in sorted(found)]


def _names_something(given: str) -> bool:
    return os.path.lexists(os.path.expanduser(given)) or (glob.has_magic(given) and bool(matching(given)))


def _listed(pieces: list[str]) -> Iterator[str]:
    at = 0
    while at < len(pieces):
        ends = range(min(len(pieces), at + 1 + MOST_COMMAS), at + 1, -1)
        joined = ((end, ",".join(pieces[at:end]).strip()) for end in ends)
        at, found = next(((end, one) for end, one in joined if _names_something(one)), (at + 1, pieces[at].strip()))
        if found:
            yield found
