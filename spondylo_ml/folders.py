"""Check output folders before the work starts, since its result would be lost otherwise."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spondylo_ml.errors import DataError

LONGEST_NAME_BYTES = 255 - len("..partial-9999999")
"""Leaves room for the suffix of the temporary folder that a dataset is first written to."""

UNFINISHED = "unfinished.jsonl"
"""Record of the films that `predict` has finished, in a folder of results that has not all of them yet."""

PROBE_BYTES = 1 << 16
"""An empty file can be written even to a full disk."""


def require_empty_folder(to: Path) -> None:
    """Check that `to` is a new or empty folder that can be written; nothing is ever overwritten.

    Raises:
        DataError: it is not.
    """
    if os.path.lexists(to) and not (os.path.isdir(to) and not any(to.iterdir())):
        what = "is not empty" if os.path.isdir(to) else "is a file" if to.exists() else "is a link to nothing"
        raise DataError(f"{to.absolute()} {what}: give a new or empty folder, nothing is overwritten")
    require_writable(to)


def require_result_folder(to: Path, resume: bool) -> None:
    """Check that `predict` can write to `to`: a new or empty folder, or with `resume` one with a file `UNFINISHED`.

    Raises:
        DataError: it cannot.
    """
    begun = (to / UNFINISHED).is_file()
    if begun and resume:
        require_writable(to)
        return
    try:
        require_empty_folder(to)
    except DataError as error:
        hint = ""
        if begun:
            hint = "; --resume true goes on with the films that are left there"
        elif resume and to.is_dir():
            hint = f"; --resume needs the folder of a predict that was stopped, which has a file {UNFINISHED}"
        raise DataError(f"{error}{hint}") from None


def require_new_file(file: Path) -> None:
    """Check that there is no such file yet and that it can be written; nothing is ever overwritten.

    Raises:
        DataError: it exists, or nothing can be written to its folder.
    """
    if os.path.lexists(file):
        raise DataError(f"{file.absolute()} exists: give the name of a new file, nothing is overwritten")
    require_writable(file.absolute().parent)


def require_writable(folder: Path) -> None:
    """Check that files can be written to `folder`, which is created later if it does not exist.

    Writes and removes a test file, since permissions do not show whether the disk is full or read-only.

    Raises:
        DataError: nothing can be written there.
    """
    whole = folder.absolute()
    if longest := next((name for name in whole.parts if len(os.fsencode(name)) > LONGEST_NAME_BYTES), None):
        raise DataError(f"{whole} cannot be written: the name {longest[:20]!r}... is too long")
    existing = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    if not existing.is_dir():
        what = "is a file" if existing.is_file() else "is not a folder"
        raise DataError(f"{whole} cannot be written: {existing} {what}, a folder is needed")
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".spondylo-") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{whole} cannot be written ({reason} in {existing}): give a writable folder") from None
