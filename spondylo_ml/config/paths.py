"""Paths as users type them: one path, a list with commas, or a pattern; existing paths are always taken literally."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from spondylo_ml.errors import ConfigError

MAX_COMMAS = 16
"""Commas that the name of one path in a list may have."""


SERVER = "dicomweb:"


class _Paths:
    """Marks a field whose value the command line must pass on as it was typed."""


def expanded(path: Path) -> Path:
    """Replace `~` by the user's home; raise `ConfigError` if there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: {path.parts[0]} is not a user of this machine; give the whole path") from None


def is_server(text: str) -> bool:
    """Whether a source or target of films is a DICOMweb server, `dicomweb:<url>`."""
    return text.startswith(SERVER)


def split_paths(text: str) -> tuple[str, ...]:
    """Split a list of paths and patterns at its commas, except those in the name of a path that exists."""
    if _exists(text):
        return (text,)
    return tuple(_joined_names(text.split(",")))


def _split_text(value: object) -> object:
    return split_paths(value) if isinstance(value, str) else value


PATHS = _Paths()
PathList = Annotated[tuple[str, ...], PATHS, BeforeValidator(_split_text)]
"""Paths and patterns, or one text of them separated by commas."""


def matching(path_or_pattern: str) -> list[Path]:
    """List the paths that a path or a pattern matches, sorted.

    Leading folders that exist are taken literally, so that `[2024] films/*.png` looks in `[2024] films`.
    """
    path = os.path.expanduser(path_or_pattern)
    if os.path.lexists(path):
        return [Path(path)]
    fixed = next((parent for parent in Path(path).parents if os.path.lexists(parent)), Path())
    rest, start = str(Path(path).relative_to(fixed)), os.path.join(glob.escape(str(fixed)), "")
    matches = glob.glob(start + rest, recursive=True) or glob.glob(start + rest.replace("[", "[[]"), recursive=True)
    return [Path(match) for match in sorted(matches)]


def _exists(path_or_pattern: str) -> bool:
    if os.path.lexists(os.path.expanduser(path_or_pattern)):
        return True
    return glob.has_magic(path_or_pattern) and bool(matching(path_or_pattern))


def _joined_names(pieces: list[str]) -> Iterator[str]:
    """Join pieces that together name an existing path, the longest first."""
    start = 0
    while start < len(pieces):
        ends = range(min(len(pieces), start + 1 + MAX_COMMAS), start + 1, -1)
        joined = ((end, ",".join(pieces[start:end]).strip()) for end in ends)
        single = (start + 1, pieces[start].strip())
        start, name = next(((end, name) for end, name in joined if _exists(name)), single)
        if name:
            yield name
