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
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.follow_up import Position, parse_position, parse_visit
from spondylo_ml.data.levels_from import levels_from_of
from spondylo_ml.data.names import FILM_SUFFIXES, same_form
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.data.readers.text import read_cells
from spondylo_ml.errors import DataError, FileError, unknown_name
from spondylo_ml.landmarks import OLDEST_YEARS, SEXES, Facing, Film
from spondylo_ml.spacing import Spacing, StatedAspect, parse_pixel_aspect, resolve_pixel_aspect

FILMS_CSV = "films.csv"
COLUMNS = (
    "filename",
    "patient",
    "facing",
    "spacing_x_mm",
    "spacing_y_mm",
    "pixel_aspect",
    "labelled",
    "sex",
    "age_years",
    "levels_from",
    "spacing_from",
    "reader",
)
COMPARED_COLUMNS = ("visit", "position")
ALL_COLUMNS = (*COLUMNS, *COMPARED_COLUMNS)
SEPARATE_PATIENT = "counted as a separate patient"
YES_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class FilmRow:
    """Metadata of one film; the defaults stand for empty cells."""

    patient: str | None = None
    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    labelled: bool = True
    sex: str = ""
    age_years: int | None = None
    pixel_aspect: StatedAspect = None
    levels_from: str | None = None
    reader: str = ""
    visit: int | None = None
    position: Position = Position.UNSTATED


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


def read_films_csv(root: Path) -> FilmsCsv:
    """Read the table in `root`, if there is one.

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
        if name in COMPARED_COLUMNS:
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


def with_row(film: Film, row: FilmRow) -> Film:
    """A film of a layout with fixed level names, with its metadata replaced by that of the table.

    Raises:
        FileError: the row has `levels_from`, which such a layout determines itself.
    """
    if row.levels_from is not None:
        raise FileError(FILMS_CSV, "levels_from is for YOLO labels that name levels: leave it empty for this layout")
    spacing = row.spacing or film.spacing
    aspect, aspect_given = film.pixel_aspect, film.aspect_given
    if row.pixel_aspect is not None or row.spacing is not None:
        aspect, aspect_given = resolve_pixel_aspect(row.pixel_aspect, spacing)
    return replace(
        film,
        patient=pseudonym(row.patient) if row.patient else film.patient,
        facing=film.facing if row.facing is Facing.UNKNOWN else row.facing,
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given=aspect_given,
        sex=row.sex or film.sex,
        age_years=film.age_years if row.age_years is None else row.age_years,
        reader=row.reader or film.reader,
    )


def parse_facing(value: object, file: str, where: str) -> Facing:
    """A facing by name; `FileError` for any other word."""
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in {str(facing) for facing in Facing}:
        allowed = ", ".join(Facing)
        raise FileError(file, f"{where}: facing must be one of {allowed}", f", found {str(value)[:20]!r}")
    return Facing(word)


def parse_sex(value: object, file: str, where: str) -> str:
    """F, M, or empty; `FileError` for any other word."""
    word = value.strip().upper() if isinstance(value, str) else None
    if word not in SEXES:
        raise FileError(file, f"{where}: sex must be F or M, or left out", f", found {str(value)[:20]!r}")
    return word


def parse_age(value: object, file: str, where: str) -> int:
    """An age in whole years, from a number or text; `FileError` for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if not (0 <= number <= OLDEST_YEARS and number.is_integer()):
        raise FileError(
            file, f"{where}: age_years must be a whole number up to {OLDEST_YEARS}", f", found {str(value)[:20]!r}"
        )
    return int(number)


def parse_spacing(x_mm: float, y_mm: float, provenance: str, file: str, where: str) -> Spacing:
    """A spacing; `FileError` if it is not positive."""
    if min(x_mm, y_mm) <= 0:
        raise FileError(file, f"{where}: pixel spacing must be positive, in mm", f", found {x_mm} x {y_mm}")
    return Spacing(x_mm, y_mm, provenance)


def parse_aspect(value: object, file: str, where: str) -> StatedAspect:
    """A stated pixel aspect; `FileError` if it is invalid."""
    try:
        return parse_pixel_aspect(value)
    except DataError as error:
        raise FileError(file, f"{where}: {error}", f", found {str(value)[:20]!r}") from None


def parse_row(cells: Mapping[str, str], file: str, where: str) -> FilmRow:
    """Metadata from the cells of a film by `COLUMNS`.

    Args:
        file: name of the file that holds them, for messages.

    Raises:
        FileError: an invalid value.
    """
    spacing = [cells.get(name, "") for name in ("spacing_x_mm", "spacing_y_mm")]
    if bool(spacing[0]) != bool(spacing[1]):
        raise FileError(file, f"{where}: spacing_x_mm and spacing_y_mm must be given together or not at all")
    x_y = parse_floats(spacing, file, f"{where}: spacing") if spacing[0] else []
    labelled = cells.get("labelled") or "yes"
    if labelled.lower() not in YES_NO:
        raise FileError(file, f"{where}: labelled must be yes or no", f", found {labelled[:20]!r}")
    return FilmRow(
        patient=same_form(cells.get("patient", "")) or None,
        facing=parse_facing(cells["facing"], file, where) if cells.get("facing") else Facing.UNKNOWN,
        spacing=parse_spacing(x_y[0], x_y[1], cells.get("spacing_from") or file, file, where) if x_y else None,
        labelled=YES_NO[labelled.lower()],
        sex=parse_sex(cells.get("sex", ""), file, where),
        age_years=parse_age(cells["age_years"], file, where) if cells.get("age_years") else None,
        pixel_aspect=parse_aspect(cells.get("pixel_aspect", ""), file, where),
        levels_from=levels_from_of(cells.get("levels_from"), file, where),
        reader=same_form(cells.get("reader", "")).strip(),
        visit=parse_visit(cells.get("visit", ""), file, where),
        position=parse_position(cells.get("position", ""), file, where),
    )


def says_unlabelled(cells: Mapping[str, str]) -> bool:
    """Whether the cells of a film say that it has no label on purpose."""
    return YES_NO.get(cells.get("labelled", "").lower()) is False


def merged_rows(one: FilmRow, other: FilmRow, file: str) -> FilmRow:
    """What two sources say about a film together.

    Raises:
        FileError: they contradict each other.
    """
    values, unset = {}, FilmRow()
    for item in fields(FilmRow):
        first, second, default = (getattr(row, item.name) for row in (one, other, unset))
        if default not in (first, second) and first != second:
            raise FileError(
                file,
                f"{item.name} differs between the annotations and {FILMS_CSV}: correct one",
                f", {first} and {second}",
            )
        values[item.name] = second if first == default else first
    return FilmRow(**values)
