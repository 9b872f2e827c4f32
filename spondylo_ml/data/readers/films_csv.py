"""Read `films.csv`, a table beside the films with metadata that label formats cannot hold.

Columns, in any order; only the first is required, and cells may be empty: `filename` (with or without suffix),
`patient`, `facing` (left, right, none, unknown), `spacing_x_mm` and `spacing_y_mm` (mm per px, both or none),
`pixel_aspect` (width of a pixel over its height, or unknown), `labelled` (no: the film has no label on purpose), `sex`
(F or M), `age_years`, `levels_from` (assumed S1, assumed L5: the level names in the label rest on that assumption
about the lowest vertebra; label: they do not), `spacing_from` (source of the spacing), `reader` (who placed the
corners; never written to a run), and for `predict` alone `visit` (a number that orders a patient's visits) and
`position` (neutral, flexion, extension).

As spreadsheets write them, words may be in any case, ages may end in ".0", and yes and no may be TRUE and FALSE or 1
and 0. See `text` for the accepted encodings and separators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.names import FILM_SUFFIXES, same_form
from spondylo_ml.data.readers.film_row import ALL_COLUMNS, COMPARED_COLUMNS, FILMS_CSV, FilmRow, parse_row
from spondylo_ml.data.readers.text import read_cells
from spondylo_ml.errors import FileError, unknown_name

SEPARATE_PATIENT = "counted as a separate patient"


@dataclass(frozen=True)
class FilmsCsv:
    """The contents of `films.csv`; empty if there is no such table.

    Attributes:
        rows: by the film's stem, in a single Unicode normal form.
        patients: whether the table has a column for patients.
        notes: guesses made to read the file.
    """

    rows: Mapping[str, FilmRow] = field(default_factory=dict)
    patients: bool = False
    notes: tuple[FileFinding, ...] = ()

    def of(self, *names: str) -> FilmRow:
        """The row of the film with one of these names, with or without suffix; an empty row if there is none."""
        candidates = (self.rows.get(key) for name in names for key in (film_stem(name), same_form(name)))
        return next((row for row in candidates if row is not None), FilmRow())

    def remarks(self, films: Sequence[Path], others: Iterable[str] = ()) -> list[FileFinding]:
        """Notes on rows without a film, and on films without a patient in a table that has a patient column.

        Args:
            others: stems of films that are missing or cannot be read.

        Raises:
            FileError: no row matches a film.
        """
        stems = {film_stem(path.name) for path in films} | {same_form(stem) for stem in others}
        require_any_match(self.rows, stems, FILMS_CSV)
        unused = [
            FileFinding(stem, f"in {FILMS_CSV}, but there is no such film") for stem in self.rows if stem not in stems
        ]
        without = [path for path in films if self.patients and not self.of(path.name).patient]
        missing = [FileFinding(path.name, f"no patient in {FILMS_CSV}: {SEPARATE_PATIENT}") for path in without]
        return [*self.notes, *unused, *missing]


def read_films_csv(root: Path, for_dataset: bool = True) -> FilmsCsv:
    """Read the table in `root`, if there is one.

    Args:
        for_dataset: note the columns that are for `predict` alone.

    Raises:
        FileError: an unknown column, an invalid value, or a film that is listed twice.
    """
    if not (root / FILMS_CSV).is_file():
        return FilmsCsv()
    names, rows, notes = read_columns(root / FILMS_CSV)
    if "filename" not in names:
        raise FileError(
            FILMS_CSV, f"needs the column filename, may have {', '.join(ALL_COLUMNS[1:])}", f"; it has {names}"
        )
    for name in names:
        if name not in ALL_COLUMNS:
            raise FileError(FILMS_CSV, unknown_name("column", name, ALL_COLUMNS))
        if for_dataset and name in COMPARED_COLUMNS:
            notes.append(FileFinding(FILMS_CSV, f"the column {name} is for predict alone: a dataset does not hold it"))
    numbered = rows_by_film(FILMS_CSV, rows)
    parsed = {stem: parse_row(cells, FILMS_CSV, f"row {number}") for stem, (number, cells) in numbered.items()}
    return FilmsCsv(parsed, "patient" in names, tuple(notes))


def read_columns(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[FileFinding]]:
    """Read a table with a header.

    Returns:
        The column names; each row with its number, as a mapping from column to cell; and notes on guesses.

    Raises:
        FileError: not a table, a duplicate column, or a row whose length differs from the header's.
    """
    cells = read_cells(path)
    header, *rows = cells.rows or [[]]
    names = [name.strip().lower() for name in header]
    while names and not names[-1]:  # separators at the end of each row
        names.pop()
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise FileError(path.name, f"has the column {duplicate!r} twice")
    table = []
    for number, row in enumerate(rows, start=2):
        while len(row) > len(names) and not row[-1].strip():
            row.pop()
        if len(row) != len(names):
            raise FileError(path.name, f"row {number} has {len(row)} cells, the header {len(names)}")
        table.append((number, {name: cell.strip() for name, cell in zip(names, row, strict=True)}))
    guess = f"is neither UTF-8 nor UTF-16: read as {cells.guessed}; save it as 'CSV UTF-8' if names look wrong"
    return names, table, [FileFinding(path.name, guess)] if cells.guessed else []


def rows_by_film(file: str, rows: Iterable[tuple[int, dict[str, str]]]) -> dict[str, tuple[int, dict[str, str]]]:
    """Rows with their numbers, by the film's stem in the column `filename`.

    Raises:
        FileError: a row without a film, or a film that is listed twice.
    """
    table: dict[str, tuple[int, dict[str, str]]] = {}
    for number, cells in rows:
        stem = film_stem(cells["filename"])
        if not stem:
            raise FileError(file, f"row {number} names no film")
        if stem in table:
            first_patient = table[stem][1].get("patient", "")
            what = "with another patient" if cells.get("patient", "") != first_patient else "for the second time"
            raise FileError(file, f"row {number} lists a film {what}", f": {cells['filename']}")
        table[stem] = (number, cells)
    return table


def require_any_match(rows: Collection[str], films: Collection[str], file: str) -> None:
    """Raise `FileError` if a table has rows but none matches a film, since its contents would be lost."""
    if rows and not set(rows) & set(films):
        row, film = next(iter(rows)), next(iter(sorted(films)), None)
        example = f" ('{row}' is the first row, '{film}' a film)" if film else ""
        raise FileError(
            file, f"none of its {len(rows)} rows matches a film here: use the names of the film files", example
        )


def film_stem(filename: str) -> str:
    """File name without folder and without an image or DICOM suffix, in a single Unicode normal form."""
    path = Path(same_form(filename.strip().replace("\\", "/")))
    return path.stem if path.suffix.lower() in FILM_SUFFIXES else path.name
