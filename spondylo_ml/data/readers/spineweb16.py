"""SpineWeb-16 / AASCE 2019: AP films, 17 vertebrae T1 to L5, 68 normalised corners a film.

Layout: `filenames.csv` (one name a row), `landmarks.csv` (a row a film: 68 x, then 68 y, as shares of width and
height, vertebrae head to tail, corners TL, TR, BL, BR), the films in `images/`. `films.csv` with the columns
`filename` and `patient` groups films of one patient; without it every film counts as its own patient.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import same_form
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import label_remarks, make_vertebrae, require_all_inside
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.data.readers.films_csv import FILMS_CSV, film_stem, read_columns, require_any_match, rows_by_film
from spondylo_ml.data.readers.pairing import images_in
from spondylo_ml.data.readers.parts import unread_subfolders
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.data.readers.text import read_csv_rows, read_names
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange

N_VERTEBRAE = 17
TOPMOST_LAST = "the topmost vertebra is listed last: taken for T1, the others one lower"
SLOTS = SlotRange(first=1, count=N_VERTEBRAE)  # L5 up to T1: an AP film shows the sacrum without corners
NOT_LISTED = "film without its label: not listed in filenames.csv"


class SpineWeb16Reader:
    """Reads the CSV layout described above."""

    kind = "spineweb16"
    layout = "filenames.csv, landmarks.csv and images/"
    marks: tuple[str, ...] = ("filenames.csv", "landmarks.csv", "images")

    def recognises(self, root: Path) -> bool:
        """Whether both CSV files lie in `root`."""
        return (root / "filenames.csv").is_file() and (root / "landmarks.csv").is_file()

    def read(self, root: Path) -> FilmSet:
        """All films of the CSV files.

        Raises:
            DataError: a CSV file is missing, or both disagree on the number of films.
        """
        names = [same_form(name) for name in read_names(root / "filenames.csv")]
        labels = read_csv_rows(root / "landmarks.csv")
        if len(names) != len(labels):
            raise DataError(
                f"filenames.csv has {len(names)} rows and landmarks.csv {len(labels)}: they must match row by row"
            )
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise DataError(f"filenames.csv lists {len(twice)} film(s) more than once: {', '.join(twice[:5])}")
        patients, notes = _patients(root, names)
        rows = list(zip(names, labels, strict=True))
        films = {same_form(path.name): path for path in images_in(root / "images")}
        read, errors = read_each(rows, lambda row: _read_film(films.get(row[0]), row[0], row[1], patients[row[0]]))
        alone = [FileFinding(name, NOT_LISTED) for name in films if name not in set(names)]
        alone += unread_subfolders(root / "images")
        return make_film_set(self.kind, root, read, SLOTS, [*alone, *map(as_finding, errors)], notes)


def _read_film(path: Path | None, name: str, fields: list[str], patient: str) -> ReadFilm:
    if path is None:
        raise FileError(name, "listed in filenames.csv, but missing in images/")
    size_hw = checked_size_hw(path)
    corners = _corners_px(name, fields, size_hw)
    corners, reordered = _head_to_tail(corners)
    vertebrae = make_vertebrae(corners[::-1], np.ones((N_VERTEBRAE, 4), bool), range(1, 1 + N_VERTEBRAE))
    film = Film(
        film_id=Path(name).stem,
        image=FileImage(path, path.name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=Facing.NONE,
        patient=patient,
        source="spineweb16",
        path=path,
    )
    return ReadFilm(film, as_findings(name, (*reordered, *label_remarks(vertebrae))))


def _head_to_tail(corners: FloatArray) -> tuple[FloatArray, list[Remark]]:
    """(17, 4, 2) corners in order, and what had to be done for it.

    In some rows the topmost vertebra is listed last. Taken as listed, it would be L5 and all others one level too
    high; it lies one step above the first one, and the lowest of the others stands on the sacrum. A row in any other
    order is left as it is: the audit finds it.
    """
    heights = corners[..., 1].mean(axis=1)
    if np.argmin(heights) == N_VERTEBRAE - 1 and np.argmin(heights[:-1]) == 0:
        return np.roll(corners, 1, axis=0), [Remark(TOPMOST_LAST)]
    return corners, []


def _corners_px(name: str, fields: list[str], size_hw: tuple[int, int]) -> FloatArray:
    """(17, 4, 2) px, head to tail, from 136 shares of width and height."""
    count = 8 * N_VERTEBRAE
    if len(fields) != count:
        raise FileError(name, f"{len(fields)} numbers in landmarks.csv, {count} are needed (68 x, then 68 y)")
    shares = np.array(parse_floats(fields, name, "landmarks")).reshape(2, -1)
    height, width = size_hw
    corners = np.asarray(shares * np.array([[width], [height]])).T.reshape(N_VERTEBRAE, 4, 2)
    require_all_inside(corners, size_hw, name)
    return corners


def _patients(root: Path, names: list[str]) -> tuple[dict[str, str], list[FileFinding]]:
    """Patient group by film name, from films.csv where it exists.

    Raises:
        FileError: a table of another form, of other films, or with two rows for a film.
    """
    if not (root / FILMS_CSV).is_file():
        return dict(zip(names, names, strict=True)), [
            FileFinding(FILMS_CSV, "missing: every film is taken for another patient's")
        ]
    columns, table, notes = read_columns(root / FILMS_CSV)
    if "filename" not in columns or "patient" not in columns:
        raise FileError(FILMS_CSV, "needs the columns filename and patient", f", it has {', '.join(columns)}")
    rows = rows_by_film(FILMS_CSV, table)
    require_any_match(rows, [film_stem(name) for name in names], FILMS_CSV)
    patients = {
        name: same_form(rows[film_stem(name)][1]["patient"]) if film_stem(name) in rows else "" for name in names
    }
    own = [FileFinding(name, f"no patient in {FILMS_CSV}: taken for its own") for name in names if not patients[name]]
    return {name: patient or name for name, patient in patients.items()}, [*notes, *own]
