"""Custom films, collected from files, folders and patterns; each gets a pseudonym."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.config.paths import matching
from spondylo_ml.data.decode import FilmDetails
from spondylo_ml.data.film_pixels import looks_like_a_film
from spondylo_ml.data.follow_up import FilmOfPatient
from spondylo_ml.data.names import FILM_SUFFIXES, is_hidden, stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.film_row import FILMS_CSV
from spondylo_ml.data.readers.films_csv import FilmsCsv, film_stem, read_films_csv, require_any_match
from spondylo_ml.errors import DataError

NAMES_FILE = "names_private.csv"


@dataclass(frozen=True)
class FilmFile:
    """A film to open.

    Attributes:
        film_id: pseudonym of the file's stem, as in runs; of its whole path if several files have that stem.
        details: what the `films.csv` in its folder states.
        of_patient: patient, visit and position from there.
    """

    path: Path
    film_id: str
    details: FilmDetails
    of_patient: FilmOfPatient


@dataclass(frozen=True)
class CollectedFilms:
    """The films, and what is not a film.

    Attributes:
        skipped: files in the folders, or matched by the patterns, that are not films.
    """

    films: tuple[FilmFile, ...]
    skipped: tuple[Path, ...]


def collect_films(paths: Sequence[str]) -> CollectedFilms:
    """The films named by files, folders (searched recursively) and patterns, each once, in order.

    In folders and pattern matches, films are files with an image or DICOM suffix and files that begin as DICOM does,
    broken links included, hidden files excluded. A file named explicitly is always a film. A path that exists is taken
    literally, even if its name looks like a pattern.

    Raises:
        DataError: a path or pattern without a match, no film at all, or an invalid `films.csv`.
    """
    by_real_path: dict[Path, Path] = {}
    skipped: list[Path] = []
    for path, is_film in (match for given_path in paths for match in _matches(given_path)):
        if not (is_film or looks_like_a_film(path)):
            skipped += [] if path.name == FILMS_CSV else [path]
        else:
            by_real_path.setdefault(Path(os.path.realpath(path)), path)
    if not by_real_path:
        raise DataError(f"no film in the given files and folders: films end in {', '.join(FILM_SUFFIXES)}")
    stems = Counter(stem_of(path) for path in by_real_path.values())
    tables = {folder: _table(folder) for folder in {path.parent for path in by_real_path.values()}}
    films = []
    for real_path, path in by_real_path.items():
        stem = stem_of(path)
        row = tables[path.parent].of(path.name, stem)
        name = pseudonym(stem if stems[stem] == 1 else real_path.as_posix())
        patient = pseudonym(row.patient) if row.patient else ""
        films.append(
            FilmFile(
                path,
                name,
                FilmDetails(row.facing, row.spacing, row.pixel_aspect),
                FilmOfPatient(name, patient, row.visit, row.position, path.parent),
            )
        )
    return CollectedFilms(tuple(films), tuple(skipped))


def write_names(path: Path, films: Sequence[FilmFile]) -> None:
    """Write which file has which pseudonym, readable by this user alone."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("film", "file"))
        writer.writerows((film.film_id, os.path.realpath(film.path)) for film in films)


def _matches(pattern: str) -> Iterator[tuple[Path, bool]]:
    """Files, each with whether it was named explicitly and so must be a film."""
    matches = matching(pattern)
    if not matches:
        raise DataError(f"no file or folder matches {pattern}: give files, folders, or a pattern such as 'films/*.dcm'")
    exists = os.path.lexists(os.path.expanduser(pattern))
    for path in matches:
        folder = path.is_dir()
        for file in sorted(path.rglob("*")) if folder else [path]:
            # A link to a folder is reported and not followed; a broken link is a film that fails.
            if (file.is_file() or file.is_symlink()) and not (folder and is_hidden(file, path)):
                yield file, exists and not folder


def _table(folder: Path) -> FilmsCsv:
    """The `films.csv` of a folder.

    Raises:
        FileError: an invalid table, or one in which no row matches a file in the folder.
    """
    table = read_films_csv(folder)
    files = [path for path in folder.iterdir() if path.name != FILMS_CSV] if table.rows else []
    require_any_match(
        table.rows, {name for p in files for name in (film_stem(p.name), film_stem(stem_of(p)))}, FILMS_CSV
    )
    return table
