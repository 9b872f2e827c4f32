"""What formats for one's own films cannot say of a film, in a table beside them: `films.csv`.

Columns, in any order, all but the first optional, cells may be empty: `filename` (with or without suffix), `patient`,
`facing` (left, right, none, unknown), `spacing_x_mm` and `spacing_y_mm` (mm per px of the film, both or none),
`pixel_aspect` (width of a pixel over its height, unknown for a film stretched by an unknown amount),
`labelled` (no: the film has no label on purpose), `sex` (F or M), `age_years`, `levels_from` (assumed S1, assumed L5:
the levels that the label names were assumed, of the lowest vertebra; else label) and `spacing_from` (who says the
spacing).

Words may be in capital or small letters, ages may end in ".0", and yes and no may be TRUE and FALSE or 1 and 0, as
spreadsheets write them. `text` says how the table itself may be saved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.levels_from import levels_from_of
from spondylo_ml.data.names import FILM_SUFFIXES, same_form
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.data.readers.text import read_cells
from spondylo_ml.errors import DataError, FileError, unknown_name
from spondylo_ml.landmarks import (
    OLDEST_YEARS,
    SEXES,
    Facing,
    Film,
    Spacing,
    StatedAspect,
    parse_pixel_aspect,
    resolve_pixel_aspect,
)

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
)
YES_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class FilmRow:
    """What the table says of one film."""

    patient: str | None = None
    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    labelled: bool = True
    sex: str = ""
    age_years: int | None = None
    pixel_aspect: StatedAspect = None
    levels_from: str | None = None


@dataclass(frozen=True)
class FilmsCsv:
    """What `films.csv` says of each film; of none where there is no such table.

    Attributes:
        said: by the stem of the film, in one Unicode form.
        patients: whether the table has a column for patients.
        notes: what had to be guessed to read it.
    """

    rows: Mapping[str, FilmRow] = field(default_factory=dict)
    patients: bool = False
    notes: tuple[FileFinding, ...] = ()

    def of(self, *names: str) -> FilmRow:
        """What is said of the film that has one of the names, with or without a suffix."""
        known = (self.rows.get(key) for name in names for key in (film_stem(name), same_form(name)))
        return next((said for said in known if said is not None), FilmRow())

    def remarks(self, films: Sequence[Path], others: Iterable[str] = ()) -> list[FileFinding]:
        """Rows of no film, and films of which the table should say the patient and does not.

        Args:
            others: stems of films that have no file, or whose file cannot be read.

        Raises:
            FileError: no row is that of a film here.
        """
        stems = {film_stem(path.name) for path in films}
        known = stems | {same_form(stem) for stem in others}
        require_any_match(self.rows, known, FILMS_CSV)
        unused = [
            FileFinding(stem, f"in {FILMS_CSV}, but there is no such film") for stem in self.rows if stem not in known
        ]
        alone = [path for path in films if self.patients and not self.of(path.name).patient]
        own = [FileFinding(path.name, f"no patient in {FILMS_CSV}: taken for its own") for path in alone]
        return [*self.notes, *unused, *own]


def read_films_csv(root: Path) -> FilmsCsv:
    """The table in `root`.

    Raises:
        FileError: a column or a value that is not allowed, or a film that is listed twice.
    """
    if not (root / FILMS_CSV).is_file():
        return FilmsCsv()
    names, rows, notes = read_columns(root / FILMS_CSV)
    if "filename" not in names:
        raise FileError(FILMS_CSV, f"needs the column filename, may have {', '.join(COLUMNS[1:])}", f"; it has {names}")
    for name in names:
        if name not in COLUMNS:
            raise FileError(FILMS_CSV, unknown_name("column", name, COLUMNS))
    said = rows_by_film(FILMS_CSV, rows)
    table = {stem: _said(cells, f"row {number}") for stem, (number, cells) in said.items()}
    return FilmsCsv(table, "patient" in names, tuple(notes))


def read_columns(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[FileFinding]]:
    """The columns of a table, its rows with their numbers and by column, and what had to be guessed to read it.

    Raises:
        FileError: no table, a column that comes twice, or a row of another length than the header's.
    """
    cells = read_cells(path)
    header, *rows = cells.rows or [[]]
    names = [name.strip().lower() for name in header]
    while names and not names[-1]:  # separators at the end of each row
        names.pop()
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise FileError(path.name, f"has the column {twice!r} twice")
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
    """Each row with its number, by the stem in its cell `filename`.

    Raises:
        FileError: a row without a film, or a film that is listed twice.
    """
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for number, cells in rows:
        stem = film_stem(cells["filename"])
        if not stem:
            raise FileError(file, f"row {number} names no film")
        if stem in found:
            known = found[stem][1].get("patient", "")
            what = "with another patient" if cells.get("patient", "") != known else "for the second time"
            raise FileError(file, f"row {number} lists a film {what}", f": {cells['filename']}")
        found[stem] = (number, cells)
    return found


def require_any_match(rows: Collection[str], films: Collection[str], file: str) -> None:
    """Raise `FileError` where a table has rows and none is that of a film: all that it says would be lost."""
    if rows and not set(rows) & set(films):
        row, film = next(iter(rows)), next(iter(sorted(films)), None)
        shown = f" ('{row}' is the first row, '{film}' a film)" if film else ""
        raise FileError(
            file, f"none of its {len(rows)} rows is that of a film here: name films as their files are called", shown
        )


def film_stem(filename: str) -> str:
    """The name of a film without its folder and the suffix of an image or of DICOM, in one Unicode form."""
    path = Path(same_form(filename.strip().replace("\\", "/")))
    return path.stem if path.suffix.lower() in FILM_SUFFIXES else path.name


def with_row(film: Film, said: FilmRow) -> Film:
    """A film of a layout that says these things otherwise, or not at all, with what the table says of it.

    Raises:
        FileError: it says where level names come from, which follows from such a layout.
    """
    if said.levels_from is not None:
        raise FileError(FILMS_CSV, "levels_from is for YOLO labels that name levels: leave it empty for this layout")
    spacing = said.spacing or film.spacing
    aspect, given = film.pixel_aspect, film.aspect_given
    if said.pixel_aspect is not None or said.spacing is not None:
        aspect, given = resolve_pixel_aspect(said.pixel_aspect, spacing)
    return replace(
        film,
        patient=pseudonym(said.patient) if said.patient else film.patient,
        facing=film.facing if said.facing is Facing.UNKNOWN else said.facing,
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given=given,
        sex=said.sex or film.sex,
        age_years=film.age_years if said.age_years is None else said.age_years,
    )


def parse_facing(value: object, file: str, where: str) -> Facing:
    """A facing by its name; `FileError` for another word."""
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in {str(facing) for facing in Facing}:
        allowed = ", ".join(Facing)
        raise FileError(file, f"{where}: facing must be one of {allowed}", f", found {str(value)[:20]!r}")
    return Facing(word)


def parse_sex(value: object, file: str, where: str) -> str:
    """F, M, or empty; `FileError` for another word."""
    word = value.strip().upper() if isinstance(value, str) else None
    if word not in SEXES:
        raise FileError(file, f"{where}: sex must be F or M, or left out", f", found {str(value)[:20]!r}")
    return word


def parse_age(value: object, file: str, where: str) -> int:
    """An age in whole years, from a number or its text; `FileError` for what is none."""
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
    """A spacing; `FileError` where it is not positive."""
    if min(x_mm, y_mm) <= 0:
        raise FileError(file, f"{where}: pixel spacing must be positive, in mm", f", found {x_mm} x {y_mm}")
    return Spacing(x_mm, y_mm, provenance)


def parse_aspect(value: object, file: str, where: str) -> StatedAspect:
    """A pixel aspect as it is said; `FileError` for what is none."""
    try:
        return parse_pixel_aspect(value)
    except DataError as error:
        raise FileError(file, f"{where}: {error}", f", found {str(value)[:20]!r}") from None


def _said(cells: dict[str, str], where: str) -> FilmRow:
    spacing = [cells.get(name, "") for name in ("spacing_x_mm", "spacing_y_mm")]
    if bool(spacing[0]) != bool(spacing[1]):
        raise FileError(FILMS_CSV, f"{where}: spacing_x_mm and spacing_y_mm are given together or not at all")
    x_y = parse_floats(spacing, FILMS_CSV, f"{where}: spacing") if spacing[0] else []
    labelled = cells.get("labelled") or "yes"
    if labelled.lower() not in YES_NO:
        raise FileError(FILMS_CSV, f"{where}: labelled must be yes or no", f", found {labelled[:20]!r}")
    return FilmRow(
        patient=same_form(cells.get("patient", "")) or None,
        facing=parse_facing(cells["facing"], FILMS_CSV, where) if cells.get("facing") else Facing.UNKNOWN,
        spacing=parse_spacing(x_y[0], x_y[1], cells.get("spacing_from") or FILMS_CSV, FILMS_CSV, where)
        if x_y
        else None,
        labelled=YES_NO[labelled.lower()],
        sex=parse_sex(cells.get("sex", ""), FILMS_CSV, where),
        age_years=parse_age(cells["age_years"], FILMS_CSV, where) if cells.get("age_years") else None,
        pixel_aspect=parse_aspect(cells.get("pixel_aspect", ""), FILMS_CSV, where),
        levels_from=levels_from_of(cells.get("levels_from"), FILMS_CSV, where),
    )
