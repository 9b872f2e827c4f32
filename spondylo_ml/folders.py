"""Folders that must be free, and that can be written: asked before the work, whose result would be lost after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spondylo_ml.errors import DataError

LONGEST_NAME_BYTES = 255 - len("..partial-9999999")
"""A dataset is written under a longer name at first."""

PROBE_BYTES = 1 << 16
"""A full disk still takes an empty file."""


def require_empty_folder(to: Path) -> None:
    """Raise `DataError` unless `to` does not exist or is an empty folder: nothing is ever overwritten.

    Raises:
        DataError: as above; or nothing can be written there.
    """
    if os.path.lexists(to) and not (os.path.isdir(to) and not any(to.iterdir())):
        what = "is not empty" if os.path.isdir(to) else "is a file" if to.exists() else "is a link to nothing"
        raise DataError(f"{to.absolute()} {what}: give a new or empty folder, nothing is overwritten")
    require_writable(to)


def require_writable(folder: Path) -> None:
    """Raise `DataError` unless files can be written into `folder`, or it can be made.

    A file is written and removed again: the permissions of a folder do not show a disk that is full or read-only.
    """
    whole = folder.absolute()
    if longest := next((name for name in whole.parts if len(os.fsencode(name)) > LONGEST_NAME_BYTES), None):
        raise DataError(f"{whole} cannot be written: the name {longest[:20]!r}... is too long")
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    if not there.is_dir():
        what = "is a file" if there.is_file() else "is no folder"
        raise DataError(f"{whole} cannot be written: {there} {what}, a folder is needed")
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".spondylo-") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{whole} cannot be written ({reason} in {there}): give a folder that can be") from None
