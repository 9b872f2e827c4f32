"""SpineWeb-16 / AASCE 2019: AP films with 17 vertebrae, T1 to L5, and 68 normalised corners per film.

Layout: `filenames.csv` (one name per row), `landmarks.csv` (one row per film: 68 x, then 68 y, as fractions of width
and height, vertebrae head to tail, corners TL, TR, BL, BR), and the films in `images/`. `films.csv` with the columns
`filename` and `patient` groups the films of a patient; without it each film counts as a separate patient.
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
from spondylo_ml.data.readers.film_row import FILMS_CSV
from spondylo_ml.data.readers.films_csv import (
    SEPARATE_PATIENT,
    film_stem,
    read_columns,
    require_any_match,
    rows_by_film,
)
from spondylo_ml.data.readers.pairing import images_in
from spondylo_ml.data.readers.parts import unread_subfolders
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.data.readers.text import read_csv_rows, read_names
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange

N_VERTEBRAE = 17
TOPMOST_LAST = "the topmost vertebra is listed last: taken for T1, the others one lower"
SLOTS = SlotRange(first=1, count=N_VERTEBRAE)  # L5 up to T1: the sacrum is not labelled on AP films
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
            DataError: a CSV file is missing, they differ in the number of films, or a film is listed twice.
        """
        names = [same_form(name) for name in read_names(root / "filenames.csv")]
        labels = read_csv_rows(root / "landmarks.csv")
        if len(names) != len(labels):
            raise DataError(
                f"filenames.csv has {len(names)} rows and landmarks.csv {len(labels)}: they must match row by row"
            )
        if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
            raise DataError(f"filenames.csv lists {len(repeated)} film(s) more than once: {', '.join(repeated[:5])}")
        patients, notes = _patients(root, names)
        rows = list(zip(names, labels, strict=True))
        films = {same_form(path.name): path for path in images_in(root / "images")}
        read, errors = read_each(rows, lambda row: _read_film(films.get(row[0]), row[0], row[1], patients[row[0]]))
        bad = [FileFinding(name, NOT_LISTED) for name in films if name not in set(names)]
        bad += unread_subfolders(root / "images")
        return make_film_set(self.kind, root, read, SLOTS, [*bad, *map(as_finding, errors)], notes)


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
    """(17, 4, 2) corners from head to tail, and a remark if they had to be reordered.

    In some rows the topmost vertebra is listed last, where it would be taken for L5 and all others would be one level
    too high. Any other wrong order is left to the audit.
    """
    heights = corners[..., 1].mean(axis=1)
    if np.argmin(heights) == N_VERTEBRAE - 1 and np.argmin(heights[:-1]) == 0:
        return np.roll(corners, 1, axis=0), [Remark(TOPMOST_LAST)]
    return corners, []


def _corners_px(name: str, fields: list[str], size_hw: tuple[int, int]) -> FloatArray:
    """(17, 4, 2) px, head to tail, from 136 fractions of width and height."""
    count = 8 * N_VERTEBRAE
    if len(fields) != count:
        raise FileError(name, f"{len(fields)} numbers in landmarks.csv, {count} are needed (68 x, then 68 y)")
    shares = np.array(parse_floats(fields, name, "landmarks")).reshape(2, -1)
    height, width = size_hw
    corners = np.asarray(shares * np.array([[width], [height]])).T.reshape(N_VERTEBRAE, 4, 2)
    require_all_inside(corners, size_hw, name)
    return corners


def _patients(root: Path, names: list[str]) -> tuple[dict[str, str], list[FileFinding]]:
    """Patient by film name, from films.csv if it exists; and notes on films without a patient.

    Raises:
        FileError: the table lacks a column, belongs to other films, or has two rows for a film.
    """
    if not (root / FILMS_CSV).is_file():
        return dict(zip(names, names, strict=True)), [
            FileFinding(FILMS_CSV, f"missing: every film is {SEPARATE_PATIENT}")
        ]
    columns, table, notes = read_columns(root / FILMS_CSV)
    if "filename" not in columns or "patient" not in columns:
        raise FileError(FILMS_CSV, "needs the columns filename and patient", f", it has {', '.join(columns)}")
    rows = rows_by_film(FILMS_CSV, table)
    require_any_match(rows, [film_stem(name) for name in names], FILMS_CSV)
    patients = {
        name: same_form(rows[film_stem(name)][1]["patient"]) if film_stem(name) in rows else "" for name in names
    }
    without = [name for name in names if not patients[name]]
    missing = [FileFinding(name, f"no patient in {FILMS_CSV}: {SEPARATE_PATIENT}") for name in without]
    return {name: patient or name for name, patient in patients.items()}, [*notes, *missing]
