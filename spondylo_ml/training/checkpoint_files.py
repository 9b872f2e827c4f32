"""Files beside a training run that are whole or absent, whatever ends the process or the machine.

Each is written beside its target, flushed to the disk and renamed. The checkpoint before the last one is kept as well,
for a disk that damages what it holds. Imports no torch, so that commands that only list or clean stay quick.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

LAST, BEST = "last.ckpt", "best.ckpt"
"""Checkpoints of a training run, in the same folder."""

PARTIAL = ".partial"


def previous_of(checkpoint: Path) -> Path:
    """Where the checkpoint is kept that this one replaced."""
    return checkpoint.with_stem(f"{checkpoint.stem}-previous")


def damaged_of(checkpoint: Path) -> Path:
    """Where the checkpoint is kept if it is damaged."""
    return checkpoint.with_stem(f"{checkpoint.stem}-damaged")


def files_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder with those before them, damaged ones, and what a killed process left of others."""
    both = [folder / name for name in (BEST, LAST)]
    named = [file for checkpoint in both for file in (checkpoint, previous_of(checkpoint))]
    listed = (*named, *map(damaged_of, both), *map(_partial_of, named))
    return [file for file in listed if file.is_file() and not file.is_symlink()]


def replace_by_previous(checkpoint: Path) -> str:
    """Put the checkpoint before it in the place of one that is not whole; returns in words what was wrong.

    A damaged file is kept as `damaged_of(checkpoint)`.
    """
    wrong = f"{checkpoint} is missing"
    if checkpoint.exists():
        checkpoint.replace(damaged_of(checkpoint))
        wrong = f"{checkpoint} is damaged (now {damaged_of(checkpoint).name})"
    previous_of(checkpoint).replace(checkpoint)
    return wrong


def remove_partial(folder: Path) -> None:
    """Remove what a killed process left of checkpoints that it was writing."""
    for file in files_in(folder):
        if file.suffix == PARTIAL:
            file.unlink()


def remove_previous(folder: Path) -> None:
    """Remove the checkpoints that were replaced; a training run that is over does not need them."""
    for name in (BEST, LAST):
        previous_of(folder / name).unlink(missing_ok=True)


def replace_file(path: Path, content: bytes | memoryview, keep_previous: bool = False) -> None:
    """Write a file so that its name stands for the old or the new content at each moment, a power cut included.

    Args:
        keep_previous: keep the old content as `previous_of(path)`.

    Raises:
        OSError: it cannot be written, such as to a full disk; the old file is left as it is, and nothing beside it.
    """
    partial = _partial_of(path)
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if keep_previous:
            _keep_previous(path)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    _flush_names(path.parent)


def is_whole(checkpoint: Path) -> bool:
    """Whether there is a checkpoint and all its bytes are those that were written: torch does not verify their sums.

    Raises:
        OSError: it cannot be read, which is no damage: the network may fail, or too many files be open.
    """
    try:
        content = checkpoint.read_bytes()  # by itself: zipfile takes some errors of reading for damage
    except FileNotFoundError:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


def whole_checkpoint(checkpoint: Path) -> Path | None:
    """The checkpoint, the one before it if it is damaged or absent, or None if both are.

    Raises:
        OSError: see `is_whole`.
    """
    return next((file for file in (checkpoint, previous_of(checkpoint)) if is_whole(file)), None)


def _keep_previous(path: Path) -> None:
    """Give the current file a second name, so that its first one is never without a file."""
    previous = previous_of(path)
    linked = _partial_of(previous)
    linked.unlink(missing_ok=True)
    if not path.exists():
        return
    try:
        os.link(path, linked)
    except OSError:  # a file system without hard links
        path.replace(previous)
        return
    linked.replace(previous)
    linked.unlink(missing_ok=True)  # renaming does nothing if both names already stood for the same file


def _flush_names(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can do that."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(number)
    except OSError:
        pass
    finally:
        os.close(number)


def _partial_of(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)
