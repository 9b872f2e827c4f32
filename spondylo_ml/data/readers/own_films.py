"""What formats for one's own films cannot say of a film, in a table beside them: `films.csv`.

Columns, in any order, all but the first optional, cells may be empty: `filename` (with or without suffix), `patient`,
`facing` (left, right, none, unknown), `spacing_x_mm` and `spacing_y_mm` (mm per px of the film, both or none),
`labelled` (no: the film has no label on purpose), `sex` (F or M) and `age_years`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.data.films import Finding
from spondylo_ml.data.image_file import IMAGE_SUFFIXES
from spondylo_ml.data.readers.fields import parse_floats, read_csv_rows
from spondylo_ml.errors import FileError, unknown_name
from spondylo_ml.landmarks import OLDEST_YEARS, SEXES, Facing, Spacing

FILE = "films.csv"
COLUMNS = ("filename", "patient", "facing", "spacing_x_mm", "spacing_y_mm", "labelled", "sex", "age_years")


@dataclass(frozen=True)
class Said:
    """What the table says of one film."""

    patient: str | None = None
    facing: Facing = Facing.UNKNOWN
    spacing: Spacing | None = None
    labelled: bool = True
    sex: str = ""
    age_years: int | None = None


def read_table(root: Path) -> dict[str, Said]:
    """What `films.csv` says, by the stem of each film; nothing where there is no such table.

    Raises:
        FileError: a column or a value that is not allowed, or a film that is listed twice.
    """
    if not (root / FILE).is_file():
        return {}
    header, *rows = read_csv_rows(root / FILE) or [[]]
    names = [name.strip() for name in header]
    if "filename" not in names:
        raise FileError(FILE, f"needs the column filename, may have {', '.join(COLUMNS[1:])}", f"; it has {names}")
    for name in names:
        if name not in COLUMNS:
            raise FileError(FILE, unknown_name("column", name, COLUMNS))
    table: dict[str, Said] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise FileError(FILE, f"row {number} has {len(row)} cells, the header {len(names)}")
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
        stem = film_stem(cells["filename"])
        if stem in table:
            raise FileError(FILE, f"row {number} lists a film for the second time", f": {cells['filename']}")
        table[stem] = _said(cells, f"row {number}")
    return table


def film_stem(filename: str) -> str:
    """The name of a film without its folder and the suffix of an image."""
    path = Path(filename)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def unused_rows(table: dict[str, Said], stems: set[str]) -> list[Finding]:
    """A remark for each row of the table that no film has."""
    return [Finding(stem, "in films.csv, but there is no such film") for stem in table if stem not in stems]


def facing_of(value: object, file: str, where: str) -> Facing:
    """A facing by its name; `FileError` for another word."""
    if value not in {str(facing) for facing in Facing}:
        allowed = ", ".join(Facing)
        raise FileError(file, f"{where}: facing must be one of {allowed}", f", found {str(value)[:20]!r}")
    return Facing(str(value))


def sex_of(value: object, file: str, where: str) -> str:
    """F, M, or empty; `FileError` for another word."""
    if value not in SEXES:
        raise FileError(file, f"{where}: sex must be F or M, or left out", f", found {str(value)[:20]!r}")
    return str(value)


def age_of(value: object, file: str, where: str) -> int:
    """An age in whole years; `FileError` for what is none."""
    text = str(value)
    if not (text.isdecimal() and int(text) <= OLDEST_YEARS):
        raise FileError(
            file, f"{where}: age_years must be a whole number up to {OLDEST_YEARS}", f", found {text[:20]!r}"
        )
    return int(text)


def spacing_of(x_mm: float, y_mm: float, provenance: str, file: str, where: str) -> Spacing:
    """A spacing; `FileError` where it is not positive."""
    if min(x_mm, y_mm) <= 0:
        raise FileError(file, f"{where}: pixel spacing must be positive, in mm", f", found {x_mm} x {y_mm}")
    return Spacing(x_mm, y_mm, provenance)


def _said(cells: dict[str, str], where: str) -> Said:
    spacing = [cells.get(name, "") for name in ("spacing_x_mm", "spacing_y_mm")]
    if bool(spacing[0]) != bool(spacing[1]):
        raise FileError(FILE, f"{where}: spacing_x_mm and spacing_y_mm are given together or not at all")
    x_y = parse_floats(spacing, FILE, f"{where}: spacing") if spacing[0] else []
    labelled = cells.get("labelled") or "yes"
    if labelled not in ("yes", "no"):
        raise FileError(FILE, f"{where}: labelled must be yes or no", f", found {labelled[:20]!r}")
    return Said(
        patient=cells.get("patient") or None,
        facing=facing_of(cells["facing"], FILE, where) if cells.get("facing") else Facing.UNKNOWN,
        spacing=spacing_of(x_y[0], x_y[1], FILE, FILE, where) if x_y else None,
        labelled=labelled == "yes",
        sex=sex_of(cells.get("sex", ""), FILE, where),
        age_years=age_of(cells["age_years"], FILE, where) if cells.get("age_years") else None,
    )
