"""What a table says about one film: cells as values, and how they apply to a film; `films_csv` lists the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from spondylo_ml.data.follow_up import Position, parse_position, parse_visit
from spondylo_ml.data.levels_from import levels_from_of
from spondylo_ml.data.names import same_form
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import OLDEST_YEARS, SEXES, Facing, Film
from spondylo_ml.spacing import Spacing, StatedAspect, parse_pixel_aspect, resolve_pixel_aspect

FILMS_CSV = "films.csv"
UNREAD = "is not read"
"""Beginning of the reason why a `films.csv` is not used."""
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


def _same_patient(column: str, first: object, second: object) -> bool:
    """Whether both name one patient: annotations may hold the pseudonym, as drafts of DICOM films do."""
    return column == "patient" and pseudonym(str(first)) == pseudonym(str(second))


def merged_rows(one: FilmRow, other: FilmRow, file: str) -> FilmRow:
    """What two sources say about a film together.

    Raises:
        FileError: they contradict each other.
    """
    values, unset = {}, FilmRow()
    for item in fields(FilmRow):
        first, second, default = (getattr(row, item.name) for row in (one, other, unset))
        if default not in (first, second) and first != second and not _same_patient(item.name, first, second):
            raise FileError(
                file,
                f"{item.name} differs between the annotations and {FILMS_CSV}: correct one",
                f", {first} and {second}",
            )
        values[item.name] = second if first == default else first
    return FilmRow(**values)
