"""Record of the films that `predict` has finished, from which it goes on after it was killed.

The record is a file in the folder of results, `UNFINISHED`: its first line states the command, each further line is one
film with its row of results. It is removed when all films are finished.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from spondylo_ml.data.decode import FilmDetails
from spondylo_ml.errors import DataError
from spondylo_ml.folders import UNFINISHED

log = logging.getLogger(__name__)

Row = dict[str, Any]
"""A film's `serving.film_result.COLUMNS`, and its pseudonym as `film`."""


class FinishedFilms:
    """The films of a record, to which further ones are added. Other processes are kept from the folder meanwhile.

    A context manager: the record is removed at the end of a block that no error ends.

    Args:
        folder: where the results are; it exists.
        command: what must be the same for all results of a folder: model, pictures, reports.
        resume: go on with the record if there is one.

    Raises:
        DataError: another command wrote the record, or another process is writing it.
    """

    def __init__(self, folder: Path, command: Mapping[str, str], resume: bool = False) -> None:
        self._path = folder / UNFINISHED
        self._file = self._path.open("a+b" if resume else "xb")
        self._finished: dict[str, tuple[str, Row]] = {}
        try:
            self._lock()
            self._read(command)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> FinishedFilms:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None:
            self._path.unlink()
        else:
            log.warning(
                "%s has the results of %d film(s): the same command with --resume true reads the others",
                self._path.parent, len(self._finished),
            )  # fmt: skip
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                folder = self._path.parent
                raise DataError(f"another process writes results to {folder}: wait for it, or end it") from None
            log.warning("%s cannot be locked (%s): do not resume it twice at a time", self._path, error.strerror)

    def _read(self, command: Mapping[str, str]) -> None:
        """Read the record, or begin it. A line that was cut off is removed, so that its film is read again."""
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        if not whole:
            self._append(command)
            return
        before, *films = map(json.loads, whole.splitlines())
        _require_same(before, command, self._path.parent)
        self._finished = {film["film"]: (film["key"], film["row"]) for film in films}

    def require_among(self, film_ids: Collection[str]) -> None:
        """Check that all films of the record are among the given ones.

        Raises:
            DataError: some are not: their pictures and reports would lie among those of the others.
        """
        gone = sorted(self._finished.keys() - set(film_ids))
        if gone:
            raise DataError(
                f"{len(gone)} film(s) with results in {self._path.parent} are not among the given films, the first: "
                f"{gone[0]}. Give the same films, or a new folder"
            )

    def row_of(self, film_id: str, path: Path, details: FilmDetails) -> Row | None:
        """The row of a film; None if the record has none, or the file or what is stated about it has changed.

        Args:
            details: what is stated about the film, with which it is to be read.
        """
        if film_id not in self._finished:
            return None
        key, row = self._finished[film_id]
        return row if key == _key(path, details) else None

    def add(self, film_id: str, path: Path, details: FilmDetails, row: Row) -> None:
        """Record a film, whose pictures and reports are written; nothing if its file is gone since it was read."""
        key = _key(path, details)
        if key is None:
            return
        self._append({"film": film_id, "key": key, "row": row})
        self._finished[film_id] = key, row

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()


def _key(path: Path, details: FilmDetails) -> str | None:
    """SHA-256 of a film's file and its details; None if the file cannot be opened."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha256(content + repr(details).encode()).hexdigest()


def _require_same(before: Mapping[str, str], now: Mapping[str, str], folder: Path) -> None:
    names = dict.fromkeys((*now, *before))
    differing = [f"{name}={before.get(name)}" for name in names if before.get(name) != now.get(name)]
    if differing:
        raise DataError(
            f"the films in {folder} were read with other settings ({', '.join(differing)}): give these, or a new folder"
        )
