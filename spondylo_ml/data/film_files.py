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
from spondylo_ml.folders import UNFINISHED

NAMES_FILE = "names_private.csv"
TABLES = ("predictions.json", "levels.csv", "corners.csv")
"""Files in every folder that `predict` has finished."""


@dataclass(frozen=True)
class FilmFile:
    """A film to open.

    Attributes:
        film_id: pseudonym of the file's stem, as in runs; of its whole path if several files have that pseudonym.
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
        notes: what is not used: rows and tables without a film, and folders with results of `predict`.
    """

    films: tuple[FilmFile, ...]
    skipped: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def collect_films(paths: Sequence[str]) -> CollectedFilms:
    """The films named by files, folders (searched recursively) and patterns, each once, in order.

    In folders and pattern matches, films are files with an image or DICOM suffix and files that begin as DICOM does,
    broken links included; hidden files, and folders in them with results of `predict`, are left out. A file named
    explicitly is always a film. A path that exists is taken literally, even if its name looks like a pattern.

    Raises:
        DataError: a path or pattern without a match, no film at all, or an invalid `films.csv`.
    """
    by_real_path: dict[Path, Path] = {}
    skipped, unused = list[Path](), list[Path]()
    results: dict[Path, None] = {}
    for path, is_film in (match for given_path in paths for match in _matches(given_path, results)):
        if is_film or looks_like_a_film(path):
            by_real_path.setdefault(Path(os.path.realpath(path)), path)
        else:
            (unused if path.name == FILMS_CSV else skipped).append(path)
    notes = [f"{folder} is left out: it has results of predict" for folder in results]
    if not by_real_path:
        nothing = f"no film in the given files and folders: films end in {', '.join(FILM_SUFFIXES)}"
        raise DataError("; ".join([nothing, *notes]))
    tables = {folder: _table(folder, notes) for folder in dict.fromkeys(path.parent for path in by_real_path.values())}
    notes += [f"{table} is not used: no film lies beside it" for table in unused if table.parent not in tables]
    # A file may be named by the pseudonym of another, as overlays and de-identified films are.
    counts = Counter(pseudonym(stem_of(path)) for path in by_real_path.values())
    films = []
    for real_path, path in by_real_path.items():
        name = pseudonym(stem_of(path))
        film_id = name if counts[name] == 1 else pseudonym(real_path.as_posix())
        films.append(_film(path, film_id, tables[path.parent]))
    return CollectedFilms(tuple(films), tuple(skipped), tuple(notes))


def _film(path: Path, film_id: str, table: FilmsCsv) -> FilmFile:
    row = table.of(path.name, stem_of(path))
    patient = pseudonym(row.patient) if row.patient else ""
    details = FilmDetails(row.facing, row.spacing, row.pixel_aspect, patient, row.sex, row.age_years)
    return FilmFile(path, film_id, details, FilmOfPatient(film_id, patient, row.visit, row.position, path.parent))


def write_names(path: Path, films: Sequence[FilmFile]) -> None:
    """Write which file has which pseudonym, readable by this user alone."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("film", "file"))
        writer.writerows((film.film_id, os.path.realpath(film.path)) for film in films)


def _matches(pattern: str, results: dict[Path, None]) -> Iterator[tuple[Path, bool]]:
    """Files, each with whether it was named explicitly and so must be a film.

    Folders with results of `predict` are added to `results` and left out, unless they are named explicitly.
    """
    matches = matching(pattern)
    if not matches:
        raise DataError(f"no file or folder matches {pattern}: give files, folders, or a pattern such as 'films/*.dcm'")
    exists = os.path.lexists(os.path.expanduser(pattern))
    for path in matches:
        folder = path.is_dir()
        files = sorted(path.rglob("*")) if folder else [path]
        within = [found for found in _result_folders(files) if folder and not (exists and found == path)]
        results |= dict.fromkeys(within)
        for file in files:
            if any(file.is_relative_to(one) for one in within):
                continue
            # A link to a folder is reported and not followed; a broken link is a film that fails.
            if (file.is_file() or file.is_symlink()) and not (folder and is_hidden(file, path)):
                yield file, exists and not folder


def _result_folders(files: Sequence[Path]) -> list[Path]:
    """Folders that `predict` has written to, with its pictures of films."""
    names: dict[Path, set[str]] = {}
    for file in files:
        if file.name in (UNFINISHED, *TABLES):
            names.setdefault(file.parent, set()).add(file.name)
    return [folder for folder, found in names.items() if UNFINISHED in found or found.issuperset(TABLES)]


def _table(folder: Path, notes: list[str]) -> FilmsCsv:
    """The `films.csv` of a folder; adds to the notes the rows without a file, and guesses made to read it.

    Raises:
        FileError: an invalid table, or one in which no row matches a file in the folder.
    """
    table = read_films_csv(folder, for_dataset=False)
    files = [path for path in folder.iterdir() if path.name != FILMS_CSV] if table.rows else []
    names = {name for p in files for name in (film_stem(p.name), film_stem(stem_of(p)))}
    require_any_match(table.rows, names, FILMS_CSV)
    notes += [f"{folder / FILMS_CSV}: {note.reason}" for note in table.notes]
    notes += [
        f"{folder / FILMS_CSV} has a row for {row}, but there is no such film" for row in table.rows if row not in names
    ]
    return table
